"""A backend that refuses to be changed."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StorageError


class ReadOnlyBackend(WrappingBackend):
    """Reads from ``inner``; every change is a StorageError."""

    def write(self, name: str, data: bytes) -> bool:
        self._refuse(name)

    def write_file(self, name: str, source: Path) -> bool:
        self._refuse(name)

    def replace(self, name: str, data: bytes) -> None:
        self._refuse(name)

    def delete(self, name: str) -> None:
        self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        raise StorageError(f"{self.describe()} is read-only: {name} stays as it is")
