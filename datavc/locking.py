"""Locks on files: flock, which ends with its process, so that none outlives its holder; and how long a command waits for one.

On a file system without locks (some network ones) most commands go on: two at once do work twice, and corrupt nothing. Who
deletes at once cannot, and says why.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from datavc.errors import Locked, StorageError

PATIENCE_SECONDS = 10.0
_ONCE_MORE_SECONDS = 0.1
_TELL_AFTER_SECONDS = 1.0
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
"""What a file system says that has no locks."""
_LONGEST_HOLDER = 500


@dataclass(frozen=True, slots=True)
class Patience:
    """How many ``seconds`` to wait for a lock, None without end; ``tell`` is given a sentence when that takes a while."""

    seconds: float | None = PATIENCE_SECONDS
    tell: Callable[[str], None] | None = None


_USUAL = Patience()
_patience: ContextVar[Patience] = ContextVar("patience", default=_USUAL)


@contextlib.contextmanager
def waiting(patience: Patience) -> Iterator[None]:
    """Let commands wait so long for locks inside the block."""
    token = _patience.set(patience)
    try:
        yield
    finally:
        _patience.reset(token)


def take(fd: int, place: object, *, shared: bool = False, busy: str = "", needed: bool = False) -> None:
    """Lock the open file ``fd``, which stands for ``place`` in messages, until it is closed.

    ``busy`` says who has it, where nobody notes that in the file. With ``needed`` a file system without locks is
    refused.

    Raises:
        Locked: another process has it still, once patience is over. StorageError: it cannot be locked.
    """
    patience = _patience.get()
    began = time.monotonic()
    has_told = False
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while not _try(fd, kind, place, needed=needed):
        waited = time.monotonic() - began
        if patience.seconds is not None and waited >= patience.seconds:
            raise Locked(
                f"{place} is in use by {busy or holder_of(fd)}",
                "wait until it is done: with --wait the same command does so",
            )
        if patience.tell is not None and not has_told and waited >= _TELL_AFTER_SECONDS:
            patience.tell(f"waiting: {place} is in use by {busy or holder_of(fd)}")
            has_told = True
        time.sleep(_ONCE_MORE_SECONDS)


def is_free(fd: int) -> Literal["free", "held", "no locks"]:
    """Whether the open file could be locked right now; then it is, until it is closed. Raises OSError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            return "no locks"
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return "held"
        # Whoever takes anything else for a lock that is held waits for ever.
        raise
    return "free"


def note_holder(fd: int, command: str) -> None:
    """Say in the locked file who has it, since when, and on which machine."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    holder = f"datavc {command}, process {os.getpid()} on {os.uname().nodename}, since {since}"
    # On a full disk nobody will learn who holds it; gc must be able to make room there.
    with contextlib.suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, holder.encode(), 0)


def holder_of(fd: int) -> str:
    """What :func:`note_holder` said last."""
    with contextlib.suppress(OSError):
        return os.pread(fd, _LONGEST_HOLDER, 0).decode(errors="replace") or "another command"
    return "another command"


def _try(fd: int, kind: int, place: object, *, needed: bool) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        # NFS wants a file open for writing for a lock of one's own, and says EBADF.
        if error.errno not in (*WITHOUT_LOCKS, errno.EBADF):
            raise StorageError.by_system(f"{place} cannot be locked", error) from error
        if needed:
            raise StorageError(
                f"{place} is on a file system without locks ({error.strerror}), so nobody can be kept out while "
                "something is deleted at once",
                "datavc gc with a grace, on another mount, or from the machine that has the disk",
            ) from error
    return True
