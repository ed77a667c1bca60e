"""A remote that lies, and clocks that jump: what is got is exact or an error, and gc deletes nothing that is needed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from projects import Project
from remotes import add_folder, wrap_remotes
from sweeps import DOCUMENTED_CODES

from datavc.backends.base import Backend, StoredFile
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StorageError
from datavc.formats import times
from datavc.operations import push
from datavc.operations.steps.cleaning import collecting
from datavc.store import garbage, tombstones

DAY, YEAR = 86_400, 365 * 86_400
Mangle = Callable[[bytes], bytes]

ANSWERS: dict[str, Mangle] = {
    "truncated": lambda data: data[:-1],
    "cut in half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "longer": lambda data: data + b"x",
    "flipped": lambda data: (
        data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
        if data
        else data
    ),
    "zeros": lambda data: bytes(len(data)),
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "a page": lambda data: b"<html>all is well</html>",
}


class Lying(WrappingBackend):
    """Answers the ``at``-th request of a kind, and all later ones unless ``once``, with something else."""

    def __init__(self, inner: Backend, kind: str, at: int, *, once: bool) -> None:
        super().__init__(inner)
        self._kind, self._at, self._once = kind, at, once
        self._count = 0
        self._last = b""

    def _is_due(self) -> bool:
        self._count += 1
        return self._count == self._at or (not self._once and self._count > self._at)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().read(name, start, length)
        if self._kind == "swapped":
            data, self._last = (self._last[: len(data)] if self._is_due() else data), data
        elif self._kind == "503" and self._is_due():
            raise StorageError("503 Slow Down")
        elif self._kind in ANSWERS and self._is_due():
            return ANSWERS[self._kind](data)
        return data

    def write(self, name: str, data: bytes) -> bool:
        done = super().write(name, data)
        if self._kind == "reset after commit" and self._is_due():
            raise StorageError("connection reset")
        return done

    def write_file(self, name: str, source: Path) -> bool:
        done = super().write_file(name, source)
        if self._kind == "reset after commit" and self._is_due():
            raise StorageError("connection reset")
        return done

    def replace(self, name: str, data: bytes) -> None:
        super().replace(name, data)
        if self._kind == "reset after commit" and self._is_due():
            raise StorageError("connection reset")

    def list(self, prefix: str) -> Iterator[StoredFile]:
        files = sorted(super().list(prefix))
        if self._kind == "partial listing" and self._is_due():
            files = files[: len(files) // 2]
        elif self._kind == "empty listing" and self._is_due():
            files = []
        return iter(files)


@pytest.fixture
def pushed(project: Project, tmp_path: Path) -> Project:
    """Two versions on a remote, in a project that has both."""
    add_folder(project, tmp_path / "remote")
    for turn in (b"one", b"two"):
        project.write({f"data/{n % 3}/{n}": turn * n * 40 for n in range(1, 15)})
        project.run("add", "data")
        project.commit(turn.decode())
        project.run("push")
    return project


@pytest.mark.parametrize("once", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["once", "always"])
@pytest.mark.parametrize("kind", [*ANSWERS, "swapped", "503", "partial listing", "empty listing"])
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_a_lying_remote_sends_is_exact_or_an_error(pushed: Project, kind: str, once: bool, step: int):
    kept = pushed.tree("data")
    for at in range(1, 14, step):
        shutil.rmtree(pushed.root / "data")
        pushed.run("evict")
        with pytest.MonkeyPatch.context() as patch:
            wrap_remotes(patch, lambda backend, at=at: Lying(backend, kind, at, once=once))
            ended = pushed.run("pull", code=None)
        assert ended.code in DOCUMENTED_CODES, ended.err
        assert "Traceback" not in ended.err
        if ended.code == 0:
            assert pushed.tree("data") == kept
        pushed.run("fsck")
        pushed.run("pull")
        assert pushed.tree("data") == kept


@pytest.mark.parametrize("once", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["once", "always"])
@pytest.mark.parametrize("kind", ["reset after commit", "503", "empty", "partial listing", "empty listing"])
def test_a_push_to_a_lying_remote_is_finished_by_the_next(
    pushed: Project, tmp_path: Path, kind: str, once: bool
):
    for at in range(1, 9):
        pushed.write({"data/new": f"{kind} {at}"})
        pushed.run("add", "data")
        pushed.commit()
        with pytest.MonkeyPatch.context() as patch:
            wrap_remotes(patch, lambda backend, at=at: Lying(backend, kind, at, once=once))
            ended = pushed.run("push", code=None)
        assert ended.code in DOCUMENTED_CODES, ended.err
        pushed.run("push")
    pushed.run("fsck", "-r", "origin", "--full")
    clone = pushed.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == pushed.tree("data")


@pytest.mark.parametrize("kind", ["partial listing", "empty listing", "empty", "zeros", "503"])
def test_gc_of_a_lying_remote_deletes_nothing_that_is_needed(pushed: Project, tmp_path: Path, kind: str):
    for at in range(1, 12):
        for file in (tmp_path / "remote").glob("*/*/*"):
            if "packs" not in file.parts:
                _age(file, 15)
        with pytest.MonkeyPatch.context() as patch:
            wrap_remotes(patch, lambda backend, at=at: Lying(backend, kind, at, once=True))
            ended = pushed.run("gc", "-r", "origin", "--yes", "--most", code=None)
        assert ended.code in DOCUMENTED_CODES, ended.err
        pushed.run("fsck", "-r", "origin", "--full")
    for revision in ("HEAD~1", "HEAD"):
        pushed.run("evict")
        pushed.run("checkout", revision)


@pytest.mark.parametrize("seconds", [DAY, -DAY, YEAR, -YEAR], ids=["day", "-day", "year", "-year"])
def test_clocks_that_jump_cost_nothing(pushed: Project, tmp_path: Path, seconds: int):
    with pytest.MonkeyPatch.context() as patch:
        for module in (times, push, collecting, garbage, tombstones):
            patch.setattr(module, "time", _shifted(seconds))
        refused = pushed.run("gc", "-r", "origin", "--yes", "--most", code=1).err
        assert "minutes apart" in refused
        pushed.write({"data/new": "pushed while the clock was wrong"})
        pushed.run("add", "data")
        pushed.commit()
        pushed.run("push")
    pushed.run("gc", "-r", "origin", "--yes", "--most")
    for file in (tmp_path / "remote").glob("trash/*"):
        _age(file, 15)
    pushed.run("gc", "-r", "origin", "--yes", "--most")
    pushed.run("push")
    pushed.run("fsck", "-r", "origin", "--full")
    clone = pushed.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == pushed.tree("data")


def _age(file: Path, days: float) -> None:
    seen = file.stat()
    os.utime(file, (seen.st_atime, seen.st_mtime - days * DAY))


def _shifted(seconds: float) -> SimpleNamespace:
    """The module ``time``, by a clock that is wrong."""

    def now() -> float:
        return time.time() + seconds

    def gmtime(given: float | None = None) -> time.struct_time:
        return time.gmtime(now() if given is None else given)

    return SimpleNamespace(time=now, monotonic=time.monotonic, gmtime=gmtime, strftime=time.strftime)
