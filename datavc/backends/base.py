"""The interface of every backend, and the contract that each must keep (``datavc.testing.backend_contract`` checks it).

A backend keeps immutable files under relative POSIX names. What it promises:

- ``write`` and ``write_file`` publish a whole file or nothing, durable on return, and never change one that is there.
  Two writers of one name do not disturb each other: names are made of content, so either's bytes will do.
- A name alone proves nothing: a file of the same name and another length is put aside and written again.
- ``read`` gives exactly the bytes asked for or an error; ``list`` gives every file or an error, never a shorter list.
- ``replace`` alone changes a file, atomically; it is for roots.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datavc.durable import storage_errors
from datavc.errors import StoredFileNotFound, UsageError

_NAME = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


class StoredFile(NamedTuple):
    """A file's ``size`` in bytes, and when it was ``modified``: seconds since 1970 by the backend's own clock."""

    name: str
    size: int
    modified: float


class Backend(ABC):
    """Keeps named files. Unless a method says otherwise it raises StorageError when the place fails or refuses."""

    @abstractmethod
    def describe(self) -> str:
        """Where it is, for messages."""

    @abstractmethod
    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """``length`` bytes from ``start`` on, or all that follow. Raises StoredFileNotFound; a short read is an error."""

    @abstractmethod
    def head(self, name: str) -> StoredFile:
        """The file's length and time. Raises StoredFileNotFound."""

    def kept_xxh128(self, name: str) -> bytes | None:
        """The xxh128 of the file's bytes that the server made when it received them; None where it keeps none.

        At most one request, and no byte of the file. Raises StoredFileNotFound.
        """
        check_name(name)
        return None

    @abstractmethod
    def list(self, prefix: str) -> Iterator[StoredFile]:
        """Every file below the folder ``prefix`` (ends with "/"), in no order; a folder that is not there is empty."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> bool:
        """Publish a new file. False where one of that name and length was there, which is kept."""

    def write_file(self, name: str, source: Path) -> bool:
        """As :meth:`write`, with the content of the local file ``source``, which is consumed."""
        check_name(name)
        with storage_errors(source):
            data = source.read_bytes()
        is_new = self.write(name, data)
        with storage_errors(source):
            source.unlink(missing_ok=True)
        return is_new

    @abstractmethod
    def replace(self, name: str, data: bytes) -> None:
        """Make the file hold ``data``, whatever it held."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Remove the file; one that is not there is no error."""

    def keeps_deleted(self) -> bool:
        """Whether what was deleted by this object is still there for others, as versions in a bucket are. No request."""
        return False

    @abstractmethod
    def now(self) -> float:
        """Seconds since 1970 by the clock that stamps the files."""

    def close(self) -> None:  # noqa: B027  (most have nothing to let go of)
        """Let go of connections and open files; the next call opens what it needs again."""


def is_there(backend: Backend, name: str, size: int | None = None) -> bool:
    """Whether there is such a file, of ``size`` bytes if that is given. One request. Raises StorageError."""
    try:
        found = backend.head(name).size
    except StoredFileNotFound:
        return False
    return size is None or found == size


def check_name(name: str) -> str:
    """``name``, which must be relative, of ASCII letters, digits, dot, hyphen, underscore and single slashes.

    Raises:
        UsageError: it is not, so no backend may touch it.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a stored file")
    return name


def is_name(name: str) -> bool:
    """Whether a stored file can have the name: what else is found in a place was put there by others."""
    return _NAME.fullmatch(name) is not None
