"""Storing a scanned dataset in the cache: what is new goes into packs, then the pack index, then the root.

Order of writing (design section 4): packs, pack index, root. Whoever calls this writes workspace state, pointer and stat
rows afterwards. Every 30 seconds the finished packs are indexed and the stat rows written, so that a killed ``add``
goes on where it was.
"""

from __future__ import annotations

import contextlib
import time
from array import array
from concurrent.futures import ThreadPoolExecutor
from itertools import compress
from pathlib import Path

from datavc.errors import DatavcError
from datavc.formats.columns import decode_digests
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.pack import DATA, META
from datavc.formats.root import Root
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, KIND_NAMES, Entry
from datavc.operations.steps.storing.cutting import cut_units
from datavc.operations.steps.storing.large import LargeFile, store_large
from datavc.operations.steps.storing.linking import BlobStore
from datavc.operations.steps.storing.placing import Place, Stored
from datavc.operations.steps.storing.purgedfiles import PurgedFiles
from datavc.operations.steps.storing.reachable import Reachable
from datavc.operations.steps.storing.units import (
    CLAIMED,
    KNOWN,
    STORED,
    FolderColumns,
    Unit,
    UnitResult,
    UnitSettings,
    store_unit,
)
from datavc.operations.steps.trees.trees import TreeSource
from datavc.parallel import Workers, run_batches
from datavc.progress import Progress
from datavc.store.blobwriter import BlobWriter
from datavc.store.claims import create_claims
from datavc.store.packstream import PackStream, closing_streams
from datavc.store.packwriter import SealedPack
from datavc.store.roots import new_root
from datavc.workspace.folders import OpenFolders
from datavc.workspace.listing import Folder, Part, Scan
from datavc.workspace.readfile import stat_tuple

# Files above this are cut into chunks, in this process and its threads; the others go to worker processes in units.
LARGE_BYTES = 1 << 20
_SECONDS_PER_FILE, _SECONDS_PER_BYTE = 25e-6, 2e-9
_CHECKPOINT_SECONDS = 30.0

Files = list[tuple[Folder, int]]


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
        self._purged = PurgedFiles(self._cache)
        self._reachable = Reachable(self._cache, scan.algorithm, root.indexes if root else ())
        # Of a partial workspace, what was not checked out need not be in the cache: then the root does not vouch for it.
        self._is_whole = self._base_root is not None or not scan.kept
        self._stored_bytes = self._new_files = self._new_bytes = self._read_bytes = 0
        self._checkpointed = time.monotonic()

    def run(self) -> Stored:
        """Store everything, and publish the root.

        Raises:
            ConflictError: a file changed while it was read. PurgedError: it was purged, and is not taken back.
            StorageError, OutOfSpace: the cache or a file failed. What was finished stays and is used by the next run.
        """
        self._purged.refuse_known(self._scan)
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

    def wanted(self) -> list[Part]:
        """The files whose bytes must be read: unknown ones, and known ones whose bytes are not in the cache."""
        wanted = {folder.path: (folder, numbers) for folder, numbers in self._scan.unknown()}
        unproved: dict[bytes, list[tuple[Folder, int]]] = {}
        for folder in (self._scan.top, *self._scan.folders.values()):
            if folder.path in wanted and len(wanted[folder.path][1]) == len(folder.names):
                continue
            present = self._present(folder)
            if present is None and self._place.link == "copy":
                continue
            present = present or set()
            for number, digest in enumerate(folder.digests):
                if digest is None or folder.kinds[number] == FOLDER:
                    continue
                # A root speaks of packs alone, so whole blobs are looked for each time.
                if digest not in present or self._is_shared(folder, number):
                    unproved.setdefault(digest, []).append((folder, number))
        found = self._reachable.known.find_many(unproved) if unproved else {}
        for digest, places in unproved.items():
            size = places[0][0].size(places[0][1])
            if self._reachable.is_whole(digest, found.get(digest)) or self._cache.has_blob(digest, size):
                self._reachable.found((digest,))
                continue
            for folder, number in places:
                if folder.is_elsewhere(number):
                    self._is_whole = False
                else:
                    wanted.setdefault(folder.path, (folder, []))[1].append(number)
        return [(folder, sorted(numbers)) for folder, numbers in wanted.values()]

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

    def _store_files(self, wanted: list[Part], scratch: Path) -> None:
        if not wanted:
            return
        small, large, shared = self._split(wanted)
        self._purged.refuse_large(self._place.workspace, [*large, *shared], self._place.links_into)
        total = sum(sum(folder.sizes(numbers)) for folder, numbers in wanted)
        self._progress.begin(
            "adding", total_bytes=total, total_files=sum(len(numbers) for _, numbers in wanted)
        )
        self._store_small(small, scratch)
        self._store_large(large, scratch)
        self._store_shared(shared, scratch)
        self._progress.end()

    def _split(self, wanted: list[Part]) -> tuple[list[Part], Files, Files]:
        """What goes to the workers, what is cut into chunks, and what is shared with the workspace."""
        small: list[Part] = []
        large: Files = []
        shared: Files = []
        limit = LARGE_BYTES if self._place.link == "copy" else min(LARGE_BYTES, self._place.share_above - 1)
        for folder, numbers in wanted:
            if max(folder.sizes(numbers)) <= limit:
                small.append((folder, numbers))
                continue
            rest = []
            for number in numbers:
                if self._is_shared(folder, number):
                    shared.append((folder, number))
                elif folder.size(number) > LARGE_BYTES and folder.kinds[number] in (FILE, EXECUTABLE):
                    large.append((folder, number))
                else:
                    rest.append(number)
            if rest:
                small.append((folder, rest))
        return small, large, shared

    def _is_shared(self, folder: Folder, number: int) -> bool:
        """Whether the file is kept as a whole blob, linked to the workspace."""
        if self._place.link == "copy" or folder.kinds[number] not in (FILE, EXECUTABLE):
            return False
        return folder.size(number) >= self._place.share_above

    def _store_small(self, small: list[Part], scratch: Path) -> None:
        files = sum(len(numbers) for _, numbers in small)
        size = sum(sum(folder.sizes(numbers)) for folder, numbers in small)
        claims = scratch / "claims"
        create_claims(claims, files + 1, self._length)
        settings = UnitSettings(
            self._place.workspace,
            self._scan.algorithm,
            self._cache.folder,
            scratch,
            self._reachable.known.names,
            claims,
            self._place.links_into,
            self._purged.digests,
        )
        units = (Unit(settings, folders) for folders in cut_units(small))
        seconds = files * _SECONDS_PER_FILE + size * _SECONDS_PER_BYTE
        for result in run_batches(store_unit, units, self._workers.executor(expected_seconds=seconds)):
            self._take(result)
            self._checkpoint_if_due()

    def _store_shared(self, shared: Files, scratch: Path) -> None:
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
        path, numbers, joined, stats, origins = columns
        folder = self._scan.top if path == self._scan.top.path else self._scan.folders[path]
        digests = decode_digests(memoryview(joined), self._length)
        first, end = numbers[0], numbers[-1] + 1
        if end - first == len(numbers):
            folder.digests[first:end] = digests
            folder.stats[4 * first : 4 * end] = array("q", stats)
        else:
            for place, number in enumerate(numbers):
                folder.digests[number] = digests[place]
                folder.stats[4 * number : 4 * number + 4] = array("q", stats[32 * place : 32 * place + 32])
        if origins.count(STORED) < len(origins):
            self._reachable.found(compress(digests, map(KNOWN.__eq__, origins)))
            self._reachable.claimed(compress(digests, map(CLAIMED.__eq__, origins)))

    def _add_pack(self, pack: SealedPack) -> None:
        self._stored_bytes += pack.size
        self._reachable.add_pack(pack)

    def _store_large(self, large: Files, scratch: Path) -> None:
        if not large:
            return
        with ThreadPoolExecutor(2) as publishers:
            data, meta = self._stream(scratch, DATA, publishers), self._stream(scratch, META)
            with closing_streams((data, meta)):
                writer = BlobWriter(self._scan.algorithm, data, meta, self._reachable.has)
                for done in store_large(
                    self._place,
                    self._scan.algorithm,
                    large,
                    writer,
                    self._reachable.has,
                    jobs=self._workers.jobs,
                    advance=self._advance,
                ):
                    self._take_large(done)

    def _take_large(self, done: LargeFile) -> None:
        folder, number = done.folder, done.number
        folder.digests[number] = done.digest
        folder.stats[4 * number : 4 * number + 4] = array("q", stat_tuple(done.seen))
        self._new_files += 1 if done.stored else 0
        self._new_bytes += done.size if done.stored else 0
        self._reachable.found((done.digest,))
        self._progress.advance(files=1)

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

    # Trees, index, root

    def _store_trees(self, scratch: Path) -> Entry:
        entry, trees = self._scan.seal()
        old = self._base_trees.known_digests() if self._base_trees is not None else set()
        stream = self._stream(scratch, META)
        with closing_streams((stream,)):
            for digest, encoded in trees.items():
                if digest not in old and not self._reachable.has_whole(digest):
                    stream.add_tree(digest, encoded, self._reachable.has)
        self._place.stat_cache.write_trees(
            {digest: body for digest, body in trees.items() if digest not in old}
        )
        return entry

    def _publish(self, entry: Entry) -> Root:
        digest = Digest(self._scan.algorithm, entry.digest)
        if self._base_root is not None and self._base_root.digest == digest and self._reachable.is_empty():
            return self._base_root
        indexes = self._reachable.publish()
        make = new_root(
            self._cache.repo_id,
            digest,
            kind=KIND_NAMES[entry.kind],
            size=entry.size,
            files=entry.count,
            path=self._place.path,
            commit=self._place.commit,
            saved=self._place.saved,
            complete=self._is_whole,
        )
        return self._cache.publish_root(make, indexes)

    def _checkpoint_if_due(self) -> None:
        if time.monotonic() - self._checkpointed > _CHECKPOINT_SECONDS:
            self._checkpoint()

    def _checkpoint(self) -> None:
        self._reachable.checkpoint()
        self._place.stat_cache.write_rows(self._scan.changed_rows())
        self._checkpointed = time.monotonic()
