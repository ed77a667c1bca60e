"""Writing anew what is damaged, under the same name: a copy is kept in quarantine, and the name is never without a file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from datavc.backends.base import Backend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StoredFileNotFound


class ReplacingBackend(WrappingBackend):
    """Replaces the stored files ``broken`` when they are written; ``replaced`` are those that were."""

    def __init__(self, inner: Backend, broken: Iterable[str]) -> None:
        super().__init__(inner)
        self.broken = set(broken)
        self.replaced: set[str] = set()

    def write(self, name: str, data: bytes) -> bool:
        if name not in self.broken:
            return self.inner.write(name, data)
        copy_aside(self.inner, name)
        self.inner.replace(name, data)
        self.broken.discard(name)
        self.replaced.add(name)
        return True

    def write_file(self, name: str, source: Path) -> bool:
        if name not in self.broken:
            return self.inner.write_file(name, source)
        self.write(name, source.read_bytes())
        source.unlink()
        return True


def copy_aside(backend: Backend, name: str) -> None:
    """Keep a copy, under ``quarantine/``, of a damaged file that is about to be replaced; meanwhile it stays readable."""
    with suppress(StoredFileNotFound):
        data = backend.read(name)
        backend.write(f"quarantine/{name.replace('/', '-')}-{os.urandom(4).hex()}", data)
