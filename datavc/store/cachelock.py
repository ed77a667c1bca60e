"""A lock on a cache: who deletes from it without waiting a grace waits for who relies on what is there, and the other way.

It is on the note that every store has, so that it takes no room on a full disk; that of a process that died is gone with
it. On a network file system without locks there is none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datavc.durable import storage_errors
from datavc.locking import take
from datavc.store.layout import STORE_NOTE


@contextmanager
def relied_on(folder: Path) -> Iterator[None]:
    """For the block, what is in the cache at ``folder`` stays. Many may have this at once. Raises Locked, StorageError."""
    with _opened(folder) as fd:
        take(fd, _name(folder), shared=True, busy="datavc evict or gc, which is deleting from it")
        yield


@contextmanager
def to_oneself(folder: Path) -> Iterator[None]:
    """For the block, nobody relies on what is in the cache at ``folder``.

    Raises:
        Locked: a command is storing something in it. StorageError: the file system has no locks.
    """
    with _opened(folder) as fd:
        take(fd, _name(folder), busy="another command, which is storing something in it", needed=True)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    place = folder / STORE_NOTE
    with storage_errors(place):
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _name(folder: Path) -> str:
    return f"the cache {folder}"
