"""A table shared by worker processes in which each digest is claimed once, so that equal files are stored once.

It is a memory-mapped file of fixed slots (open addressing, no locks). Two workers that claim at the same instant may both
win: the object is then stored twice, which wastes bytes and harms nothing. A claim is only a promise: whoever started the
workers checks at the end that every claimed object was really written.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path

from datavc.durable import storage_errors, write_all

_PIECE = 1 << 20


def create_claims(path: Path, entries: int, digest_length: int) -> None:
    """Make an empty table for ``entries`` digests: at least two slots each.

    Written out and no sparse file: where a disk is too full for a page of a mapped file, the system kills who writes to it.

    Raises:
        OutOfSpace, StorageError: it could not be written.
    """
    slots = 1 << max(4, (2 * entries - 1).bit_length())
    zeros = memoryview(bytes(_PIECE))
    with storage_errors(path):
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            for start in range(0, slots * digest_length, _PIECE):
                write_all(fd, zeros[: slots * digest_length - start])
        finally:
            os.close(fd)


class Claims:
    """One process' view of the table at ``path``."""

    def __init__(self, path: Path, digest_length: int) -> None:
        with storage_errors(path), open(path, "r+b") as file:
            self._table = mmap.mmap(file.fileno(), 0)
        self._length = digest_length
        self._mask = len(self._table) // digest_length - 1
        self._empty = bytes(digest_length)

    def claim(self, digest: bytes) -> bool:
        """True for the first who asks for ``digest``; the all-zero digest is never claimed, so always stored."""
        table, length = self._table, self._length
        slot = int.from_bytes(digest[:8], "little") & self._mask
        for _ in range(self._mask + 1):
            start = slot * length
            held = table[start : start + length]
            if held == digest:
                return digest == self._empty
            if held == self._empty:
                table[start : start + length] = digest
                return True
            slot = (slot + 1) & self._mask
        return True
