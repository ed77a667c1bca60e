"""Reading packs as packs: their footer out of a store or out of bytes at hand, and their entries, decoded and hashed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import xxhash

from datavc.backends.base import Backend
from datavc.errors import DigestMismatch, MalformedError
from datavc.formats import codec
from datavc.formats.chunklist import decode_chunk_list
from datavc.formats.digest import Digest, hash_function
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import LIST, TAIL_BYTES, ZSTD, PackFooter, decode_pack_footer, decode_pack_tail
from datavc.store import layout
from datavc.store.index import Location


class PackEntry(NamedTuple):
    """One entry as it lies in a pack: ``stored`` are its bytes there, ``raw`` what they decode to."""

    digest: bytes
    form: int
    stored: bytes
    raw: bytes

    @property
    def packed(self) -> bytes | None:
        """The zstd frame, where that is how it is stored: what a pack writer is given."""
        return None if self.stored is self.raw else self.stored


def read_footer(backend: Backend, name: bytes, size: int, header: bytes | None = None) -> PackFooter:
    """What the pack of that raw name and ``size`` bytes holds, in three small reads; ``header`` stands for its own.

    Raises:
        StorageError, StoredFileNotFound, MalformedError: it is not there, or does not end as a pack.
    """
    path = layout.pack_path(name)
    tail = backend.read(path, max(0, size - TAIL_BYTES), min(size, TAIL_BYTES))
    start, length, digest = decode_pack_tail(tail, size)
    return decode_pack_footer(
        header or backend.read(path, 0, HEADER_BYTES), backend.read(path, start, length), digest, start
    )


def open_pack(name: bytes, data: bytes) -> PackFooter:
    """What the pack that consists of ``data`` holds, once it was hashed against its raw name.

    Raises:
        DigestMismatch: these are not the bytes that the name stands for.
        MalformedError: they are, and are no pack.
    """
    if xxhash.xxh3_128_digest(data) != name:
        raise DigestMismatch(f"the pack {layout.sealed_name(name)} is not what its name says")
    start, length, digest = decode_pack_tail(data[-TAIL_BYTES:], len(data))
    return decode_pack_footer(data[:HEADER_BYTES], data[start : start + length], digest, start)


def locations(name: bytes, footer: PackFooter) -> Iterator[tuple[bytes, Location]]:
    """Each entry's digest and where it lies."""
    columns = zip(
        footer.digests, footer.offsets(), footer.stored, footer.raw, footer.forms, footer.codecs, strict=False
    )
    for digest, offset, stored, raw, form, packed in columns:
        yield digest, (name, offset, stored, raw, form | packed << 1)


def decode_entry(algorithm: str, digest: bytes, location: Location, stored: bytes) -> PackEntry:
    """The entry out of its ``stored`` bytes, verified: a chunk list as far as it can be without its chunks.

    Raises:
        DigestMismatch, MalformedError: they are not that object's.
    """
    _, _, length, raw_length, flags = location
    raw = stored
    if flags & ZSTD << 1:
        raw = codec.decompress(stored, raw_length)
    if len(stored) != length or len(raw) != raw_length:
        raise MalformedError(f"object {Digest(algorithm, digest)} is not as long as it must be")
    form = flags & LIST
    if form:
        decode_chunk_list(raw, algorithm)
    elif hash_function(algorithm)(raw) != digest:
        raise DigestMismatch(f"object {Digest(algorithm, digest)} is damaged")
    return PackEntry(digest, form, stored, raw)
