"""The sweeps of ``test_kill_and_error_sweeps.py`` over true system calls, in processes of their own: slower, and seeing all.

The quick part takes every few points; ``-m slow`` takes all of them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from faultcases import CASES, make_case
from projects import Project
from straced import Point, changes, need_strace, run_injected
from sweeps import DOCUMENTED_CODES

_FEW = 60  # every so many points in the quick part: some four, at a second each
_KILLED = -signal.SIGKILL

strides = pytest.mark.parametrize(
    "stride", [_FEW, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)


@pytest.fixture
def points(tmp_path: Path, record_property: Callable[[str, object], None]) -> Callable[..., list[Point]]:
    """The points of a command, every so many of them; their number becomes a property of the test."""
    need_strace(tmp_path)

    def find(project: Project, command: list[str], stride: int) -> list[Point]:
        found = changes(project, command, tmp_path / "calls")
        assert len(found) > 20, "hardly a change was seen"
        record_property("points", len(found[::stride]))
        return found[::stride]

    return find


@strides
@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_system_call_it_loses_nothing_and_finishes_when_run_again(
    project: Project, points: Callable[..., list[Point]], name: str, stride: int
):
    case = make_case(project, name)
    killed = 0
    for point in points(case.fresh(), case.command, stride):
        case.fresh()
        code = run_injected(project, case.command, point, "signal=SIGKILL")
        # A program that the command started may be what was killed, and a call may come in another order.
        assert code == _KILLED or code in DOCUMENTED_CODES, point
        killed += code == _KILLED
        case.assert_nothing_lost()
        case.assert_it_finishes()
    assert killed, "nothing was ever killed"


@strides
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", pytest.param("EDQUOT", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["add for the first time", "check out over unsaved work"])
def test_any_system_call_that_fails_is_reported_or_made_up_for(
    project: Project, points: Callable[..., list[Point]], name: str, error: str, stride: int
):
    case = make_case(project, name)
    for point in points(case.fresh(), case.command, stride):
        case.fresh()
        code = run_injected(project, case.command, point, f"error={error}")
        assert code in DOCUMENTED_CODES, point
        case.assert_nothing_lost()
        if code == 0:
            assert project.tree("data") == case.after, point
        case.assert_it_finishes()


@strides
@pytest.mark.parametrize("name", ["add for the first time", "check out an earlier version"])
def test_a_disk_that_stays_full_is_reported_at_any_system_call(
    project: Project, points: Callable[..., list[Point]], name: str, stride: int
):
    case = make_case(project, name)
    for point in points(case.fresh(), case.command, stride):
        if point.call in ("open", "openat"):
            continue  # whatever is opened for reading afterwards would fail as well
        case.fresh()
        code = run_injected(project, case.command, point, "error=ENOSPC", once=False)
        assert code in DOCUMENTED_CODES, point
        case.assert_nothing_lost()
        case.assert_it_finishes()
