"""Carrying out the plan of a checkout: folders, files in worker processes, exec bits, and last what has to go."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from array import array
from collections.abc import Iterator

from datavc.durable import storage_errors, syncing
from datavc.errors import ConflictError
from datavc.formats.paths import show, split
from datavc.formats.tree import FOLDER, Tree
from datavc.operations.steps.delivering.deliver import (
    DeliverBatch,
    DeliveredFolder,
    DeliverRow,
    DeliverSettings,
    FolderBatch,
    deliver_batch,
)
from datavc.operations.steps.delivering.locating import Located
from datavc.operations.steps.delivering.plan import FolderWork, Plan
from datavc.operations.steps.examining.examine import View, filesystem_clock, traits
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.operations.steps.storing.linking import link_kind
from datavc.operations.steps.trees.trees import TreeSource
from datavc.parallel import Workers, run_batches
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.workspace.listing import Folder, Scan
from datavc.workspace.readfile import Stat, stat_tuple
from datavc.workspace.safepath import make_folder, open_folder
from datavc.workspace.statcache import FolderRow

_BATCH_FILES, _BATCH_BYTES = 1000, 16 << 20
_SECONDS_PER_FILE, _SECONDS_PER_BYTE = 40e-6, 1.5e-9


def deliver_workers(jobs: int) -> Workers:
    """Processes that deliver batches."""
    return Workers(jobs, preload=deliver_batch.__module__)


class Fulfilment:
    """Carries out one plan. Interrupted, every file is wholly old or wholly new."""

    def __init__(
        self,
        repo: Repo,
        view: View,
        plan: Plan,
        located: Located,
        target: TreeSource,
        *,
        workers: Workers,
        progress: Progress,
    ) -> None:
        self._repo = repo
        self._view = view
        self._plan = plan
        self._located = located
        self._target = target
        self._workers = workers
        self._progress = progress
        self._delivered: dict[bytes, list[DeliveredFolder]] = {}
        self._modes_set: dict[bytes, dict[bytes, Stat]] = {}

    def run(self) -> None:
        """Do it all, durably. What :meth:`remember` does may wait until other datasets are done too.

        Raises:
            ConflictError, StorageError, IntegrityError: as :func:`deliver_batch`.
        """
        root_fd = os.open(self._repo.root_bytes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with storage_errors(self._repo.root):
                with syncing(root_fd):
                    sweep(self._repo, [*self._view.scan.leftovers, *beside(self._repo, [self._view.path])])
                    self._remove(root_fd, self._plan.cleared, self._plan.cleared_folders)
                    self._make_folders(root_fd)
                    self._write(root_fd)
                    self._set_modes(root_fd)
                    self._remove(root_fd, self._plan.removed, self._plan.removed_folders)
        finally:
            os.close(root_fd)

    def _make_folders(self, root_fd: int) -> None:
        parent = self._view.path.rpartition(b"/")[0]
        if parent:
            os.close(open_folder(root_fd, parent.split(b"/"), create=True))
        for work in self._plan.folders:
            if work.is_new and not (work.is_leaf and work.entries):
                os.close(open_folder(root_fd, work.path.split(b"/"), create=True))

    def _write(self, root_fd: int) -> None:
        plan = self._plan
        if not plan.written_files:
            return
        self._progress.begin("checking out", total_bytes=plan.written_bytes, total_files=plan.written_files)
        seconds = plan.written_files * _SECONDS_PER_FILE + plan.written_bytes * _SECONDS_PER_BYTE
        settings = DeliverSettings(
            self._repo.root_bytes,
            self._repo.cache_folder,
            self._repo.config.repo_id,
            self._repo.algorithm,
            self._located.indexes,
            traits(self._repo, self._view.path).symlinks,
            link_kind(self._repo, self._view.path) if self._located.blobs else "copy",
        )
        batches = (DeliverBatch(settings, folders) for folders in self._batches())
        executor = self._workers.executor(expected_seconds=seconds)
        for delivered in run_batches(deliver_batch, batches, executor):
            for folder in delivered:
                self._delivered.setdefault(folder.path, []).append(folder)
            self._progress.advance(
                size=sum(folder.size for folder in delivered),
                files=sum(len(folder.names) for folder in delivered),
            )
        self._progress.end()

    def _batches(self) -> Iterator[list[FolderBatch]]:
        batch: list[FolderBatch] = []
        files = size = 0
        for work in self._plan.folders:
            for start, rows, whole in self._cut(work):
                batch.append(FolderBatch(work.path, whole and work.is_new and work.is_leaf, rows))
                files += len(rows)
                size += sum(entry.size for entry in work.entries[start : start + len(rows)])
                if files >= _BATCH_FILES or size >= _BATCH_BYTES:
                    yield batch
                    batch, files, size = [], 0, 0
        if batch:
            yield batch

    def _cut(self, work: FolderWork) -> Iterator[tuple[int, list[DeliverRow], bool]]:
        """The rows of one folder in pieces that a worker takes at once; whether a piece is all of it."""
        entries, locations = work.entries, self._located.locations
        rows: list[DeliverRow] = [
            (entry.name, entry.kind, entry.digest, locations.get(entry.digest), replaced)
            for entry, replaced in zip(entries, work.replaced, strict=True)
        ]
        if not rows:
            return
        size = sum(entry.size for entry in entries)
        if len(rows) <= 4 * _BATCH_FILES and size <= 4 * _BATCH_BYTES:
            yield 0, rows, True
            return
        if work.is_new and work.is_leaf:
            # Too much for one worker: made in place, file by file.
            make_folder(self._repo.root_bytes, work.path)
        start = files = size = 0
        for place, entry in enumerate(entries):
            files, size = files + 1, size + entry.size
            if files >= _BATCH_FILES or size >= _BATCH_BYTES:
                yield start, rows[start : place + 1], False
                start, files, size = place + 1, 0, 0
        if start < len(rows):
            yield start, rows[start:], False

    def _set_modes(self, root_fd: int) -> None:
        for path, executable, expected in self._plan.modes:
            with _folder_of(root_fd, path) as (folder_fd, name):
                fd = os.open(
                    name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder_fd
                )
                try:
                    seen = os.fstat(fd)
                    if stat_tuple(seen) != expected:
                        raise _changed(path)
                    mode = seen.st_mode & 0o7777
                    # As git does: whoever may read may execute.
                    os.fchmod(fd, mode | (mode & 0o444) >> 2 if executable else mode & ~0o111)
                    self._modes_set.setdefault(split(path)[0], {})[name] = stat_tuple(os.fstat(fd))
                finally:
                    os.close(fd)

    def _remove(self, root_fd: int, files: list[tuple[bytes, Stat]], folders: list[bytes]) -> None:
        for path, expected in files:
            with contextlib.suppress(FileNotFoundError), _folder_of(root_fd, path) as (folder_fd, name):
                seen = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
                if stat_tuple(seen) != expected:
                    raise _changed(path)
                os.unlink(name, dir_fd=folder_fd)
        for path in sorted(folders, key=lambda path: -path.count(b"/")):
            with _folder_of(root_fd, path) as (folder_fd, name):
                try:
                    os.rmdir(name, dir_fd=folder_fd)
                except OSError as error:
                    # A folder that still holds something, such as ignored files, stays.
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                        raise

    def remember(self) -> None:
        """Write the stat rows of every folder that was touched, from what was written and what was there before.

        Waits until the file system's clock has moved on from the last write: once for several datasets, if they are
        remembered after all of them are written.
        """
        scan = Scan(self._repo.algorithm, self._view.scan.top, clock_ns=self._clock())
        before = self._view.scan.folders
        gone = [path for path in self._plan.touched if self._folder(path) is None]
        for path in sorted(self._plan.touched):
            tree = self._folder(path)
            if tree is None:
                continue
            stats = self._stats_of(path, tree, before.get(path))
            scan.folders[path] = Folder(path, tree.names, bytearray(tree.kinds), stats, list(tree.digests))
        rows = scan.changed_rows()
        rows.pop(scan.top.path, None)
        self._top_row(scan, rows)
        self._repo.stat_cache.write_rows(rows, drop=gone)
        self._repo.stat_cache.write_trees(self._target.encoded_trees())

    def _stats_of(self, path: bytes, tree: Tree, old: Folder | None) -> array[int]:
        """The stats of a folder's entries: of what was written, and of what was there before and is as in the target.

        After a checkout of a part, the rest may be of another version, and must be hashed when it is looked at.
        """
        delivered = self._delivered.get(path, ())
        if old is None and len(delivered) == 1 and delivered[0].names == tree.names:
            return array("q", delivered[0].stats)
        new = self._written(path)
        numbers = {name: number for number, name in enumerate(old.names)} if old is not None else {}
        stats = array("q")
        for name, kind, digest in zip(tree.names, tree.kinds, tree.digests, strict=True):
            seen: Stat = (0, 0, 0, 0)
            if kind != FOLDER:
                if name in new:
                    seen = new[name]
                elif old is not None and name in numbers:
                    number = numbers[name]
                    if (old.kinds[number], old.digests[number]) == (kind, digest):
                        seen = tuple(old.stats[4 * number : 4 * number + 4])  # type: ignore[assignment]
            stats.extend(seen)
        return stats

    def _written(self, path: bytes) -> dict[bytes, Stat]:
        """The stats of what was written, or given another mode, in the folder ``path``."""
        written: dict[bytes, Stat] = {}
        for folder in self._delivered.get(path, ()):
            numbers = iter(array("q", folder.stats))
            written.update(
                zip(folder.names, zip(numbers, numbers, numbers, numbers, strict=True), strict=True)
            )
        return written | self._modes_set.get(path, {})

    def _folder(self, path: bytes) -> Tree | None:
        return self._target.folder(path, self._view.path)

    def _top_row(self, scan: Scan, rows: dict[bytes, FolderRow]) -> None:
        """The row of the dataset's own entry, where it is a single file."""
        parent, _, name = self._view.path.rpartition(b"/")
        seen = self._written(parent).get(name)
        if seen is not None and self._target.kind != FOLDER:
            top = Folder(
                scan.top.path, [name], bytearray([self._target.kind]), array("q", seen), [self._target.top]
            )
            only = Scan(scan.algorithm, top, clock_ns=scan.clock_ns)
            rows.update(only.changed_rows())

    def _clock(self) -> int:
        """The file system's time once it has moved on from the last write, so that no row is racy."""
        ctimes = [max(array("q", folder.stats)[2::4]) for done in self._delivered.values() for folder in done]
        ctimes += [seen[2] for changed in self._modes_set.values() for seen in changed.values()]
        latest = max(ctimes, default=0)
        for _ in range(20):
            if filesystem_clock(self._repo, self._view.path) > latest + 15_000_000:
                break
            time.sleep(0.005)
        return filesystem_clock(self._repo, self._view.path)


@contextlib.contextmanager
def _folder_of(root_fd: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    """The open folder that holds ``path``, reached without following a symlink, and the last name."""
    folder, _, name = path.rpartition(b"/")
    folder_fd = open_folder(root_fd, folder.split(b"/") if folder else [])
    try:
        yield folder_fd, name
    finally:
        os.close(folder_fd)


def _changed(path: bytes) -> ConflictError:
    return ConflictError(f"{show(path)} changed while it was being checked out", "run the same command again")
