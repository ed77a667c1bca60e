"""Killed or failed at every file-changing call, ``move``, ``remove``, ``unprotect`` and ``init`` lose nothing, and finish.

The quick part of each sweep takes every few points; ``-m slow`` takes all of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from faultcases import base_project
from projects import Project
from sweeps import Kept, failing_at_each, killed_at_each

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_PLACES = ("data", "kept/there", "kept/data")

Contents = dict[str, bytes]
Record = Callable[[str, object], None]

COMMANDS = {
    "move": ["move", "data", "kept/there"],
    "move into a folder that is there": ["move", "data", "kept/"],
    "remove": ["remove", "data"],
    "remove with the data": ["remove", "--delete", "data"],
    "unprotect hard links": ["unprotect", "data"],
    "unprotect symbolic links": ["unprotect", "data"],
}
strides = pytest.mark.parametrize("stride", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])


@dataclass
class Other:
    """``command`` changes where data is, or what it is made of, and never its content."""

    project: Project
    fresh: Callable[[], None]
    command: list[str]
    before: Contents
    end: object = None

    def assert_nothing_lost(self) -> None:
        self.project.run("fsck")
        self.project.run("status")
        found = _contents(self.project)
        if "--delete" in self.command:
            assert found.items() <= self.before.items()
        else:
            assert found == self.before

    def assert_it_finishes(self) -> None:
        # What was killed after its last change is done, and then says that there is no such dataset.
        was_done = _everything(self.project) == self.end
        self.project.run(*self.command, code=None if was_done else 0)
        assert _everything(self.project) == self.end
        self.project.run("status")


@pytest.fixture
def other(project: Project) -> Callable[[str], Other]:
    def make(name: str) -> Other:
        links = {"unprotect hard links": "hardlink", "unprotect symbolic links": "symlink"}.get(name, "copy")
        project.run("config", "--local", "cache.link", links)
        project.run("config", "--local", "cache.share_above", "100")
        base_project(project)
        if name == "move into a folder that is there":
            (project.root / "kept").mkdir()
        kept = Kept.of(project.root.parent / "start", project.root)
        case = Other(project, kept.fresh, COMMANDS[name], {})
        case.fresh()
        case.before = _contents(project)
        project.run(*case.command)
        case.end = _everything(project)
        return case

    return make


def _contents(project: Project) -> Contents:
    """Every file's bytes by its path in the dataset, wherever that is; a link into the cache is read through."""
    found: Contents = {}
    for place in _PLACES:
        top = project.root / place
        for path in top.rglob("*"):
            if path.name.startswith(".datavc-tmp-"):
                continue
            name = str(path.relative_to(top))
            if path.is_file():
                found[name] = path.read_bytes()
            elif path.is_symlink():
                found[name] = os.fsencode(os.readlink(path))
    return found


def _everything(project: Project) -> object:
    """All that a user sees, and of what datavc keeps by itself the names of the workspace states."""
    seen = {path: what for path, what in project.tree().items() if not path.startswith(b".git/")}
    return seen, sorted(os.listdir(project.root / ".git/datavc/state"))


@strides
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_change_the_same_command_finishes(
    other: Callable[[str], Other], record_property: Record, name: str, stride: int
):
    case = other(name)
    points = 0
    for _ in killed_at_each(case.project, case.command, case.fresh, stride):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    assert points * stride > 5, "the sweep saw no changes at all"
    record_property("points", points)


@strides
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full disk", "input output error"])
@pytest.mark.parametrize(
    "once", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["once", "for good"]
)
@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_fails_is_reported_and_the_same_command_finishes(
    other: Callable[[str], Other], record_property: Record, name: str, number: int, once: bool, stride: int
):
    case = other(name)
    points = 0
    for _ in failing_at_each(
        case.project, case.command, case.fresh, number, once=once, stride=2 * stride - 1
    ):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    record_property("points", points - 1)


@strides
def test_init_killed_at_any_change_finishes_when_run_again(
    git_project: Project, record_property: Record, stride: int
):
    project = git_project
    kept = Kept.of(project.root.parent / "start", project.root)
    points = 0
    for point in killed_at_each(project, ["init"], kept.fresh, stride):
        project.run("init")
        points += 1
        left = set(os.listdir(project.root)) - {".git", ".gitattributes", ".gitignore", "datavc.toml"}
        assert not left, point
        project.write({"data/a": "alpha"})
        project.run("add", "data")
        assert project.run("status").out == "data: pointer not committed\n"
        project.run("fsck")
    assert points, "the sweep saw no changes at all"
    record_property("points", points)
