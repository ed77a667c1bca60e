"""Every error that datavc raises on purpose, grouped by what the caller would do about it.

    DatavcError                      exit 1
    ├── UsageError (ValueError)      exit 2    a bad argument, path or configuration value
    ├── NotFoundError (LookupError)  exit 1    the thing asked for does not exist
    │   ├── RepoNotFound             exit 10
    │   ├── ObjectNotFound                     bytes that no store at hand holds
    │   │   └── PurgedError                    and that none may hold: they were purged
    │   └── StoredFileNotFound                 a backend has no file of that name
    ├── ConflictError                exit 1    going on would overwrite or contradict something
    │   └── Locked                   exit 11
    ├── StorageError                 exit 1    a disk or a server failed or refused
    │   ├── OutOfSpace
    │   └── TransientError                     it may pass: the same request again may do
    ├── IntegrityError               exit 12   bytes are not what they must be
    │   ├── DigestMismatch
    │   └── MalformedError                     bytes do not follow the format they claim
    │       └── UnsupportedFormat
    └── PartialFailure               exit 3    some of it is done, the rest is named

A message is one sentence that names the thing and the place; ``hint`` is the next command to type.
All of them pickle, because workers raise them across processes. This module imports nothing of ours.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

AGAIN = "run the same command again"
# What to do next when the system refuses; the same wherever it does.
SYSTEM_HINTS = {
    errno.ENOSPC: f"free some space there, then {AGAIN}",
    errno.EDQUOT: f"make room in the quota, then {AGAIN}",
    errno.EMFILE: "raise the limit on open files: ulimit -n 4096",
    errno.EIO: f"the disk or its connection may be failing: see what `dmesg` says, then {AGAIN}",
    errno.EROFS: f"mount it so that it can be written to, then {AGAIN}",
    errno.EINTR: AGAIN,
}


class DatavcError(Exception):
    """Root of all expected failures: ``message`` says what is wrong, ``hint`` what to do next."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(DatavcError, ValueError):
    """A bad argument, path or configuration value."""

    exit_code = 2


class NotFoundError(DatavcError, LookupError):
    """The thing asked for does not exist."""


class RepoNotFound(NotFoundError):
    """No datavc repository at or above the given folder."""

    exit_code = 10


class ObjectNotFound(NotFoundError):
    """An object that no store at hand holds."""


class PurgedError(ObjectNotFound):
    """An object that was deleted for good by ``purge``, and is not taken back."""


class StoredFileNotFound(NotFoundError):
    """A backend has no file of the name asked for."""


class ConflictError(DatavcError):
    """Going on would overwrite unsaved work or contradict what is recorded."""


class Locked(ConflictError):
    """Another command holds the lock."""

    exit_code = 11


class StorageError(DatavcError):
    """A disk or server failed or refused; nothing is known about the bytes themselves."""

    @classmethod
    def by_system(cls, message: str, error: OSError) -> Self:
        """``message`` with the system's reason; the hint says what to do about that, where it is known."""
        return cls(f"{message}: {error.strerror or error}", SYSTEM_HINTS.get(error.errno or 0))


class OutOfSpace(StorageError):
    """A disk or quota is full."""


class TransientError(StorageError):
    """A server failed in a way that may pass, such as an overload or a lost connection; asking again may do."""


class IntegrityError(DatavcError):
    """Bytes are not what they must be."""

    exit_code = 12


class DigestMismatch(IntegrityError):
    """Content whose digest is not the one that names it."""


class MalformedError(IntegrityError):
    """Bytes that do not follow the format they claim."""


class UnsupportedFormat(MalformedError):
    """A format number or digest algorithm that this version of datavc does not know."""


class PartialFailure(DatavcError):
    """Some of the work is done; the message names the rest."""

    exit_code = 3
