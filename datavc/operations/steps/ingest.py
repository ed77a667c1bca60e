"""Storing a scanned dataset in the cache: what is new goes into packs, then the pack index, then the root.

Order of writing (design section 4): packs, pack index, root. Whoever calls this writes workspace state, pointer and stat
rows afterwards. Every 30 seconds the finished packs are indexed and the stat rows written, so that a killed ``add``
goes on where it was.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from datavc.errors import DatavcError, IntegrityError
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.pack import DATA, LIST, META
from datavc.formats.root import Root
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, KIND_NAMES, Entry
from datavc.operations.steps.cutting import Wanted, cut_units
from datavc.operations.steps.linking import BlobStore
from datavc.operations.steps.placing import Place, Stored
from datavc.operations.steps.trees import TreeSource
from datavc.operations.steps.units import (
    CLAIMED,
    KNOWN,
    FolderColumns,
    Unit,
    UnitResult,
    UnitSettings,
    store_unit,
)
from datavc.parallel import Workers, run_batches
from datavc.progress import Progress
from datavc.store.blobwriter import BlobWriter
from datavc.store.cache import new_root
from datavc.store.claims import create_claims
from datavc.store.index import IndexBuilder, Location, ObjectIndex
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack
from datavc.workspace.hashing import OpenFolders
from datavc.workspace.listing import Folder, Scan
from datavc.workspace.readfile import open_stable, stat_tuple

# Files above this are cut into chunks, in this process and its threads; the others go to worker processes in units.
LARGE_BYTES = 1 << 20
_SECONDS_PER_FILE, _SECONDS_PER_BYTE = 25e-6, 2e-9
_CHECKPOINT_SECONDS = 30.0


def unit_workers(jobs: int) -> Workers:
    """Processes that store units."""
    return Workers(jobs, preload=store_unit.__module__)


class Ingest:
    """Stores one dataset. ``base`` is what the dataset was, with the root that proves what is in the cache already."""

    def __init__(
        self,
        place: Place,
        scan: Scan,
        base: tuple[Digest, str] | None,
        *,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._place = place
        self._cache = place.cache
        self._scan = scan
        self._workers = workers
        self._progress = progress
        self._length = ALGORITHMS[scan.algorithm].length
        root = self._cache.root(base[0]) if base else None
        self._base_root = root
        self._base_trees = TreeSource(self._cache, None, root.digest, base[1]) if root and base else None
        self._inherited = ObjectIndex(self._cache.backend, scan.algorithm, root.indexes if root else ())
        names = tuple(self._cache.dedup_names(root.indexes if root else ()))
        self._known = ObjectIndex(self._cache.backend, scan.algorithm, names)
        self._builder = IndexBuilder(scan.algorithm)
        self._new_indexes: list[str] = []
        self._elsewhere: set[bytes] = set()
        self._claimed: set[bytes] = set()
        self._stored_bytes = self._new_files = self._new_bytes = self._read_bytes = 0
        self._checkpointed = time.monotonic()

    def run(self) -> Stored:
        """Store everything, and publish the root.

        Raises:
            ConflictError: a file changed while it was read.
            StorageError, OutOfSpace: the cache or a file failed. What was finished stays and is used by the next run.
        """
        wanted = self.wanted()
        with self._cache.scratch() as scratch:
            try:
                self._store_files(wanted, scratch)
                entry = self._store_trees(scratch)
            except BaseException:
                with contextlib.suppress(DatavcError, OSError):
                    self._checkpoint()
                raise
        root = self._publish(entry)
        return Stored(entry, root, self._new_files, self._new_bytes, self._stored_bytes, self._read_bytes)

    def wanted(self) -> Wanted:
        """The files whose bytes must be read: unknown ones, and known ones whose bytes are not in the cache."""
        wanted = list(self._scan.unknown())
        unproved: dict[bytes, list[tuple[Folder, int]]] = {}
        for folder in (self._scan.top, *self._scan.folders.values()):
            present = self._present(folder)
            if present is None and self._place.link == "copy":
                continue
            present = present or set()
            for number, digest in enumerate(folder.digests):
                if digest is None or folder.kinds[number] == FOLDER:
                    continue
                # A root speaks of packs alone, so whole blobs are looked for each time.
                if digest not in present or self._is_shared((folder, number)):
                    unproved.setdefault(digest, []).append((folder, number))
        if unproved:
            found = self._known.find_many(unproved)
            for digest, places in unproved.items():
                size = places[0][0].size(places[0][1])
                if self._is_whole(digest, found.get(digest)) or self._cache.has_blob(digest, size):
                    self._elsewhere.add(digest)
                else:
                    wanted.extend(places)
        return wanted

    def _present(self, folder: Folder) -> set[bytes] | None:
        """Digests of the folder that the base's root vouches for; None where that is all of them."""
        if self._base_trees is None:
            return set()
        if folder is self._scan.top:
            return {self._base_trees.top}
        tree = self._base_trees.folder(folder.path, self._scan.top.path[:-1])
        if tree is None:
            return set()
        present = set(tree.digests)
        return None if present.issuperset(digest for digest in folder.digests if digest) else present

    # Files

    def _store_files(self, wanted: Wanted, scratch: Path) -> None:
        if not wanted:
            return
        shared = [item for item in wanted if self._is_shared(item)]
        large = [item for item in wanted if self._is_large(item) and not self._is_shared(item)]
        small = [item for item in wanted if not self._is_large(item) and not self._is_shared(item)]
        total = sum(folder.size(number) for folder, number in wanted)
        self._progress.begin("adding", total_bytes=total, total_files=len(wanted))
        claims = scratch / "claims"
        create_claims(claims, len(small) + 1, self._length)
        settings = UnitSettings(
            self._place.workspace,
            self._scan.algorithm,
            self._cache.folder,
            scratch,
            self._known.names,
            claims,
            self._place.links_into,
        )
        small_bytes = sum(folder.size(number) for folder, number in small)
        seconds = len(small) * _SECONDS_PER_FILE + small_bytes * _SECONDS_PER_BYTE
        units = (Unit(settings, folders) for folders in cut_units(small, small_bytes))
        for result in run_batches(store_unit, units, self._workers.executor(expected_seconds=seconds)):
            self._take(result)
            self._checkpoint_if_due()
        self._store_large(large, scratch)
        self._store_shared(shared, scratch)
        self._progress.end()

    def _is_shared(self, item: tuple[Folder, int]) -> bool:
        """Whether the file is kept as a whole blob, linked to the workspace."""
        folder, number = item
        if self._place.link == "copy" or folder.kinds[number] not in (FILE, EXECUTABLE):
            return False
        return folder.size(number) >= self._place.share_above

    def _store_shared(self, shared: Wanted, scratch: Path) -> None:
        """Files that cache and workspace share. In this process: a clone costs no copying, and hashing is one core's work."""
        if not shared:
            return
        blobs = BlobStore(self._cache, scratch, self._place.link, self._place.links_into)
        with OpenFolders(self._place.workspace) as folders:
            for folder, number in shared:
                name = folder.names[number]
                digest, seen, is_new = blobs.store(folders.open(folder.path), name, folder.kinds[number])
                folder.digests[number] = digest
                folder.stats[4 * number : 4 * number + 4] = array("q", seen)
                if is_new:
                    self._new_files += 1
                    self._new_bytes += seen[0]
                    self._stored_bytes += 0 if self._place.link == "reflink" else seen[0]
                self._read_bytes += seen[0]
                self._progress.advance(size=seen[0], files=1)
                self._checkpoint_if_due()

    def _is_large(self, item: tuple[Folder, int]) -> bool:
        folder, number = item
        return folder.size(number) > LARGE_BYTES and folder.kinds[number] in (FILE, EXECUTABLE)

    def _take(self, result: UnitResult) -> None:
        for columns in result.folders:
            self._fill(columns)
        if result.pack is not None:
            self._add_pack(result.pack)
        self._new_files += result.new_files
        self._new_bytes += result.new_bytes
        self._read_bytes += result.size
        self._progress.advance(size=result.size, files=result.files)

    def _fill(self, columns: FolderColumns) -> None:
        path, numbers, digests, stats, origins = columns
        folder = self._scan.top if path == self._scan.top.path else self._scan.folders[path]
        for place, number in enumerate(numbers):
            digest = digests[place * self._length : (place + 1) * self._length]
            folder.digests[number] = digest
            folder.stats[4 * number : 4 * number + 4] = array("q", stats[32 * place : 32 * place + 32])
            if origins[place] == KNOWN:
                self._elsewhere.add(digest)
            elif origins[place] == CLAIMED:
                self._claimed.add(digest)

    def _add_pack(self, pack: SealedPack) -> None:
        self._stored_bytes += pack.size
        self._builder.add_pack(pack)

    def _store_large(self, large: Wanted, scratch: Path) -> None:
        if not large:
            return
        with (
            ThreadPoolExecutor(max(2, self._workers.jobs)) as threads,
            OpenFolders(self._place.workspace) as folders,
        ):
            data, meta = self._stream(scratch, DATA, threads), self._stream(scratch, META)
            blobs = BlobWriter(self._scan.algorithm, data, meta, self._is_stored, threads)
            try:
                for folder, number in large:
                    name = folder.names[number]
                    with open_stable(name, folders.open(folder.path), self._place.links_into) as file:
                        digest, size, stored = blobs.write(file.read, self._advance)
                        file.check(size)
                    folder.digests[number] = digest
                    folder.stats[4 * number : 4 * number + 4] = array("q", stat_tuple(file.stat))
                    self._new_files += 1 if stored else 0
                    self._new_bytes += size if stored else 0
                    self._elsewhere.add(digest)
                    self._progress.advance(files=1)
                data.close()
                meta.close()
            except BaseException:
                data.abandon()
                meta.abandon()
                raise

    def _advance(self, size: int) -> None:
        self._read_bytes += size
        self._progress.advance(size=size)
        self._checkpoint_if_due()

    def _stream(self, scratch: Path, content: int, threads: ThreadPoolExecutor | None = None) -> PackStream:
        return PackStream(
            self._cache.backend,
            scratch,
            self._scan.algorithm,
            content,
            published=self._add_pack,
            executor=threads,
        )

    def _is_stored(self, digest: bytes) -> bool:
        """Whether a chunk or tree lies in the store already; noted, so that the new pack index names it too."""
        if digest in self._builder:
            return True
        if self._known.find(digest) is not None:
            self._elsewhere.add(digest)
            return True
        return False

    def _is_whole(self, digest: bytes, location: Location | None) -> bool:
        """Whether a known object is there with all its chunks: a chunk list alone is none of them."""
        if location is None or not location[4] & LIST:
            return location is not None
        try:
            chunks = set(self._cache.reader().chunk_list(digest, location).digests)
        except DatavcError:
            return False
        return all(chunk in self._builder or self._known.find(chunk) is not None for chunk in chunks)

    # Trees, index, root

    def _is_tree_stored(self, digest: bytes) -> bool:
        return self._is_stored(digest) and self._is_whole(digest, self._known.find(digest))

    def _store_trees(self, scratch: Path) -> Entry:
        entry, trees = self._scan.seal()
        old = self._base_trees.known_digests() if self._base_trees is not None else set()
        stream = self._stream(scratch, META)
        try:
            for digest, encoded in trees.items():
                if digest not in old and not self._is_tree_stored(digest):
                    stream.add_tree(digest, encoded, self._is_stored)
            stream.close()
        except BaseException:
            stream.abandon()
            raise
        self._place.stat_cache.write_trees(
            {digest: body for digest, body in trees.items() if digest not in old}
        )
        return entry

    def _publish(self, entry: Entry) -> Root:
        digest = Digest(self._scan.algorithm, entry.digest)
        if self._base_root is not None and self._base_root.digest == digest and not self._builder:
            return self._base_root
        self._index_elsewhere()
        self._new_indexes += self._builder.publish(self._cache.backend)
        self._prove_claims()
        make = new_root(
            self._cache,
            digest,
            kind=KIND_NAMES[entry.kind],
            size=entry.size,
            files=entry.count,
            path=self._place.path,
            commit=self._place.commit,
            saved=self._place.saved,
        )
        return self._cache.publish_root(make, [*self._inherited.names, *self._new_indexes])

    def _index_elsewhere(self) -> None:
        """Objects that were in the cache before are named by the new pack index, unless the inherited ones do."""
        inherited = self._inherited.find_many(self._elsewhere)
        missing = {
            digest for digest in self._elsewhere if digest not in inherited and digest not in self._builder
        }
        if not missing:
            return
        sizes = self._known.packs()
        found = self._known.find_many(missing)
        for digest, location in self._with_chunks(found):
            self._builder.add(digest, location, sizes[location[0]])

    def _with_chunks(self, found: dict[bytes, Location]) -> Iterator[tuple[bytes, Location]]:
        """Those objects, and the chunks of those that are kept as chunk lists."""
        reader = self._cache.reader()
        for digest, location in found.items():
            yield digest, location
            if location[4] & LIST:
                chunks = {
                    chunk
                    for chunk in reader.chunk_list(digest, location).digests
                    if chunk not in self._builder
                }
                known = self._known.find_many(chunks)
                if len(known) < len(chunks):
                    raise IntegrityError(
                        f"object {Digest(self._scan.algorithm, digest)} lacks {len(chunks) - len(known)} of its chunks",
                        "run the same command again",
                    )
                yield from known.items()

    def _prove_claims(self) -> None:
        """Every digest that one worker left to another must be in a pack by now."""
        if not self._claimed:
            return
        index = ObjectIndex(
            self._cache.backend, self._scan.algorithm, [*self._new_indexes, *self._inherited.names]
        )
        missing = self._claimed - set(index.find_many(self._claimed))
        if missing:
            raise IntegrityError(
                f"{len(missing)} objects were promised and not written", "run the same command again"
            )

    def _checkpoint_if_due(self) -> None:
        if time.monotonic() - self._checkpointed > _CHECKPOINT_SECONDS:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._new_indexes += self._builder.publish(self._cache.backend)
        self._place.stat_cache.write_rows(self._scan.changed_rows())
        self._checkpointed = time.monotonic()
