"""A real disk that fills up in the middle of ``add`` and ``checkout``, with less and less room at the start.

Before they begin both look at how much is free, and refuse what cannot fit. Here that look is made to see endless room,
as when somebody else fills the disk meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from faultcases import CASES, Case, make_case
from loopfs import MIB, memory_filesystem
from projects import Project, environment_of, let_go

from datavc.operations import add
from datavc.operations.steps.delivering import guarding

KIB = 1 << 10
_FIRST = "add for the first time"
_INTO_NOTHING = "check out into nothing"
_FEW_ROOMS = (0, 12 * KIB, 256 * KIB, 1024 * KIB, 2048 * KIB, 8192 * KIB)
_MANY_ROOMS = (*range(0, 256 * KIB, 4 * KIB), *range(256 * KIB, 8192 * KIB, 64 * KIB))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Project]:
    """A project after ``datavc init`` on a file system of its own."""
    home = tmp_path / "home"
    home.mkdir()
    with memory_filesystem(tmp_path, 32 * MIB) as top:
        project = Project(top / "project", environment_of(home))
        project.root.mkdir()
        project.git("init", "--quiet")
        project.run("init")
        project.commit("datavc init")
        yield project
        let_go()


def _fill(project: Project, room: int) -> Path:
    """A file beside the project that takes up all but ``room`` bytes."""
    filler = project.root.parent / "filler"
    found = os.statvfs(project.root)
    with open(filler, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bfree * found.f_frsize - room))
    return filler


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "rooms", [_FEW_ROOMS, pytest.param(_MANY_ROOMS, marks=pytest.mark.slow)], ids=["some sizes", "many sizes"]
)
def test_a_disk_that_fills_up_is_reported_and_the_same_command_finishes_when_there_is_room(
    small_disk: Project,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
    name: str,
    rooms: Sequence[int],
):
    _see_endless_room(monkeypatch)
    case = make_case(small_disk, name)
    times = next(times for times, room in enumerate(rooms) if _has_room(case, room))
    # What is replaced gives back as much room as little changes need.
    assert times > 0 or name not in (_FIRST, _INTO_NOTHING), "no disk was too full"
    record_property("points", times)


def _see_endless_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (add, guarding):
        monkeypatch.setattr(module, "free_bytes", lambda folder: 1 << 50)


def _has_room(case: Case, room: int) -> bool:
    case.fresh()
    let_go()  # what is deleted and still open takes up room
    filler = _fill(case.project, room)
    ended = case.project.run(*case.command, code=None)
    if ended.code != 0:
        assert ended.code == 1
        assert "no space is left" in ended.err and "run the same command again" in ended.err
        # Also while the disk is full.
        case.assert_nothing_lost()
    filler.unlink()
    case.assert_nothing_lost()
    case.assert_it_finishes()
    return ended.code == 0


@pytest.mark.parametrize("name", [_FIRST, _INTO_NOTHING])
def test_what_cannot_fit_is_refused_before_anything_is_written(small_disk: Project, name: str):
    with pytest.MonkeyPatch.context() as monkeypatch:
        _see_endless_room(monkeypatch)
        case = make_case(small_disk, name)
    case.fresh()
    filler = _fill(case.project, 2 * MIB)
    ended = case.project.run(*case.command, code=1)
    spare = "64.0 MiB" if name == _FIRST else "16.0 MiB"
    assert "needs" in ended.err and f"and {spare} to spare" in ended.err and "2.0 MiB free" in ended.err
    assert not list((case.project.root / ".git/datavc/cache/packs").glob("*/*")) or name != _FIRST
    assert (case.project.root / "data").exists() == (name == _FIRST)
    filler.unlink()
