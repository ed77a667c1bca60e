"""Two commands at once, as processes of their own: each ends as if it had been alone before or after the other.

The quick part lets a few pairs meet once; ``-m slow`` lets all meet many times, the second starting later and later.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from projects import Project
from racing import at_once

_FILES = 150
_OFTEN = 15
# By when a command that started first is done.
_APART_SECONDS = 0.5
_QUICK = ("add and add of one dataset", "add and checkout", "checkout and checkout")
rounds = pytest.mark.parametrize(
    "rounds", [1, pytest.param(_OFTEN, marks=pytest.mark.slow)], ids=["once", "often"]
)


def files(folder: str, version: int) -> dict[str, str]:
    """Some in common with the other version and with other folders, some not."""
    return {
        f"{folder}/{n % 7}/{n}": f"content of {n}, {version if n % 3 else 0}\n" * 20 for n in range(_FILES)
    }


@pytest.fixture
def versions(project: Project) -> Project:
    """Two datasets, two commits; the workspace and the pointers stand at the second."""
    for version in (1, 2):
        project.write(files("data", version) | files("more", version + 10))
        project.run("add", "data", "more")
        project.commit(f"version {version}")
    return project


def modified(project: Project) -> None:
    project.write(files("data", 3))


def both_modified(project: Project) -> None:
    project.write(files("data", 3) | files("more", 13))


def at_first(project: Project) -> None:
    project.git("checkout", "-q", "HEAD~1")


def wiped(project: Project) -> None:
    shutil.rmtree(project.root / "data")
    shutil.rmtree(project.root / "more")


# What is there before, two commands, the exit codes that each may have, and the command that then ends it all.
PAIRS: dict[str, tuple[Callable[[Project], None], list[str], set[int], list[str], set[int], list[str]]] = {
    "add and add of one dataset": (modified, ["add", "data"], {0}, ["add", "data"], {0}, ["add", "-u"]),
    "add and add of two datasets": (both_modified, ["add", "data"], {0}, ["add", "more"], {0}, ["add", "-u"]),
    # Unsaved changes are refused by checkout, unless add was first.
    "add and checkout": (modified, ["add", "data"], {0}, ["checkout"], {0, 1}, ["add", "-u"]),
    "add and checkout of two datasets": (
        modified,
        ["add", "data"],
        {0},
        ["checkout", "more"],
        {0},
        ["add", "-u"],
    ),
    # Whichever is first, the other finds nothing to lose: what was there is added, or saved.
    "add and forced checkout": (
        modified,
        ["add", "data"],
        {0},
        ["checkout", "--force", "data"],
        {0},
        ["add", "-u"],
    ),
    "checkout and checkout": (at_first, ["checkout"], {0}, ["checkout"], {0}, ["checkout"]),
    "checkout into nothing, twice": (wiped, ["checkout"], {0}, ["checkout"], {0}, ["checkout"]),
    "checkout of two datasets": (
        at_first,
        ["checkout", "data"],
        {0},
        ["checkout", "more"],
        {0},
        ["checkout"],
    ),
    "add and status": (modified, ["add", "data"], {0}, ["status"], {0}, ["add", "-u"]),
    "checkout and status": (at_first, ["checkout"], {0}, ["status"], {0}, ["checkout"]),
    "checkout and diff": (at_first, ["checkout"], {0}, ["diff"], {0}, ["checkout"]),
    "checkout and fsck": (at_first, ["checkout"], {0}, ["fsck"], {0}, ["checkout"]),
    "checkout and remove": (at_first, ["checkout"], {0}, ["remove", "more"], {0}, ["checkout"]),
    "add and move": (modified, ["add", "data"], {0, 1}, ["move", "data", "there"], {0}, ["add", "-u"]),
    "status and status": (modified, ["status"], {0}, ["status"], {0}, ["add", "-u"]),
}


@pytest.mark.parametrize(
    ("name", "rounds"),
    [
        *((name, 1) for name in _QUICK),
        *(pytest.param(name, _OFTEN, marks=pytest.mark.slow) for name in PAIRS),
    ],
)
def test_two_commands_at_once_end_as_one_after_the_other(
    versions: Project, record_property: Callable[[str, object], None], name: str, rounds: int
):
    prepare, first, first_codes, second, second_codes, end = PAIRS[name]
    prepare(versions)
    start = versions.root.parent / "start"
    versions.root.rename(start)
    for turn in range(rounds):
        subprocess.run(["cp", "-a", "--", str(start), str(versions.root)], check=True)
        one, two = at_once((versions, first), (versions, second), apart=_APART_SECONDS * turn / rounds)
        assert one.code in first_codes, one.err
        assert two.code in second_codes, two.err
        versions.run(*end)
        versions.run("fsck")
        _assert_settled(versions)
        assert _contents(versions) in _possible(start, name)
        shutil.rmtree(versions.root)
    record_property("runs", rounds)


def _assert_settled(project: Project) -> None:
    """Nothing is modified, unfinished or missing, and no temporary file is left."""
    said = [line.partition(": ")[2] for line in project.run("status").out.splitlines()]
    assert set(said) <= {"clean", "pointer not committed"}, said
    assert not [path for path in project.tree() if b".datavc-tmp-" in path]
    assert not os.listdir(project.root / ".git/datavc/cache/tmp")


def _contents(project: Project) -> dict[bytes, object]:
    seen = {path: what for path, what in project.tree().items() if what[0] == "file"}
    return {
        path: what[1] for path, what in seen.items() if path.split(b"/")[0] in (b"data", b"more", b"there")
    }


def _possible(start: Path, name: str) -> list[dict[bytes, object]]:
    """What data there may be afterwards: all of one version of each dataset."""
    now = _contents(Project(start))
    if name == "add and forced checkout":
        committed = {
            path.encode(): text.encode() for path, text in (files("data", 2) | files("more", 12)).items()
        }
        return [now, committed]
    if name == "add and move":
        return [{path.replace(b"data/", b"there/", 1): what for path, what in now.items()}]
    if "checkout" in name and "add" not in name:
        version = 2 if "nothing" in name else 1
        wanted = files("data", version) | files("more", version + 10)
        committed = {path.encode(): text.encode() for path, text in wanted.items()}
        if name == "checkout and remove":
            # Removed first, its data stays as it was.
            data = {path: what for path, what in committed.items() if path.startswith(b"data/")}
            return [committed, data | {path: what for path, what in now.items() if path.startswith(b"more/")}]
        return [committed]
    return [now]


@rounds
def test_init_and_add_at_once_make_one_repo(
    git_project: Project, record_property: Callable[[str, object], None], rounds: int
):
    project = git_project
    project.write(files("data", 1))
    start = project.root.parent / "start"
    project.root.rename(start)
    for turn in range(rounds):
        shutil.copytree(start, project.root)
        commands = [(project, ["init"]), (project, ["init"]), (project, ["add", "data"])]
        one, two, add = at_once(*commands, apart=_APART_SECONDS / 2 * turn / rounds)
        assert one.code == two.code == 0, one.err + two.err
        assert add.code in (0, 10), add.err  # 10: before there was a repo
        project.run("add", "data")
        project.run("fsck")
        _assert_settled(project)
        shutil.rmtree(project.root)
    record_property("runs", rounds)


@rounds
def test_worktrees_that_share_a_cache_add_and_check_out_at_once(
    versions: Project, record_property: Callable[[str, object], None], rounds: int
):
    other = replace(versions, root=versions.root.parent / "worktree")
    versions.git("worktree", "add", "-q", "--detach", str(other.root))
    for turn in range(rounds):
        for project in (versions, other):
            # Much is the same in both, so that each finds what the other is just storing.
            project.write(files("data", 20 + turn) | {"data/own": f"{project.root} {turn}"})
        for ended in at_once((versions, ["add", "data"]), (other, ["add", "--force", "data"])):
            assert ended.code == 0, ended.err
        for project in (versions, other):
            kept = project.tree("data")
            project.run("fsck")
            shutil.rmtree(project.root / "data")
            project.git("add", "--all")
            assert at_once((project, ["checkout"]), (project, ["status"]))[0].code == 0
            assert project.tree("data") == kept
    record_property("runs", 2 * rounds)
