"""A store whose user is killed at the n-th change that it makes to it."""

from __future__ import annotations

from pathlib import Path

from datavc.backends.base import Backend
from datavc.backends.wrapping import WrappingBackend


class Killed(BaseException):
    """What stands for kill -9."""


class Stopping(WrappingBackend):
    """Dies just before its ``limit``-th change."""

    def __init__(self, inner: Backend, limit: int) -> None:
        super().__init__(inner)
        self.left = limit

    def _count(self) -> None:
        if not self.left:
            raise Killed
        self.left -= 1

    def write(self, name: str, data: bytes) -> bool:
        self._count()
        return super().write(name, data)

    def write_file(self, name: str, source: Path) -> bool:
        self._count()
        return super().write_file(name, source)

    def replace(self, name: str, data: bytes) -> None:
        self._count()
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self._count()
        super().delete(name)
