"""A backend that counts what is asked of it: how a budget of requests is held in tests and told to users."""

from __future__ import annotations

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

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.requests["read"] += 1
        data = super().read(name, start, length)
        self.read_bytes += len(data)
        return data

    def head(self, name: str) -> StoredFile:
        self.requests["head"] += 1
        return super().head(name)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self.requests["list"] += 1
        return super().list(prefix)

    def write(self, name: str, data: bytes) -> bool:
        self.requests["write"] += 1
        self.written_bytes += len(data)
        return super().write(name, data)

    def write_file(self, name: str, source: Path) -> bool:
        self.requests["write"] += 1
        self.written_bytes += source.stat().st_size
        return super().write_file(name, source)

    def replace(self, name: str, data: bytes) -> None:
        self.requests["replace"] += 1
        self.written_bytes += len(data)
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self.requests["delete"] += 1
        super().delete(name)
