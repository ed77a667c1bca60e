"""Where gc works: the cache or a remote, opened so that it is the only gc there, and with a clock that can be believed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from datavc.backends.base import Backend
from datavc.durable import storage_errors
from datavc.errors import ConflictError
from datavc.locking import take
from datavc.operations.steps.cleaning.alone import alone
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store.cachelock import relied_on
from datavc.store.note import check_note

_MOST_SKEW_SECONDS = 300.0


@contextmanager
def opened(repo: Repo, remote: str | None, *, now: bool, dry_run: bool) -> Iterator[tuple[Backend, Executor]]:
    """The store that gc works on, and threads for it. With ``now`` nobody else is at work on a cache. Raises as gc does."""
    if remote is not None:
        store = open_remote(repo, remote, create=not dry_run)
        check_note(store.backend, create=False)
        with transfer_threads(threads_for(DEFAULT_MEMORY), [store]) as executor:
            yield store.backend, executor
        return
    is_alone = now and not dry_run
    lock = alone(repo, "gc --grace 0") if is_alone else relied_on(repo.cache.folder)
    with lock, _only_gc(repo), transfer_threads(1, []) as executor:
        yield repo.cache.backend, executor


@contextmanager
def _only_gc(repo: Repo) -> Iterator[None]:
    """No other gc on this cache: a lock on its folder, which takes no room on a full disk. Raises Locked, StorageError."""
    folder = repo.cache.folder
    with storage_errors(folder):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take(fd, f"the cache {folder}", busy="another datavc gc", needed=True)
        yield
    finally:
        os.close(fd)


def tell_of_versions(backend: Backend, progress: Progress) -> None:
    """Say so where what was just deleted is still there."""
    if backend.keeps_deleted():
        progress.note(
            f"warning: {backend.describe()} is in a bucket that keeps earlier versions of what is deleted: "
            "until they are deleted there, too, the bytes stay"
        )


def checked_clock(backend: Backend) -> float:
    """The time there, in seconds since 1970. Raises ConflictError where it is not the time here: ages could not be told."""
    now = backend.now()
    skew = now - time.time()
    if abs(skew) > _MOST_SKEW_SECONDS:
        raise ConflictError(
            f"the clocks here and of {backend.describe()} are {abs(skew) / 60:.0f} minutes apart, "
            "so nobody can tell how old things are",
            "set the clock (timedatectl set-ntp true)",
        )
    return now
