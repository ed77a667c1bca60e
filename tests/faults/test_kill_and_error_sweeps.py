"""Killed or failed at every file-changing call, ``add`` and ``checkout`` lose nothing, and the same command finishes.

The quick part of each sweep takes every few points; ``-m slow`` takes all of them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from sweeps import (
    COMPLETED,
    DOCUMENTED_CODES,
    run_failing,
    run_killed,
    run_with_few_files,
    run_writing_short,
)

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_MOST_POINTS = 2000
_QUICK_STRIDE = 7

FIRST = {
    "data/a": "alpha" * 100,
    "data/b": "beta",
    "data/sub/c": "gamma",
    "data/sub/deep/d": "delta",
    "data/empty": None,
    "data/zero": "",
    "data/large": bytes(range(256)) * 6000,
}
SECOND = {"data/a": "alpha two", "data/new/e": "epsilon", "data/sub/c": "gamma two"}


def base_project(project: Project) -> Project:
    """Two committed versions; the workspace and the pointer stand at the second."""
    project.write(FIRST)
    (project.root / "data/link").symlink_to("nowhere")
    (project.root / "data/b").chmod(0o755)
    project.run("add", "data")
    project.commit("one")
    project.write(SECOND)
    (project.root / "data/zero").unlink()
    shutil.rmtree(project.root / "data/sub/deep")
    project.run("add", "data")
    project.commit("two")
    return project


def unsaved_edit(project: Project) -> None:
    project.write({"data/a": "edited", "data/fresh": "fresh " * 50})
    (project.root / "data/b").unlink()


def at_first(project: Project) -> None:
    project.git("checkout", "-q", "HEAD~1")


def wiped(project: Project) -> None:
    shutil.rmtree(project.root / "data")


CASES: dict[str, tuple[Callable[[Project], None], list[str]]] = {
    "add what changed": (unsaved_edit, ["add", "data"]),
    "check out an earlier version": (at_first, ["checkout"]),
    "check out into nothing": (wiped, ["checkout"]),
    "check out over unsaved work": (unsaved_edit, ["checkout", "--force"]),
}


@pytest.fixture
def cases(
    project: Project, tmp_path: Path
) -> Callable[[str], tuple[Callable[[], Project], list[str], dict, dict]]:
    """For a case: a maker of fresh copies of its start, the command, and what data is before and after it."""
    base_project(project)

    def make(name: str) -> tuple[Callable[[], Project], list[str], dict, dict]:
        prepare, command = CASES[name]
        prepare(project)
        start = tmp_path / "start"
        os.rename(project.root, start)
        before = Project(start).tree("data") if (start / "data").exists() else {}

        def fresh() -> Project:
            if project.root.exists():
                shutil.rmtree(project.root)
            shutil.copytree(start, project.root, symlinks=True)
            return project

        fresh().run(*command)
        return fresh, command, before, project.tree("data")

    return make


def assert_nothing_lost(project: Project, before: dict, after: dict) -> None:
    """No damaged object under a final name; every file wholly old or wholly new; ``status`` names a state in between."""
    project.run("fsck")
    status = project.run("status").out
    found = project.tree("data") if (project.root / "data").exists() else {}
    seen = {path: what for path, what in found.items() if b".datavc-tmp-" not in path}
    for path, what in seen.items():
        if what[0] != "folder":
            assert what in (before.get(path), after.get(path)), path
    assert seen in (before, after) or "unfinished" in status


def assert_it_finishes(project: Project, command: list[str], after: dict) -> None:
    """The same command, run again undisturbed, ends as if nothing had happened."""
    project.run(*command)
    assert project.tree("data") == after
    project.run("fsck")
    assert not list((project.root / ".git/datavc/cache/tmp").iterdir())
    assert "unfinished" not in project.run("status").out


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_killed_at_any_change_it_loses_nothing_and_finishes_when_run_again(cases, name: str, stride: int):
    fresh, command, before, after = cases(name)
    for point in range(1, _MOST_POINTS, stride):
        project = fresh()
        if run_killed(project, command, point) == COMPLETED:
            break
        assert_nothing_lost(project, before, after)
        assert_it_finishes(project, command, after)
    else:
        pytest.fail(f"{_MOST_POINTS} points were not enough")
    assert point > 20, "the sweep saw no changes at all"


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EIO, pytest.param(errno.EDQUOT, marks=pytest.mark.slow)],
    ids=["full disk", "input output error", "quota used up"],
)
@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [5 * _QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_failing_disk_is_reported_loses_nothing_and_the_next_run_finishes(
    cases, name: str, number: int, once: bool, stride: int
):
    fresh, command, before, after = cases(name)
    for point in range(2, _MOST_POINTS, stride):
        project = fresh()
        code = run_failing(project, command, point, number, once=once)
        assert code in DOCUMENTED_CODES, point
        assert_nothing_lost(project, before, after)
        if code == 0:
            assert project.tree("data") == after
            if not once or point > 300:
                break
        assert_it_finishes(project, command, after)


@pytest.mark.parametrize("once", [True, False], ids=["once", "always"])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_a_write_that_takes_only_half_is_gone_on_with(cases, name: str, once: bool, stride: int):
    fresh, command, before, after = cases(name)
    for point in range(1, _MOST_POINTS, stride):
        project = fresh()
        code, reached = run_writing_short(project, command, point, once=once)
        assert code == 0, point
        assert project.tree("data") == after, point
        assert_nothing_lost(project, before, after)
        if not reached:
            break
    assert point > 1, "the sweep saw no writes at all"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_too_few_descriptors_are_reported_and_lose_nothing(cases, name: str, stride: int):
    fresh, command, before, after = cases(name)
    used = max(int(number) for number in os.listdir("/dev/fd"))
    code = 1
    for most in range(used, used + 200, stride):
        project = fresh()
        code = run_with_few_files(project, command, most)
        assert code in DOCUMENTED_CODES, most
        assert_nothing_lost(project, before, after)
        assert_it_finishes(project, command, after)
        if code == 0:
            break
    assert code == 0, "200 descriptors were not enough"
