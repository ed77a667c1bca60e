"""A backend that counts what is asked of it: how a budget of requests is held in tests and told to users."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from datavc.backends.base import Backend, StoredFile
from datavc.backends.wrapping import WrappingBackend


class CountingBackend(WrappingBackend):
    """``requests`` by method name; ``read_bytes`` and ``written_bytes`` in total."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.requests: Counter[str] = Counter()
        self.read_bytes = 0
        self.written_bytes = 0
        self._lock = threading.Lock()

    def _count(self, request: str, *, written: int = 0) -> None:
        with self._lock:
            self.requests[request] += 1
            self.written_bytes += written

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._count("read")
        data = super().read(name, start, length)
        with self._lock:
            self.read_bytes += len(data)
        return data

    def head(self, name: str) -> StoredFile:
        self._count("head")
        return super().head(name)

    def kept_xxh128(self, name: str) -> bytes | None:
        self._count("head")
        return super().kept_xxh128(name)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self._count("list")
        return super().list(prefix)

    def write(self, name: str, data: bytes) -> bool:
        self._count("write", written=len(data))
        return super().write(name, data)

    def write_file(self, name: str, source: Path) -> bool:
        self._count("write", written=source.stat().st_size)
        return super().write_file(name, source)

    def replace(self, name: str, data: bytes) -> None:
        self._count("replace", written=len(data))
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self._count("delete")
        super().delete(name)
