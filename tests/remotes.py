"""Remotes for tests: folders and buckets by name, and backends that watch, fail or stop at the n-th request."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, Result

from datavc.backends.base import Backend, StoredFile
from datavc.backends.wrapping import WrappingBackend
from datavc.operations.steps.remotes import remotes


class Stopped(BaseException):
    """What stops a command in the middle, as Ctrl-C does."""


def add_folder(project: Project, folder: Path, name: str = "origin") -> Path:
    """A remote in ``folder``, committed."""
    project.run("remote", "add", name, str(folder), "--no-probe")
    project.commit(f"remote {name}")
    return folder


def push_two(project: Project, folder: Path) -> Path:
    """A remote in ``folder``, which has all of two datasets: a folder with a file in chunks, and a file."""
    add_folder(project, folder)
    project.write(
        {"data/sub/big": os.urandom(3 << 20), "data/small": os.urandom(100), "other": os.urandom(900)}
    )
    project.run("add", "data", "other")
    project.commit("data")
    project.run("push")
    return folder


def pushed(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What ``datavc push --json`` says."""
    return _said(project.run("push", "--yes", "--json", *arguments, code=code))


def fetched(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    """What ``datavc fetch --json`` says."""
    return _said(project.run("fetch", "--json", *arguments, code=code))


def _said(result: Result) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(result.out)
    return said


def outcomes(said: dict[str, Any]) -> list[str]:
    """What became of each dataset."""
    return [row["outcome"] for row in said["datasets"]]


def requests(said: dict[str, Any]) -> int:
    """All requests of a transfer."""
    return sum(said["traffic"]["requests"].values())


def packs(store: Path) -> list[Path]:
    """The packs in a folder, the longest first."""
    found = [path for path in (store / "packs").rglob("*") if path.is_file()]
    return sorted(found, key=lambda path: (-path.stat().st_size, path.name))


def roots(store: Path) -> list[Path]:
    """The roots in a folder."""
    return sorted(path for path in (store / "roots").rglob("*") if path.is_file())


def indexes(store: Path) -> list[Path]:
    """The pack indexes in a folder."""
    return sorted((store / "indexes").glob("*"))


def overwrite(path: Path, data: bytes) -> None:
    """Give a stored file other bytes, as a failing disk does: its mode says that nobody may."""
    path.chmod(0o644)
    path.write_bytes(data)


def flip(path: Path, position: int | None = None) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if position is None else position] ^= 1
    overwrite(path, bytes(data))


class WatchedBackend(WrappingBackend):
    """Tells ``watch`` of each request, its method and name, before (False) and after (True) it is done."""

    def __init__(self, inner: Backend, watch: Callable[[str, str, bool], None]) -> None:
        super().__init__(inner)
        self._watch = watch

    def _watched(self, method: str, name: str, call: Callable[[], Any]) -> Any:
        self._watch(method, name, False)
        result = call()
        self._watch(method, name, True)
        return result

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data: bytes = self._watched("read", name, lambda: self.inner.read(name, start, length))
        return data

    def head(self, name: str) -> StoredFile:
        file: StoredFile = self._watched("head", name, lambda: self.inner.head(name))
        return file

    def list(self, prefix: str) -> Iterator[StoredFile]:
        return iter(self._watched("list", prefix, lambda: list(self.inner.list(prefix))))

    def write(self, name: str, data: bytes) -> bool:
        return bool(self._watched("write", name, lambda: self.inner.write(name, data)))

    def write_file(self, name: str, source: Path) -> bool:
        return bool(self._watched("write", name, lambda: self.inner.write_file(name, source)))

    def replace(self, name: str, data: bytes) -> None:
        self._watched("replace", name, lambda: self.inner.replace(name, data))


def watch_remotes(monkeypatch: pytest.MonkeyPatch, watch: Callable[[str, str, bool], None]) -> None:
    """Have every remote that is opened from now on in this process tell ``watch``."""
    wrap_remotes(monkeypatch, lambda backend: WatchedBackend(backend, watch))


def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that remotes will have been asked to write, in this process, from now on."""
    names: list[str] = []

    def watch(method: str, name: str, done: bool) -> None:
        if done and method in ("write", "replace"):
            names.append(name)

    watch_remotes(monkeypatch, watch)
    return names


def wrap_remotes(monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Backend], Backend]) -> None:
    """Wrap every remote's backend that is opened from now on in this process."""
    real = remotes.open_remote_backend

    def opened(*arguments: Any, **named: Any) -> Backend:
        return wrap(real(*arguments, **named))

    monkeypatch.setattr(remotes, "open_remote_backend", opened)


def stop_at(number: int, *, after: bool) -> Callable[[str, str, bool], None]:
    """A watch that stops the command at its ``number``-th request, before or after that is done."""
    seen = 0

    def watch(method: str, name: str, done: bool) -> None:
        nonlocal seen
        if done == after:
            seen += 1
            if seen == number:
                raise Stopped

    return watch
