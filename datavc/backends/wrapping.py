"""A backend that passes everything on to another: what wrappers such as the read-only and the counting one start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datavc.backends.base import Backend, StoredFile


class WrappingBackend(Backend):
    """Does what ``inner`` does."""

    def __init__(self, inner: Backend) -> None:
        self.inner = inner

    def describe(self) -> str:
        return self.inner.describe()

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        return self.inner.read(name, start, length)

    def head(self, name: str) -> StoredFile:
        return self.inner.head(name)

    def kept_xxh128(self, name: str) -> bytes | None:
        return self.inner.kept_xxh128(name)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        return self.inner.list(prefix)

    def write(self, name: str, data: bytes) -> bool:
        return self.inner.write(name, data)

    def write_file(self, name: str, source: Path) -> bool:
        return self.inner.write_file(name, source)

    def replace(self, name: str, data: bytes) -> None:
        self.inner.replace(name, data)

    def delete(self, name: str) -> None:
        self.inner.delete(name)

    def keeps_deleted(self) -> bool:
        return self.inner.keeps_deleted()

    def now(self) -> float:
        return self.inner.now()

    def close(self) -> None:
        self.inner.close()
