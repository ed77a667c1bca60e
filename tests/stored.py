"""Stores made for a test: objects written as packs and indexed, without any command."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from datavc.backends.base import Backend
from datavc.formats import codec
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pack import DATA, MAX_PACK_BYTES, ZSTD
from datavc.formats.packindex import IndexColumns, IndexRow, encode_pack_index
from datavc.store import layout
from datavc.store.index import IndexBuilder, ObjectIndex
from datavc.store.packreader import locations, read_footer
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack
from datavc.store.reader import ObjectReader
from datavc.store.roots import begin_writing, new_root, publish_root

REPO_ID = "0123456789abcdef" * 2
XXH = hash_function("xxh128")


def contents(count: int, size: int = 20, *, first: int = 0) -> list[bytes]:
    """So many different objects of ``size`` bytes."""
    return [b"object %06d" % number * (size // 13 + 1) for number in range(first, first + count)]


def write_packs(
    backend: Backend,
    scratch: Path,
    objects: Iterable[bytes],
    *,
    content: int = DATA,
    limit: int = MAX_PACK_BYTES,
    algorithm: str = "xxh128",
) -> list[SealedPack]:
    """Store whole objects, and tell the packs that they went into."""
    packs: list[SealedPack] = []
    stream = PackStream(backend, scratch, algorithm, content, published=packs.append, limit=limit)
    for raw in objects:
        stream.add(hash_function(algorithm)(raw), raw)
    stream.close()
    return packs


def index_of(
    packs: Sequence[tuple[bytes, int]], rows: Sequence[IndexRow], algorithm: str = "xxh128"
) -> bytes:
    """The bytes of a pack index of these rows."""
    columns = zip(*rows, strict=True) if rows else ((),) * 6
    return encode_pack_index(algorithm, packs, IndexColumns(*columns))


def write_index(backend: Backend, packs: Sequence[SealedPack], algorithm: str = "xxh128") -> str:
    """One pack index of ``packs``."""
    builder = IndexBuilder(algorithm)
    for pack in packs:
        builder.add_pack(pack)
    (name,) = builder.publish(backend)
    return name


def open_reader(backend: Backend, *names: str, algorithm: str = "xxh128") -> ObjectReader:
    """Reads what those pack indexes find."""
    return ObjectReader(backend, algorithm, ObjectIndex(backend, algorithm, names).find)


def write_root(backend: Backend, digest: Digest, indexes: Sequence[str], *, complete: bool = True):
    """A root of a folder of one file."""
    make = new_root(
        REPO_ID, digest, kind="folder", size=1, files=1, path=b"data", commit=None, complete=complete
    )
    guard = begin_writing(backend, digest.algorithm)
    return publish_root(backend, digest.algorithm, make, list(indexes), guard)


def unpacked(backend: Backend) -> bytes:
    """The content of every entry of every pack, whatever names it."""
    found = []
    for file in backend.list(layout.PACKS):
        name = layout.sealed_raw(file.name.rpartition("/")[2])
        for _, (_, offset, stored, raw, flags) in locations(name, read_footer(backend, name, file.size)):
            data = backend.read(file.name, offset, stored)
            found.append(codec.decompress(data, raw) if flags >> 1 == ZSTD else data)
    return b"\0".join(found)


def overwrite(backend: Backend, name: str, data: bytes) -> None:
    """What a bad disk does."""
    backend.delete(name)
    backend.close()
    backend.write(name, data)


def pack_file(pack: SealedPack) -> str:
    return layout.pack_path(pack.name)
