"""The backend that is a dictionary: the reference against which the others are read, and a fast one for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

from datavc.backends.base import Backend, StoredFile, check_name
from datavc.errors import StorageError, StoredFileNotFound


class MemoryBackend(Backend):
    """Keeps files for the life of the object."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}

    def describe(self) -> str:
        return "memory"

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = self._get(name)[0]
        piece = data[start:] if length is None else data[start : start + length]
        if length is not None and len(piece) != length:
            raise StorageError(f"{name} ends before the {start + length} bytes that it must have")
        return piece

    def head(self, name: str) -> StoredFile:
        data, modified = self._get(name)
        return StoredFile(name, len(data), modified)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        check_name(prefix.removesuffix("/"))
        for name, (data, modified) in list(self._files.items()):
            if name.startswith(prefix):
                yield StoredFile(name, len(data), modified)

    def write(self, name: str, data: bytes) -> bool:
        known = self._files.get(check_name(name))
        if known is not None and len(known[0]) == len(data):
            return False
        if known is not None:
            self._files[f"quarantine/{name.replace('/', '-')}-{len(self._files)}"] = known
        self._files[name] = (bytes(data), self.now())
        return True

    def replace(self, name: str, data: bytes) -> None:
        self._files[check_name(name)] = (bytes(data), self.now())

    def delete(self, name: str) -> None:
        self._files.pop(check_name(name), None)

    def now(self) -> float:
        return time.time()

    def _get(self, name: str) -> tuple[bytes, float]:
        found = self._files.get(check_name(name))
        if found is None:
            raise StoredFileNotFound(f"{name} is not in memory")
        return found
