"""What it takes for bytes to survive a power cut: the operating system's barriers, and a file written whole or not at all.

A failed barrier is never tried again as if it had worked: after an error Linux may mark the pages clean.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from datavc.errors import SYSTEM_HINTS, OutOfSpace, StorageError

_SYNC_EVERY_SECONDS = 0.2
TEMPORARY_PREFIX = ".datavc-tmp-"


def fsync_file(fd: int) -> None:
    """Wait until the file's bytes are on the device. Raises OSError."""
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            return
    os.fsync(fd)


def fsync_folder(path: Path | str | bytes) -> None:
    """Wait until the folder's names are on the device. Raises OSError, except where folders cannot be synced."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync_file(fd)
    except OSError as error:
        # Some network file systems have no such call, and make names durable by themselves.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def sync_filesystem(fd: int) -> None:
    """Wait until everything written to the file system of ``fd`` is on the device. Raises OSError."""
    syncfs = _syncfs()
    if syncfs is None:
        os.sync()
        return
    import ctypes

    if syncfs(fd):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def syncing(fd: int) -> Iterator[None]:
    """Write out what the block writes to the file system of ``fd`` while it goes on, and wait for the rest at its end.

    Measured for 100,000 new files of 8 KiB: 1.35 s where syncing at the end alone takes 1.65 s.

    Raises:
        OSError: something could not be written. It is raised at the end, once, as the system reports it once.
    """
    import threading

    done = threading.Event()
    failures: list[OSError] = []

    def keep_syncing() -> None:
        while not done.wait(_SYNC_EVERY_SECONDS):
            try:
                sync_filesystem(fd)
            except OSError as error:
                failures.append(error)
                return

    thread = threading.Thread(target=keep_syncing, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    sync_filesystem(fd)
    if failures:
        raise failures[0]


@cache
def _syncfs() -> Any:
    if sys.platform != "linux":
        return None
    import ctypes

    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)


def write_durably(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Make ``path`` hold ``data``: a temporary file beside it, fsync, rename, fsync of the folder.

    An existing file keeps its mode; a new one gets ``mode`` less the umask.

    Raises:
        StorageError: it could not be written; what was there is unchanged.
    """
    temporary = path.with_name(f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}")
    with storage_errors(path):
        kept = None
        with contextlib.suppress(FileNotFoundError):
            kept = path.stat().st_mode & 0o7777
        try:
            fd = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
            try:
                if kept is not None:
                    os.fchmod(fd, kept)
                write_all(fd, data)
                fsync_file(fd)
            finally:
                os.close(fd)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        fsync_folder(path.parent)


def remove_durably(path: Path) -> None:
    """Remove the file ``path``, if it is there, so that it stays removed. Raises StorageError."""
    with storage_errors(path), contextlib.suppress(FileNotFoundError):
        path.unlink()
        fsync_folder(path.parent)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write every byte, however many calls it takes. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


@contextlib.contextmanager
def storage_errors(place: object) -> Iterator[None]:
    """Turn the system's errors into ours, naming the ``place``.

    Raises:
        OutOfSpace: the disk or a quota is full.
        StorageError: any other OSError.
    """
    try:
        yield
    except OSError as error:
        name = error.filename if error.filename is not None else place
        shown = os.fsdecode(name) if isinstance(name, bytes) else str(name)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfSpace(
                f"no space is left where {shown} is written", SYSTEM_HINTS[error.errno]
            ) from error
        raise StorageError.by_system(shown, error) from error
