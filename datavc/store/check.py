"""Checking stored files one by one, against their names and against themselves. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import xxhash

from datavc.backends.base import Backend
from datavc.errors import DatavcError, MalformedError
from datavc.formats import codec
from datavc.formats.digest import Digest, hash_function, new_hasher
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import LIST, TAIL_BYTES, ZSTD, PackFooter, decode_pack_footer, decode_pack_tail
from datavc.formats.packindex import PackIndexReader
from datavc.store import layout

_PIECE = 8 << 20


@dataclass(slots=True)
class CheckedPack:
    """One pack: ``name`` is the raw xxh128 in its file name, which its bytes have if it is ``intact``.

    ``message`` is empty where the pack is sound.
    """

    name: bytes | None = None
    algorithm: str = ""
    entries: int = 0
    message: str = ""
    intact: bool = False
    damaged: list[bytes] = field(default_factory=list)


def check_pack(backend: Backend, path: str) -> CheckedPack:
    """Hash a pack against its name and decode every entry. Raises StorageError where it cannot be read."""
    checked = CheckedPack()
    try:
        checked.name = layout.sealed_raw(path.rpartition("/")[2])
    except MalformedError as error:
        checked.message = error.message
        return checked
    data = backend.read(path)
    checked.intact = xxhash.xxh3_128_digest(data) == checked.name
    if not checked.intact:
        checked.message = "is not what its name says"
    try:
        start, length, digest = decode_pack_tail(data[-TAIL_BYTES:], len(data))
        footer = decode_pack_footer(data[:HEADER_BYTES], data[start : start + length], digest, start)
    except DatavcError as error:
        checked.message = checked.message or error.message
        return checked
    checked.algorithm, checked.entries = footer.algorithm, len(footer.digests)
    # Which of its objects suffer can be told only entry by entry.
    checked.damaged = damaged_entries(data, footer)
    if checked.damaged and not checked.message:
        checked.message = "holds entries that were damaged before it was written"
    return checked


def damaged_entries(data: bytes, footer: PackFooter) -> list[bytes]:
    """The objects of a pack, all of whose bytes are ``data``, that are not what their digests say."""
    hash_bytes = hash_function(footer.algorithm)
    damaged = []
    offset = HEADER_BYTES
    columns = zip(footer.digests, footer.stored, footer.raw, footer.forms, footer.codecs, strict=True)
    for digest, stored, raw, form, packed in columns:
        content = data[offset : offset + stored]
        offset += stored
        if packed == ZSTD:
            try:
                content = codec.decompress(content, raw)
            except MalformedError:
                damaged.append(digest)
                continue
        # The digest of a listed object is that of the whole; the list itself is judged when its version is walked.
        if len(content) != raw or (form != LIST and hash_bytes(content) != digest):
            damaged.append(digest)
    return damaged


def check_index(backend: Backend, path: str) -> str:
    """What is wrong with a pack index; empty where it is sound."""
    try:
        name = layout.sealed_raw(path.rpartition("/")[2])
        data = backend.read(path)
        if xxhash.xxh3_128_digest(data) != name:
            return "is not what its name says"

        def read(start: int, length: int) -> bytes:
            return data[start : start + length]

        for _ in PackIndexReader(read, len(data)).rows():
            pass
    except MalformedError as error:
        return error.message
    return ""


def check_blob(
    backend: Backend, path: str, size: int, advance: Callable[[int], None] | None = None
) -> bytes | None:
    """The raw digest in the name of a whole blob whose bytes are not what it says; None where they are.

    ``advance`` is told the bytes of each piece that was read.
    """
    digest = Digest.parse_file_name(path.rpartition("/")[2])
    hasher = new_hasher(digest.algorithm)
    for start in range(0, size, _PIECE):
        piece = backend.read(path, start, min(_PIECE, size - start))
        hasher.update(piece)
        if advance is not None:
            advance(len(piece))
    return None if hasher.digest() == digest.raw else digest.raw
