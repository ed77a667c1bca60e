"""The worker of ``add``: reads one unit of small files, hashes and compresses them, and publishes one pack.

Hot path: 25 microseconds a file of 8 KiB, of which 10 are the system's (tests/benchmarks/compare.py, case ``add``). Rows
cross the process border as joined columns per folder, because tuples per file cost more than hashing.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from datavc.formats.digest import ALGORITHMS, hash_function
from datavc.formats.pack import DATA, WHOLE
from datavc.formats.tree import SYMLINK
from datavc.operations.steps.storing.cutting import Cut
from datavc.operations.steps.storing.purgedfiles import purged_file
from datavc.store.cachefolder import CacheFolder
from datavc.store.claims import Claims
from datavc.store.compression import Compressor
from datavc.store.index import ObjectIndex
from datavc.store.packstream import publish_pack
from datavc.store.packwriter import PackWriter, SealedPack
from datavc.workspace.folders import OpenFolders
from datavc.workspace.hashing import read_link
from datavc.workspace.readfile import changed_while_read, read_small, stat_tuple

# Where a file's bytes turned out to be: in this unit's pack, in the store before, or claimed by another unit.
STORED, KNOWN, CLAIMED = range(3)


class UnitSettings(NamedTuple):
    """What all units of one add have in common."""

    root: bytes
    algorithm: str
    cache: Path
    scratch: Path
    indexes: tuple[str, ...]
    claims: Path
    links_into: bytes | None
    purged: frozenset[bytes] = frozenset()


class Unit(NamedTuple):
    """Files of at most some 60 MiB in path order: per folder its path, entry numbers, names and kinds."""

    settings: UnitSettings
    folders: list[Cut]


class FolderColumns(NamedTuple):
    """What became of some entries of one folder: ``stats`` four integers an entry, ``digests`` joined."""

    path: bytes
    numbers: list[int]
    digests: bytes
    stats: bytes
    origins: bytes


class UnitResult(NamedTuple):
    """A unit that is done; its pack, if it needed one, is published and durable."""

    folders: list[FolderColumns]
    pack: SealedPack | None
    files: int
    size: int
    new_files: int
    new_bytes: int


def store_unit(unit: Unit) -> UnitResult:
    """Store the files of one unit.

    Raises:
        ConflictError: a file changed while it was read, or is no file any more. PurgedError: it was purged.
        StorageError: a file cannot be read, or the pack cannot be written.
    """
    settings = unit.settings
    writer = _UnitWriter(settings)
    done: list[FolderColumns] = []
    try:
        with OpenFolders(settings.root) as folders:
            for path, numbers, names, kinds in unit.folders:
                done.append(writer.store_folder(folders.open(path), path, numbers, names, kinds))
        return writer.finish(done)
    except BaseException:
        writer.abandon()
        raise


class _UnitWriter:
    def __init__(self, settings: UnitSettings) -> None:
        self._settings = settings
        self._backend, self._index = _open_store(settings.cache, settings.algorithm, settings.indexes)
        self._claims = _open_claims(settings.claims, ALGORITHMS[settings.algorithm].length)
        self._compressor = Compressor()
        self._pack: PackWriter | None = None
        self._files = self._size = self._new_files = self._new_bytes = 0

    def store_folder(
        self, folder_fd: int, path: bytes, numbers: list[int], names: list[bytes], kinds: bytes
    ) -> FolderColumns:
        hash_bytes, links_into = hash_function(self._settings.algorithm), self._settings.links_into
        digests, stats, origins = [], array("q"), bytearray()
        for name, kind in zip(names, kinds, strict=True):
            if kind == SYMLINK:
                try:
                    content, seen = read_link(name, folder_fd)
                except OSError:
                    raise changed_while_read(name) from None
            else:
                content, seen = read_small(name, folder_fd, links_into)
            digest = hash_bytes(content)
            if digest in self._settings.purged:
                raise purged_file(self._backend, path, name, self._settings.algorithm, digest)
            digests.append(digest)
            stats.extend(stat_tuple(seen))
            origins.append(self._store(digest, content, name))
            self._size += len(content)
        self._files += len(names)
        return FolderColumns(path, numbers, b"".join(digests), stats.tobytes(), bytes(origins))

    def _store(self, digest: bytes, content: bytes, name: bytes) -> int:
        if self._index is not None and self._index.find(digest) is not None:
            return KNOWN
        if not self._claims.claim(digest):
            return CLAIMED
        if self._pack is None:
            self._pack = PackWriter(self._settings.scratch, self._settings.algorithm, DATA)
        self._pack.add(digest, content, WHOLE, self._compressor.pack(name.rpartition(b".")[2], content))
        self._new_files += 1
        self._new_bytes += len(content)
        return STORED

    def finish(self, folders: list[FolderColumns]) -> UnitResult:
        pack = None
        if self._pack is not None:
            pack, self._pack = publish_pack(self._backend, self._pack.seal()), None
        return UnitResult(folders, pack, self._files, self._size, self._new_files, self._new_bytes)

    def abandon(self) -> None:
        if self._pack is not None:
            self._pack.abandon()


@lru_cache(maxsize=2)
def _open_store(
    cache: Path, algorithm: str, indexes: tuple[str, ...]
) -> tuple[CacheFolder, ObjectIndex | None]:
    backend = CacheFolder(cache)
    return backend, ObjectIndex(backend, algorithm, indexes, may_go=True) if indexes else None


@lru_cache(maxsize=2)
def _open_claims(path: Path, digest_length: int) -> Claims:
    return Claims(path, digest_length)
