"""A disk that is too full for ``push``, ``pull``, ``gc`` and ``run``: it is said, nothing is lost, and with room they finish.

``add`` and ``checkout`` are in ``test_full_disk.py``. The quick part has a few sizes, ``-m slow`` a hundred.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faultcases import base_project
from loopfs import MIB, memory_filesystem
from projects import Found, Project, environment_of, let_go
from writingcases import CASES, age, remote_of

from datavc.operations import add
from datavc.operations.steps.delivering import guarding

KIB = 1 << 10
_FEW = (0, 16 * KIB, 1024 * KIB)
_MANY = (*range(0, 128 * KIB, 4 * KIB), *range(128 * KIB, 4480 * KIB, 64 * KIB))
_NAMES = [name for name, (_, command) in CASES.items() if command[0] not in ("add", "checkout")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with memory_filesystem(tmp_path, 48 * MIB) as top:
        yield top
        let_go()


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize(
    "rooms", [_FEW, pytest.param(_MANY, marks=pytest.mark.slow)], ids=["few sizes", "a hundred"]
)
def test_on_a_full_disk_nothing_is_lost_and_with_room_it_finishes(
    small_disk: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    name: str,
    rooms: tuple[int, ...],
):
    for module in (add, guarding):
        monkeypatch.setattr(module, "free_bytes", lambda folder: 1 << 50)
    home = tmp_path / "home"
    home.mkdir()
    project = Project(small_disk / "life/project", environment_of(home))
    project.root.mkdir(parents=True)
    prepare, command = CASES[name]
    project.git("init", "--quiet")
    project.run("init")
    project.commit("datavc init")
    base_project(project)
    prepare(project)
    before, start = _data(project), small_disk / "start"
    (small_disk / "life").rename(start)
    failed = 0
    for room in rooms:
        shutil.rmtree(small_disk / "life", ignore_errors=True)
        subprocess.run(["cp", "-a", start, small_disk / "life"], check=True)
        let_go()
        _fill(small_disk, room)
        ended = project.run(*command, code=None)
        if ended.code != 0:
            failed += 1
            assert "bug in datavc" not in ended.err, ended.err[-1500:]
            assert "space" in ended.out + ended.err or "room" in ended.out + ended.err, (room, ended)
        (small_disk / "filler").unlink()
        _assert_sound(project)
        found = _data(project)
        assert all(what == before.get(path, what) for path, what in found.items()), room
        again = project.run(*command, code=None)
        if again.code == 11:
            age(project)
            again = project.run(*command, code=None)
        assert again.code == 0, (room, again)
        _assert_sound(project)
        assert _data(project).items() >= before.items(), room
    assert failed or command[0] == "gc" or name == "push what changed", "no disk was too full"
    record_property("points", len(rooms))
    print(f"{name}: {len(rooms)} sizes, {failed} too small")


def _fill(top: Path, room: int) -> None:
    found = os.statvfs(top)
    with open(top / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bfree * found.f_frsize - room))


def _data(project: Project) -> dict[bytes, Found]:
    return project.tree("data") if (project.root / "data").exists() else {}


def _assert_sound(project: Project) -> None:
    project.run("fsck")
    if remote_of(project).exists():
        project.run("fsck", "-r", "origin", "--full")
