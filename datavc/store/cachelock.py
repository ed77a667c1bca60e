"""A lock on a cache: who deletes from it without waiting a grace waits for who relies on what is there, and the other way.

It is on the note that every store has, so that it takes no room on a full disk; that of a process that died is gone with
it. On a network file system without locks there is none.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datavc.durable import storage_errors
from datavc.errors import Locked, StorageError
from datavc.store.layout import STORE_NOTE

_PATIENCE_SECONDS = 10.0
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF)


@contextmanager
def relied_on(folder: Path) -> Iterator[None]:
    """For the block, what is in the cache at ``folder`` stays. Many may have this at once. Raises Locked, StorageError."""
    with _locked(folder, fcntl.LOCK_SH, "datavc evict or gc is deleting from"):
        yield


@contextmanager
def to_oneself(folder: Path) -> Iterator[None]:
    """For the block, nobody relies on what is in the cache at ``folder``. Raises Locked, StorageError."""
    with _locked(folder, fcntl.LOCK_EX, "another command is storing something in"):
        yield


@contextmanager
def _locked(folder: Path, kind: int, why: str) -> Iterator[None]:
    place = folder / STORE_NOTE
    with storage_errors(place):
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not _has_lock(fd, kind):
            if time.monotonic() > deadline:
                raise Locked(
                    f"{why} the cache {folder}", "wait until it is done, then run the same command again"
                )
            time.sleep(0.1)
        yield
    finally:
        os.close(fd)


def _has_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _WITHOUT_LOCKS:
            return True
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise StorageError(f"the cache cannot be locked: {error.strerror}") from error
        return False
    return True
