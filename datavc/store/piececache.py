"""A bounded store of pieces that were read from afar: in memory for the next read, on disk for the next process.

It is nobody's proof and nobody's copy: what is in it may go at any time, and what comes out of it damaged was never there.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

_SEAL_BYTES = 16
# A process looks at the whole folder after it has written this share of the bound, so several exceed it by little.
_SWEEP_SHARE = 16
# What a sweep leaves: without some slack each write would be followed by another.
_KEPT_SHARE = 0.875
# Reading marks a file as used, at most this often, since that is a write.
_MARK_SECONDS = 60.0
_TEMPORARY = ".tmp-"
_ABANDONED_SECONDS = 3600.0


class _Stored(NamedTuple):
    used: float
    size: int
    path: str


class PieceCache:
    """Keeps pieces by name: at most ``memory_bytes`` in memory, about ``disk_bytes`` in ``folder``. Safe in threads.

    Without a ``folder``, or with 0 bytes, it keeps them in memory alone. A disk that is full or may not be written makes
    reading slower, not wrong.
    """

    def __init__(self, folder: Path | None, *, disk_bytes: int, memory_bytes: int) -> None:
        self._folder = os.fspath(folder) if folder is not None and disk_bytes > 0 else None
        self._disk_bytes = disk_bytes
        self._memory_bytes = memory_bytes
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._held_bytes = 0
        self._unswept = disk_bytes
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """The piece called ``name``, if it is here."""
        with self._lock:
            content = self._held.get(name)
            if content is not None:
                self._held.move_to_end(name)
                return content
        content = self._load(name)
        if content is not None:
            self.hold(name, content)
        return content

    def hold(self, name: str, content: bytes) -> None:
        """Keep a piece in memory alone: it is on this machine already."""
        with self._lock:
            if name in self._held or len(content) > self._memory_bytes:
                return
            self._held[name] = content
            self._held_bytes += len(content)
            while self._held_bytes > self._memory_bytes:
                _, dropped = self._held.popitem(last=False)
                self._held_bytes -= len(dropped)

    def put(self, name: str, content: bytes) -> None:
        """Keep a piece that came from afar, and was verified."""
        self.hold(name, content)
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._save(self._folder, name, content)
            with self._lock:
                self._unswept += len(content)
                due = self._unswept * _SWEEP_SHARE > self._disk_bytes
                if due:
                    self._unswept = 0
            if due:
                self._sweep(self._folder)

    def _load(self, name: str) -> bytes | None:
        if self._folder is None:
            return None
        path = _path(self._folder, name)
        try:
            with open(path, "rb") as file:
                sealed = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > _MARK_SECONDS:
                    os.utime(path)
        except OSError:
            return None
        content = sealed[_SEAL_BYTES:]
        if xxhash.xxh3_128_digest(content) == sealed[:_SEAL_BYTES]:
            return content
        with contextlib.suppress(OSError):
            os.unlink(path)
        return None

    def _save(self, folder: str, name: str, content: bytes) -> None:
        path = _path(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = os.path.join(os.path.dirname(path), f"{_TEMPORARY}{os.urandom(8).hex()}")
        try:
            with open(temporary, "xb") as file:
                file.write(xxhash.xxh3_128_digest(content))
                file.write(content)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def _sweep(self, folder: str) -> None:
        """Drop what was not used for the longest time, until the rest is within the bound."""
        stored = sorted(_stored(folder))
        total = sum(file.size for file in stored)
        if total <= self._disk_bytes:
            return
        for file in stored:
            if total <= self._disk_bytes * _KEPT_SHARE:
                return
            with contextlib.suppress(FileNotFoundError):  # another process sweeps, too
                os.unlink(file.path)
            total -= file.size


def _path(folder: str, name: str) -> str:
    """Spread over folders by the digits behind the algorithm's name."""
    start = name.index("-") + 1
    return os.path.join(folder, name[start : start + 2], name)


def _stored(folder: str) -> Iterator[_Stored]:
    """Every file, without those that are being written right now."""
    for spread in list(os.scandir(folder)):
        for entry in list(os.scandir(spread.path)):
            with contextlib.suppress(FileNotFoundError):
                found = entry.stat(follow_symlinks=False)
                is_young = time.time() - found.st_mtime < _ABANDONED_SECONDS
                if not (entry.name.startswith(_TEMPORARY) and is_young):
                    yield _Stored(found.st_mtime, found.st_size, entry.path)
