"""The backend that is a folder: on this disk or on a mounted one, used by several processes, clones and users at once.

New folders and files take the mode and group of the top folder, so that a shared cache stays shared. Published files are
read-only; that keeps honest programs from editing them and is never taken as proof of anything.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datavc.backends.base import Backend, StoredFile, check_name
from datavc.durable import fsync_file, fsync_folder, storage_errors, write_all
from datavc.errors import NotFoundError, StorageError, StoredFileNotFound
from datavc.locking import is_free

# Of each thread and folder: what is read comes sorted by pack, and some systems allow a process 256 in all.
_OPEN_FILES = 16
REPLACED = "roots/"


class FolderBackend(Backend):
    """Keeps files below ``root``. Pickles as its place, so that workers open it for themselves."""

    def __init__(self, root: Path, *, create: bool = False) -> None:
        self.root = root
        self._prefix = f"{root}/"
        if create:
            with storage_errors(root):
                root.mkdir(parents=True, exist_ok=True)
        try:
            top = root.stat()
        except OSError as error:
            raise NotFoundError(f"the folder {root} cannot be opened: {error.strerror}") from error
        self._folder_mode = stat.S_IMODE(top.st_mode)
        self._file_mode = self._folder_mode & 0o444
        self._group = top.st_gid
        self._local = threading.local()
        # How often a name was given to other bytes, or to none: what a thread has open from before may be the former ones.
        self._changes = 0

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderBackend, (self.root,)

    def describe(self) -> str:
        return f"the folder {self.root}"

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if name.startswith(REPLACED):
            # Roots are replaced, so none is read through a descriptor that was kept.
            fd = self._open_new(name)
            try:
                return self._read_open(fd, name, start, length)
            finally:
                os.close(fd)
        return self._read_open(self._open(name), name, start, length)

    def _read_open(self, fd: int, name: str, start: int, length: int | None) -> bytes:
        # Called for every object of a checkout, so nothing is built for messages before there is one to send.
        try:
            if length is None:
                length = max(0, os.fstat(fd).st_size - start)
            data = os.pread(fd, length, start)
            while len(data) < length and (piece := os.pread(fd, length - len(data), start + len(data))):
                data += piece
        except OSError as error:
            raise StorageError.by_system(f"{self.root / name} cannot be read", error) from error
        if len(data) != length:
            raise StorageError(f"{self.root / name} ends before the {start + length} bytes that it must have")
        return data

    def head(self, name: str) -> StoredFile:
        # Called for every pack that a version lies in, so no Path is built: that takes five times as long as lstat.
        path = f"{self._prefix}{check_name(name)}"
        try:
            seen = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise StoredFileNotFound(f"{path} does not exist") from None
        except OSError as error:
            raise StorageError.by_system(path, error) from error
        if not stat.S_ISREG(seen.st_mode):
            raise StoredFileNotFound(f"{path} is no regular file")
        return StoredFile(name, seen.st_size, seen.st_mtime)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        check_name(prefix.removesuffix("/"))
        folders = [prefix.removesuffix("/")]
        while folders:
            folder = folders.pop()
            found = []
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in entries:
                        # One that was deleted meanwhile is not there; the others are.
                        with contextlib.suppress(FileNotFoundError):
                            found.append((entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise StorageError.by_system(f"{self.root / folder} cannot be listed", error) from error
            for name, seen in found:
                if stat.S_ISDIR(seen.st_mode):
                    folders.append(f"{folder}/{name}")
                elif stat.S_ISREG(seen.st_mode):
                    yield StoredFile(f"{folder}/{name}", seen.st_size, seen.st_mtime)

    def write(self, name: str, data: bytes) -> bool:
        with self.scratch() as folder:
            source = folder / "file"
            with storage_errors(self.root / name):
                _write_new(source, data)
            return self.write_file(name, source)

    def write_file(self, name: str, source: Path) -> bool:
        target = self.root / check_name(name)
        with storage_errors(target):
            size = self._prepare(source)
            for _ in range(3):
                self._make_folders(target.parent)
                try:
                    self._publish(source, target)
                except FileExistsError:
                    if self._is_same(name, size):
                        source.unlink(missing_ok=True)
                        fsync_folder(target.parent)
                        return False
                    self.put_aside(name)
                except FileNotFoundError:
                    # The folder was removed by somebody between its making and the link.
                    continue
                else:
                    fsync_folder(target.parent)
                    return True
        raise StorageError(f"{target} could not be written: something removes or replaces it again and again")

    def replace(self, name: str, data: bytes) -> None:
        target = self.root / check_name(name)
        with self.scratch() as folder, storage_errors(target):
            source = folder / "file"
            _write_new(source, data)
            self._prepare(source)
            self._make_folders(target.parent)
            os.replace(source, target)
            self._changes += 1
            fsync_folder(target.parent)

    def delete(self, name: str) -> None:
        target = self.root / check_name(name)
        with storage_errors(target), contextlib.suppress(FileNotFoundError):
            target.unlink()
            self._changes += 1
            fsync_folder(target.parent)

    def now(self) -> float:
        # Stamped by whoever keeps the disk, and without needing a byte of it: gc works on a full one.
        folder = self.root / "tmp"
        with storage_errors(folder):
            self._make_folders(folder)
            os.utime(folder)
            return folder.stat().st_mtime

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of one's own below ``tmp/``, on the same file system, removed afterwards.

        A locked file stands beside it: that of a process that died can be locked by others, who sweep the folder away.
        """
        parent = self.root / "tmp"
        owner = os.getpid()
        with storage_errors(parent):
            self._make_folders(parent)
            _sweep(parent)
            folder = parent / os.urandom(8).hex()
            lock = _new_lock(_lock_of(folder))
        try:
            with storage_errors(parent):
                folder.mkdir(mode=self._folder_mode)
            yield folder
        finally:
            if os.getpid() == owner:  # a process that was forked off meanwhile ends, too
                _remove_scratch(folder)
            os.close(lock)

    def close(self) -> None:
        """Let go of every file that this thread has open."""
        self._open_files().close()

    def _open_files(self) -> _OpenFiles:
        # Of each thread its own: one must not close what another reads from.
        files: _OpenFiles | None = getattr(self._local, "files", None)
        if files is None or files.pid != os.getpid() or files.changes != self._changes:
            files = self._local.files = _OpenFiles(self._changes)
        return files

    def _open(self, name: str) -> int:
        fds = self._open_files().fds
        fd = fds.get(name)
        if fd is None:
            fd = fds[name] = self._open_new(name)
            if len(fds) > _OPEN_FILES:
                os.close(fds.popitem(last=False)[1])
        return fd

    def _open_new(self, name: str) -> int:
        path = self.root / check_name(name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise StoredFileNotFound(f"{path} does not exist") from None
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoredFileNotFound(f"{path} is a symbolic link, not a stored file") from None
            raise StorageError.by_system(f"{path} cannot be read", error) from error
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise StoredFileNotFound(f"{path} is no regular file")
        return fd

    def _prepare(self, source: Path) -> int:
        """Give the file its final mode and group and make its bytes durable; returns its length."""
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            seen = os.fstat(fd)
            if seen.st_gid != self._group:
                with contextlib.suppress(PermissionError):
                    os.fchown(fd, -1, self._group)
            os.fchmod(fd, self._file_mode)
            fsync_file(fd)
            return seen.st_size
        finally:
            os.close(fd)

    def _publish(self, source: Path, target: Path) -> None:
        """Name the file, never over another. Raises FileExistsError, FileNotFoundError, OSError."""
        try:
            os.link(source, target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EXDEV):
                raise
            if target.exists():
                raise FileExistsError(errno.EEXIST, "exists", str(target)) from error
            # No hard links here: a rename, which would replace an equal file of the same instant by its twin.
            os.rename(source, target)
            return
        source.unlink(missing_ok=True)

    def _make_folders(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folders(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            if folder.stat().st_gid != self._group:
                with contextlib.suppress(PermissionError):
                    os.chown(folder, -1, self._group)
            folder.chmod(self._folder_mode)
            fsync_folder(folder.parent)

    def _is_same(self, name: str, size: int) -> bool:
        """Whether what stands under the name is what is to be written. Raises FileNotFoundError, OSError."""
        seen = (self.root / name).lstat()
        return stat.S_ISREG(seen.st_mode) and seen.st_size == size

    def put_aside(self, name: str) -> None:
        """Move what stands under a name that it cannot have into ``quarantine/``; nothing is ever thrown away."""
        target = self.root / check_name(name)
        place = self.root / "quarantine"
        self._make_folders(place)
        flat = str(target.relative_to(self.root)).replace("/", "-")
        os.rename(target, place / f"{flat}-{os.urandom(4).hex()}")
        self._changes += 1


class _OpenFiles:
    """Descriptors that are kept for the next read; bare numbers, which nobody else would close."""

    def __init__(self, changes: int) -> None:
        self.fds: OrderedDict[str, int] = OrderedDict()
        self.pid = os.getpid()
        self.changes = changes

    def close(self) -> None:
        if self.pid == os.getpid():
            for fd in self.fds.values():
                os.close(fd)
        self.fds.clear()

    def __del__(self) -> None:
        self.close()


def _write_new(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, data)
    finally:
        os.close(fd)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _remove_scratch(folder: Path) -> None:
    """The lock goes last, so that a folder without one is nobody's."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        with contextlib.suppress(OSError):
            _lock_of(folder).unlink(missing_ok=True)


def _new_lock(path: Path) -> int:
    """A new locked file. One that is swept away between its making and its locking is made again."""
    while True:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            is_ours = is_free(fd) != "held" and _is_at(path, fd)
        except OSError:
            os.close(fd)
            raise
        if is_ours:
            return fd
        os.close(fd)


def _is_at(path: Path, fd: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.lstat(path), os.fstat(fd))
    return False


def _sweep(parent: Path) -> None:
    """Remove the scratch folders of processes that are gone: their lock can be had, or is no more."""
    names = set(os.listdir(parent))
    for name in names:
        folder = parent / name.removesuffix(".lock")
        if name.endswith(".lock"):
            _sweep_locked(folder)
        elif not _lock_of(folder).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _sweep_locked(folder: Path) -> None:
    try:
        lock = os.open(_lock_of(folder), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        # Gone meanwhile, or somebody else's.
        return
    try:
        # Without locks everybody counts as alive. A lock that another sweep removed meanwhile says nothing: its owner, who
        # was just making it, has made a new one.
        if is_free(lock) == "free" and _is_at(_lock_of(folder), lock):
            _remove_scratch(folder)
    finally:
        os.close(lock)
