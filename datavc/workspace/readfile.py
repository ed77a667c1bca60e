"""Reading a user's file so that what is read is one state of it: the stat before and after must agree."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from datavc.errors import ConflictError, StorageError
from datavc.formats.paths import show

_ATTEMPTS = 3
# Stat = (size in bytes, mtime_ns, ctime_ns, inode)
Stat = tuple[int, int, int, int]


def stat_tuple(seen: os.stat_result) -> Stat:
    """The four numbers by which a change is noticed."""
    return seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino


def open_file(name: bytes, folder_fd: int, links_into: bytes | None = None) -> int:
    """A descriptor of the file ``name``, which is no symlink, but for one into the folder ``links_into`` (the cache).

    Raises:
        StorageError: it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            return os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder_fd)
        except OSError as error:
            if error.errno != errno.ELOOP or links_into is None:
                raise
            target = os.readlink(name, dir_fd=folder_fd)
            if not target.startswith(links_into + b"/"):
                raise
            return os.open(target, flags | os.O_NOFOLLOW)
    except OSError as error:
        raise StorageError.by_system(f"{show(name)} cannot be read", error) from error


def read_small(name: bytes, folder_fd: int, links_into: bytes | None = None) -> tuple[bytes, os.stat_result]:
    """The content of a file of a few megabytes at most, and its stat.

    Raises:
        ConflictError: it is no regular file any more, or kept changing while it was read.
        StorageError: it cannot be read.
    """
    for _ in range(_ATTEMPTS):
        fd = open_file(name, folder_fd, links_into)
        try:
            before = os.fstat(fd)
            content = _read_all(fd, before.st_size)
            after = os.fstat(fd)
        except OSError as error:
            raise StorageError.by_system(f"{show(name)} cannot be read", error) from error
        finally:
            os.close(fd)
        if not stat.S_ISREG(before.st_mode):
            break
        if stat_tuple(before) == stat_tuple(after) and len(content) == after.st_size:
            return content, after
    raise changed_while_read(name)


def _read_all(fd: int, size: int) -> bytes:
    """One byte more than ``size`` is asked for, so that one call usually shows the end too."""
    content = os.read(fd, size + 1)
    if len(content) == size or not content:
        return content
    pieces = [content]
    while piece := os.read(fd, 1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


class StableFile:
    """An open file that is read once from front to back; :meth:`check` tells whether it stood still meanwhile."""

    def __init__(self, fd: int, name: bytes) -> None:
        self.fd = fd
        self.stat = os.fstat(fd)
        self._name = name

    def read(self, length: int) -> bytes:
        """At most ``length`` more bytes; none at the end. Raises StorageError."""
        try:
            return os.read(self.fd, length)
        except OSError as error:
            raise StorageError.by_system(f"{show(self._name)} cannot be read", error) from error

    def read_into(self, view: memoryview) -> int:
        """Fill ``view``, or a part of it, with the next bytes; tells how many, 0 at the end. Raises StorageError."""
        try:
            return os.readv(self.fd, [view])
        except OSError as error:
            raise StorageError.by_system(f"{show(self._name)} cannot be read", error) from error

    def check(self, read_bytes: int) -> None:
        """Raises ConflictError where the file changed since it was opened, or ``read_bytes`` is not its size."""
        after = os.fstat(self.fd)
        if stat_tuple(after) != stat_tuple(self.stat) or read_bytes != after.st_size:
            raise changed_while_read(self._name)


@contextmanager
def open_stable(name: bytes, folder_fd: int, links_into: bytes | None = None) -> Iterator[StableFile]:
    """Open a regular file for one pass. Raises ConflictError, StorageError."""
    fd = open_file(name, folder_fd, links_into)
    try:
        file = StableFile(fd, name)
        if not stat.S_ISREG(file.stat.st_mode):
            raise changed_while_read(name)
        yield file
    finally:
        os.close(fd)


def changed_while_read(name: bytes) -> ConflictError:
    """The error for a file that somebody writes at the same time."""
    return ConflictError(
        f"{show(name)} changed while it was being read",
        "stop what is writing it, then run the same command again",
    )
