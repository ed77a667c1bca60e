"""Backends that refuse to be changed."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import NoReturn

from datavc.backends.base import Backend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StorageError


class UnchangingBackend(Backend):
    """The half of a backend that is only read from: every change is refused."""

    def write(self, name: str, data: bytes) -> bool:
        self._refuse(name)

    def write_file(self, name: str, source: Path) -> bool:
        self._refuse(name)

    def replace(self, name: str, data: bytes) -> None:
        self._refuse(name)

    def delete(self, name: str) -> None:
        self._refuse(name)

    @abstractmethod
    def _refuse(self, name: str) -> NoReturn:
        """Raise the StorageError that says why ``name`` stays as it is."""


class ReadOnlyBackend(UnchangingBackend, WrappingBackend):
    """Reads from ``inner``; every change is a StorageError."""

    def _refuse(self, name: str) -> NoReturn:
        raise StorageError(f"{self.describe()} is read-only: {name} stays as it is")
