"""Checking stored files one by one, against their names and against themselves. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import xxhash

from datavc.backends.base import Backend, StoredFile
from datavc.errors import DatavcError, MalformedError, StorageError, StoredFileNotFound
from datavc.formats import codec
from datavc.formats.digest import Digest, hash_function, new_hasher
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import LIST, TAIL_BYTES, ZSTD, PackFooter, decode_pack_footer, decode_pack_tail
from datavc.formats.packindex import PackIndexReader
from datavc.store import layout

_PIECE = 8 << 20

Read = Callable[[int, int], bytes]


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


def check_pack(backend: Backend, path: str, *, in_pieces: bool = False) -> CheckedPack:
    """Hash a pack against its name and decode every entry. Raises StorageError where it cannot be read.

    ``in_pieces`` for a disk: little is held at once, and the same memory serves again, which is twice as fast as to get new
    memory for every pack. From afar a pack comes by one request.
    """
    checked = CheckedPack()
    try:
        checked.name = layout.pack_of(path)
    except MalformedError as error:
        checked.message = error.message
        return checked
    if in_pieces:
        _examine(checked, partial(backend.read, path), backend.head(path).size)
        return checked
    data = backend.read(path)
    _examine(checked, lambda start, length: data[start : start + length], len(data))
    return checked


def _examine(checked: CheckedPack, read: Read, size: int) -> None:
    footer = None
    try:
        start, length, digest = decode_pack_tail(read(max(0, size - TAIL_BYTES), min(size, TAIL_BYTES)), size)
        footer = decode_pack_footer(read(0, min(size, HEADER_BYTES)), read(start, length), digest, start)
    except StorageError:
        raise
    except DatavcError as error:
        checked.message = error.message
    hasher = xxhash.xxh3_128()
    end = 0
    if footer is not None:
        checked.algorithm, checked.entries = footer.algorithm, len(footer.digests)
        hasher.update(read(0, HEADER_BYTES))
        end = HEADER_BYTES
        # Which of its objects suffer can be told only entry by entry.
        for piece, damaged in _damaged_entries(read, footer):
            hasher.update(piece)
            end += len(piece)
            checked.damaged += damaged
    for start in range(end, size, _PIECE):
        hasher.update(read(start, min(_PIECE, size - start)))
    checked.intact = hasher.digest() == checked.name
    if not checked.intact:
        checked.message = "is not what its name says"
    elif checked.damaged:
        checked.message = "holds entries that were damaged before it was written"


def damaged_entries(data: bytes, footer: PackFooter) -> list[bytes]:
    """The objects of a pack, all of whose bytes are ``data``, that are not what their digests say."""
    pieces = _damaged_entries(lambda start, length: data[start : start + length], footer)
    return [digest for _, damaged in pieces for digest in damaged]


def _damaged_entries(read: Read, footer: PackFooter) -> Iterator[tuple[bytes, list[bytes]]]:
    """The bytes of a pack's entries, piece by piece, and of each piece the objects that are not what their digests say."""
    columns = zip(footer.digests, footer.stored, footer.raw, footer.forms, footer.codecs, strict=True)
    rows: list[tuple[bytes, int, int, int, int]] = []
    start = end = HEADER_BYTES
    hash_bytes = hash_function(footer.algorithm)
    for row in columns:
        rows.append(row)
        end += row[1]
        if end - start >= _PIECE:
            piece = read(start, end - start)
            yield piece, _damaged_rows(piece, rows, hash_bytes)
            start = end
            rows.clear()
    if rows:
        piece = read(start, end - start)
        yield piece, _damaged_rows(piece, rows, hash_bytes)


def _damaged_rows(
    piece: bytes, rows: list[tuple[bytes, int, int, int, int]], hash_bytes: Callable[[bytes], bytes]
) -> list[bytes]:
    damaged = []
    offset = 0
    for digest, stored, raw, form, packed in rows:
        content = piece[offset : offset + stored]
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
        name = layout.sealed_raw(path.removeprefix(layout.INDEXES))
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
    """The raw digest in the name of a stored file whose bytes are not what it says; None where they are.

    Whole blobs are named so, and packs and pack indexes.

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


def is_blob(path: Path, algorithm: str, digest: bytes) -> bool:
    """Whether the bytes of a file are those of the blob ``digest``; not where it cannot be read."""
    hasher = new_hasher(algorithm)
    try:
        with open(path, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                hasher.update(piece)
    except OSError:
        return False
    return hasher.digest() == digest


class Checked(NamedTuple):
    """What reading a pack or a whole blob came to. ``message`` is empty where it is sound, and it ``is_gone`` where it was
    deleted meanwhile. ``damaged`` are the raw digests of the objects in it that suffer."""

    file: StoredFile
    message: str
    entries: int
    algorithm: str
    damaged: list[bytes]
    is_gone: bool = False


def check_files(batch: tuple[Backend, Sequence[StoredFile]]) -> list[Checked]:
    """Read packs and whole blobs: the batch function of workers. What this disk cannot read is damaged."""
    backend, files = batch
    checked = []
    for file in files:
        try:
            checked.append(check_file(backend, file, in_pieces=True))
        except StorageError as error:
            checked.append(Checked(file, f"cannot be read: {error.message}", 0, "", []))
    backend.close()
    return checked


def check_file(backend: Backend, file: StoredFile, *, in_pieces: bool = False) -> Checked:
    """Read a pack or a whole blob. Raises StorageError."""
    try:
        if not file.name.startswith(layout.BLOBS):
            pack = check_pack(backend, file.name, in_pieces=in_pieces)
            return Checked(file, pack.message, pack.entries, pack.algorithm, pack.damaged)
        wrong = check_blob(backend, file.name, file.size)
    except StoredFileNotFound:
        return Checked(file, "is missing", 0, "", [], is_gone=True)
    except MalformedError as error:
        return Checked(file, error.message, 0, "", [])
    algorithm = file.name.rpartition("/")[2].partition("-")[0]
    return Checked(file, "is not what its name says" if wrong else "", 1, algorithm, [wrong] if wrong else [])
