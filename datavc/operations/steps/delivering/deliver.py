"""The worker of ``checkout``: puts objects in place as files. Each is staged, verified, and only then renamed.

A batch is staged as a whole, synced once, then renamed: after a power cut too each file is wholly old or wholly new, and
the file that a name was given to is not an empty one, which would look like somebody's unsaved work.

A folder that one batch writes whole, and that holds no folders, is staged as a folder and renamed once: a rename for each of
100,000 files costs a second of one core (tests/benchmarks/compare.py, case ``checkout``).
"""

from __future__ import annotations

import contextlib
import os
import stat
from array import array
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from datavc.durable import storage_errors, sync_filesystem, write_all
from datavc.errors import ConflictError, DatavcError, DigestMismatch, MalformedError
from datavc.formats.digest import hash_function
from datavc.formats.paths import show
from datavc.formats.tree import EXECUTABLE, SYMLINK
from datavc.operations.steps.storing.linking import hash_open
from datavc.store.cache import Cache
from datavc.store.index import Location
from datavc.store.reader import ObjectReader
from datavc.workspace.links import LinkKind, place
from datavc.workspace.readfile import Stat, stat_tuple
from datavc.workspace.safepath import RESERVED_PREFIX, open_folder

_NEW_FILE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPARSE_FROM = 64 << 10
# Linux takes no longer target of a symlink, and no other system does.
_MAX_TARGET = 4095


class DeliverSettings(NamedTuple):
    """What all batches of one checkout have in common."""

    root: bytes
    cache: Path
    repo_id: str
    algorithm: str
    indexes: tuple[str, ...]
    symlinks: bool
    link: LinkKind


# name, kind, digest, location (None: a whole blob), stat of what it replaces
DeliverRow = tuple[bytes, int, bytes, Location | None, Stat | None]


class FolderBatch(NamedTuple):
    """Entries to write into one folder; ``staged`` where the folder is new and this batch makes all of it."""

    path: bytes
    staged: bool
    rows: list[DeliverRow]


class DeliverBatch(NamedTuple):
    """The unit of work of one worker call."""

    settings: DeliverSettings
    folders: list[FolderBatch]


class _Staged(NamedTuple):
    """A folder batch under temporary names: that of the folder, or one for each file. A folder's stats are known by then."""

    folder: FolderBatch
    temporaries: list[bytes]
    stats: array[int]
    size: int


class DeliveredFolder(NamedTuple):
    """The stats, four integers an entry, of what was written, in the order of the batch's rows."""

    path: bytes
    names: list[bytes]
    stats: bytes
    size: int


def deliver_batch(batch: DeliverBatch) -> list[DeliveredFolder]:
    """Write one batch.

    Raises:
        DigestMismatch, MalformedError, ObjectNotFound: an object is damaged or gone; files before it are in place.
        ConflictError: a file changed since the checkout was planned, or a folder became a symlink.
        StorageError, OutOfSpace: it could not be written.
    """
    writer = _FolderWriter(batch.settings)
    root_fd = os.open(batch.settings.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    staged: list[_Staged] = []
    delivered: list[DeliveredFolder] = []
    try:
        for folder in batch.folders:
            staged.append(writer.stage(root_fd, folder))
        # A name that survives a power cut must not come before its content.
        with storage_errors(show(batch.settings.root)):
            sync_filesystem(root_fd)
        for item in staged:
            delivered.append(_place(root_fd, item))
        return delivered
    except BaseException:
        for item in staged[len(delivered) :]:
            _unstage(root_fd, item)
        raise
    finally:
        os.close(root_fd)


def _place(root_fd: int, staged: _Staged) -> DeliveredFolder:
    """Give what was staged its names."""
    folder, parts = staged.folder, _parts(staged.folder.path)
    stats, size = staged.stats, staged.size
    with storage_errors(show(folder.path)):
        parent_fd = open_folder(root_fd, parts[:-1] if folder.staged else parts)
        try:
            if folder.staged:
                _rename_folder(parent_fd, staged.temporaries[0], parts[-1], folder.path)
            else:
                for row, temporary in zip(folder.rows, staged.temporaries, strict=True):
                    seen = _replace(parent_fd, temporary, folder.path, row)
                    stats.extend(stat_tuple(seen))
                    size += seen.st_size
        finally:
            os.close(parent_fd)
    return DeliveredFolder(folder.path, [row[0] for row in folder.rows], stats.tobytes(), size)


def _rename_folder(parent_fd: int, temporary: bytes, name: bytes, path: bytes) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=parent_fd, dst_dir_fd=parent_fd)
    except OSError as error:
        raise ConflictError(
            f"{show(path)} appeared while it was being checked out", "run the same command again"
        ) from error


def _replace(folder_fd: int, temporary: bytes, path: bytes, row: DeliverRow) -> os.stat_result:
    """Look once more at what a file replaces, then rename."""
    name, expected = row[0], row[4]
    try:
        if _stat_or_none(name, folder_fd) != expected:
            raise _changed(path, name)
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
    except FileNotFoundError as error:
        raise _changed(path, name) from error
    # The rename gave the file a new ctime. A link into the cache is known by the stat of what it shows.
    linked = row[1] != SYMLINK and row[3] is None
    return os.stat(name, dir_fd=folder_fd, follow_symlinks=linked)


def _changed(path: bytes, name: bytes) -> ConflictError:
    where = path + b"/" + name if path else name
    return ConflictError(
        f"{show(where)} changed while it was being checked out", "run the same command again"
    )


def _unstage(root_fd: int, staged: _Staged) -> None:
    """Remove what was staged and came to nothing; what cannot be found is swept by the next command."""
    parts = _parts(staged.folder.path)
    with contextlib.suppress(OSError, DatavcError):
        parent_fd = open_folder(root_fd, parts[:-1] if staged.folder.staged else parts)
        try:
            for name in staged.temporaries:
                _clear(parent_fd, name)
        finally:
            os.close(parent_fd)


def _parts(path: bytes) -> list[bytes]:
    return path.split(b"/") if path else []


def _temporary_name() -> bytes:
    return RESERVED_PREFIX + os.urandom(8).hex().encode()


class _FolderWriter:
    def __init__(self, settings: DeliverSettings) -> None:
        self._reader = _open_reader(settings)
        self._hash = hash_function(settings.algorithm)
        self._symlinks = settings.symlinks
        self._link = settings.link
        self._blob_file = Cache(settings.cache, settings.repo_id, settings.algorithm).blob_file
        self._algorithm = settings.algorithm

    def stage(self, root_fd: int, folder: FolderBatch) -> _Staged:
        """Write all of it beside its place, under temporary names."""
        parts = _parts(folder.path)
        with storage_errors(show(folder.path)):
            parent_fd = open_folder(root_fd, parts[:-1] if folder.staged else parts)
            try:
                return (self._stage_folder if folder.staged else self._stage_files)(parent_fd, folder)
            finally:
                os.close(parent_fd)

    def _stage_folder(self, parent_fd: int, folder: FolderBatch) -> _Staged:
        stats, size = array("q"), 0
        temporary = _temporary_name()
        os.mkdir(temporary, dir_fd=parent_fd)
        try:
            folder_fd = open_folder(parent_fd, [temporary])
            try:
                for row in folder.rows:
                    seen = self._create(folder_fd, row[0], row)
                    stats.extend(stat_tuple(seen))
                    size += seen.st_size
            finally:
                os.close(folder_fd)
        except BaseException:
            _clear(parent_fd, temporary)
            raise
        return _Staged(folder, [temporary], stats, size)

    def _stage_files(self, folder_fd: int, folder: FolderBatch) -> _Staged:
        temporaries: list[bytes] = []
        try:
            for row in folder.rows:
                temporaries.append(_temporary_name())
                self._create(folder_fd, temporaries[-1], row)
        except BaseException:
            for name in temporaries:
                _clear(folder_fd, name)
            raise
        return _Staged(folder, temporaries, array("q"), 0)

    def _create(self, folder_fd: int, name: bytes, row: DeliverRow) -> os.stat_result:
        _, kind, digest, location, _ = row
        if kind == SYMLINK and self._symlinks:
            os.symlink(self._target(row), name, dir_fd=folder_fd)
            return os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        if location is None and self._link != "copy":
            return self._link_blob(folder_fd, name, digest, executable=kind == EXECUTABLE)
        fd = os.open(name, _NEW_FILE, 0o777 if kind == EXECUTABLE else 0o666, dir_fd=folder_fd)
        try:
            if location is not None and not location[4] & 1:
                content = self._reader.read_whole(digest, location)
                if os.write(fd, content) != len(content):
                    os.lseek(fd, 0, os.SEEK_SET)
                    write_all(fd, content)
            else:
                _write_sparse(fd, self._reader.stream(digest))
            return os.fstat(fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder_fd)
            raise
        finally:
            os.close(fd)

    def _target(self, row: DeliverRow) -> bytes:
        target = b""
        for piece in self._content(row[2], row[3]):
            target += piece
            if len(target) > _MAX_TARGET:
                break
        if not 0 < len(target) <= _MAX_TARGET or b"\0" in target:
            raise MalformedError(f"{show(row[0])} is a symlink with a target that no file system takes")
        return target

    def _link_blob(self, folder_fd: int, name: bytes, digest: bytes, *, executable: bool) -> os.stat_result:
        """Link a whole blob into the workspace, and hash what the workspace will show."""
        blob = self._blob_file(digest)
        place(self._link, blob, folder_fd, name, executable=executable)
        try:
            fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder_fd)
            try:
                found, _ = hash_open(fd, self._algorithm)
            finally:
                os.close(fd)
            if found != digest:
                raise DigestMismatch(f"the blob {blob} is damaged", "datavc fsck")
            return os.stat(name, dir_fd=folder_fd)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=folder_fd)
            raise

    def _content(self, digest: bytes, location: Location | None) -> Iterator[bytes]:
        if location is not None and not location[4] & 1:
            yield self._reader.read_whole(digest, location)
        else:
            yield from self._reader.stream(digest)


def _write_sparse(fd: int, pieces: Iterator[bytes]) -> None:
    """Write pieces one behind the other, leaving holes where long ones are all zeros."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if len(piece) >= _SPARSE_FROM and not piece[0] and piece == bytes(len(piece)):
            os.lseek(fd, len(piece), os.SEEK_CUR)
        else:
            write_all(fd, piece)
    os.ftruncate(fd, size)


def _stat_or_none(name: bytes, folder_fd: int) -> Stat | None:
    try:
        seen = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return (0, 0, 0, 0) if stat.S_ISDIR(seen.st_mode) else stat_tuple(seen)


def _clear(parent_fd: int, temporary: bytes) -> None:
    """Remove a temporary file, or a staged folder of files, if it is there."""
    with contextlib.suppress(OSError, DatavcError):
        with contextlib.suppress(IsADirectoryError, PermissionError):
            os.unlink(temporary, dir_fd=parent_fd)
            return
        folder_fd = open_folder(parent_fd, [temporary])
        try:
            for name in os.listdir(folder_fd):
                os.unlink(name, dir_fd=folder_fd)
        finally:
            os.close(folder_fd)
        os.rmdir(temporary, dir_fd=parent_fd)


@lru_cache(maxsize=2)
def _open_reader(settings: DeliverSettings) -> ObjectReader:
    from datavc.store.index import ObjectIndex

    cache = Cache(settings.cache, settings.repo_id, settings.algorithm)
    index = ObjectIndex(cache.backend, settings.algorithm, settings.indexes)
    return ObjectReader(cache.backend, settings.algorithm, index.find)
