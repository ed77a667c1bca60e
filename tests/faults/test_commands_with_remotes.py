"""Killed or failed at any change, twice if need be: runs, evictions, tags, adoptions, clones, and what records travel with.

Nothing is lost, nothing damaged has a name, and the same command finishes. The quick part takes every few points.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, flip, packs
from sweeps import COMPLETED, Kept, failing_at_each, killed_at_each, run_killed, run_watched

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_PAIRS = 25  # of kills, for each command
_ERRORS = [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EMFILE, errno.EINTR]
_ERROR_STRIDE = 7
_QUICK_STRIDE, _PARTS = 17, 4
Record = Callable[[str, object], None]
Seen = Callable[[Project], object]


def files_of(project: Project) -> dict[str, bytes]:
    """What a user sees of data, without what datavc and git write."""
    return {
        os.fsdecode(path): what[1]
        for path, what in project.tree().items()
        if what[0] in ("file", "executable")
        and not {b".git", b".gitignore", b".gitattributes"} & set(path.split(b"/"))
        and not path.endswith((b".datavc", b".toml"))
        and b".datavc-tmp-" not in path
    }


def everything(project: Project) -> object:
    """Files, pointers without what tells of a run, and tags."""
    pointers = {
        path: what[1].partition(b"[run]")[0]
        for path, what in project.tree().items()
        if path.endswith(b".datavc") and b".git" not in path.split(b"/") and b".datavc-tmp-" not in path
    }
    return files_of(project), pointers, project.git("tag", "--list", code=None)


@dataclass
class Sweep:
    """``command`` of the ``worker`` makes ``end`` of what ``fresh`` brings; ``brought`` is what it may bring of new files."""

    worker: Project
    project: Project
    command: list[str]
    fresh: Callable[[], None]
    before: dict[str, bytes]
    end: object
    may_drop: bool

    def assert_nothing_lost(self) -> None:
        """No damage; each file of the user is there, whole."""
        if (self.worker.root / "datavc.toml").exists():
            found = json.loads(self.worker.run("fsck", "--json", code=None).out)
            # What is not in a cache, or not any more, is on the remote.
            damage = [row for row in found["problems"] if row["kind"] not in ("version", "record")]
            assert "--repair" in self.command or not damage
        now = files_of(self.worker)
        for path, content in self.before.items():
            if self.command[0] == "run" and path.startswith("made/"):
                continue  # put aside until the run is over
            assert now.get(path, content if self.may_drop else None) == content, path

    def assert_it_finishes(self) -> None:
        # What was killed after its last change is done; some commands then say that there is nothing left to do.
        was_done = everything(self.worker) == self.end
        copy = Project(self.worker.root / "copy", self.worker.environment)
        if "--workspace" in self.command and "unfinished" in self.worker.run("status").out:
            self.worker.run("checkout")
        if self.command[0] == "clone" and copy.root.exists():
            # git's part is done, and the error names the command for the rest.
            assert "pull" in self.worker.run(*self.command, code=1).err
            copy.run("pull")
        else:
            ended = self.worker.run(*self.command, code=None)
            if "rm -r made" in ended.err:
                # What the killed run had left is the user's to judge, and the error says how.
                shutil.rmtree(self.worker.root / "made")
                ended = self.worker.run(*self.command, code=None)
            assert was_done or ended.code == 0, ended.err
        assert everything(self.worker) == self.end
        if (self.worker.root / "datavc.toml").exists():
            self.worker.run("pull")
            self.worker.run("fsck")
            assert files_of(self.worker).items() >= self.before.items()


def _runs(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return project, ["run", "-i", "data", "-o", "made", "--trace", "off", "cp", "-r", "data", "made"]


def _runs_again(project: Project, clone: Project) -> tuple[Project, list[str]]:
    worker, command = _runs(project, clone)
    project.run(*command)
    project.commit("a run")
    return worker, command


def _evicts(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return project, ["evict"]


def _evicts_the_workspace(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return project, ["evict", "--workspace"]


def _tags(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return project, ["tag", "data", "v1"]


def _adopts(project: Project, clone: Project) -> tuple[Project, list[str]]:
    project.run(*_runs(project, clone)[1])
    project.run("push")
    (record,) = (row["record"] for row in json.loads(project.run("runs", "--json").out))
    return clone, ["adopt", record]


def _pushes_records(project: Project, clone: Project) -> tuple[Project, list[str]]:
    project.run(*_runs(project, clone)[1])
    return project, ["push"]


def _gets(project: Project, clone: Project) -> tuple[Project, list[str]]:
    digest = json.loads(project.run("ls", "--json").out)[0]["digest"]
    return _empty(project), ["get", str(project.root.parent / "remote"), digest, "-o", "got"]


def _clones(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return _empty(project), ["clone", str(project.root), "copy"]


def _adds_a_remote(project: Project, clone: Project) -> tuple[Project, list[str]]:
    return project, ["remote", "add", "second", str(project.root.parent / "second")]


def _repairs(project: Project, clone: Project) -> tuple[Project, list[str]]:
    for pack in packs(project.root / ".git/datavc/cache"):
        flip(pack)
    return project, ["fsck", "--repair"]


def _empty(project: Project) -> Project:
    work = Project(project.root.parent / "work", project.environment)
    work.write({"kept": "mine"})
    return work


COMMANDS: dict[str, Callable[[Project, Project], tuple[Project, list[str]]]] = {
    "run": _runs,
    "run again": _runs_again,
    "evict": _evicts,
    "evict with the workspace": _evicts_the_workspace,
    "tag": _tags,
    "adopt": _adopts,
    "push of records": _pushes_records,
    "get": _gets,
    "clone": _clones,
    "remote add": _adds_a_remote,
    "repair": _repairs,
}


@pytest.fixture
def sweep(project: Project, tmp_path: Path) -> Callable[[str], Sweep]:
    def make(name: str) -> Sweep:
        add_folder(project, tmp_path / "remote")
        project.write({f"data/{n % 3}/{n}": b"%d " % n * 200 for n in range(12)})
        project.write({"data/large": random.Random(1).randbytes(1_200_000)})
        project.run("add", "data")
        project.commit("one")
        project.run("push")
        clone = project.clone("other")
        clone.run("pull")
        worker, command = COMMANDS[name](project, clone)
        folders = [project.root, clone.root, tmp_path / "remote"]
        if worker not in (project, clone):
            folders.append(worker.root)
        kept = Kept.of(tmp_path / "start", *folders)
        kept.fresh()
        before = files_of(worker)
        worker.run(*command)
        return Sweep(
            worker, project, command, kept.fresh, before, everything(worker), "--workspace" in command
        )

    return make


@pytest.mark.parametrize(
    ("stride", "first"),
    [
        pytest.param(_QUICK_STRIDE, 1, id="some"),
        # In parts, since `remote add` alone makes some 600 changes.
        *(
            pytest.param(_PARTS, first, marks=pytest.mark.slow, id=f"part {first}")
            for first in range(1, _PARTS + 1)
        ),
    ],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_any_change_nothing_is_lost_and_the_same_command_finishes(
    sweep: Callable[[str], Sweep], record_property: Record, name: str, stride: int, first: int
):
    case, points = sweep(name), 0
    for _ in killed_at_each(case.worker, case.command, case.fresh, stride, first):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    assert points or name == "tag", "the sweep saw no changes at all"
    record_property("points", points)


@pytest.mark.slow
@pytest.mark.parametrize("number", _ERRORS, ids=[errno.errorcode[number] for number in _ERRORS])
@pytest.mark.parametrize("once", [True, False], ids=["once", "for good"])
@pytest.mark.parametrize("name", COMMANDS)
def test_whatever_fails_is_reported_and_the_same_command_finishes(
    sweep: Callable[[str], Sweep], record_property: Record, name: str, number: int, once: bool
):
    case, points = sweep(name), 0
    # Each of the ten starts elsewhere, so that every change fails in some of them.
    first = 1 + (_ERRORS.index(number) + (0 if once else len(_ERRORS))) % _ERROR_STRIDE
    for _ in failing_at_each(
        case.worker, case.command, case.fresh, number, once=once, stride=_ERROR_STRIDE, first=first
    ):
        case.assert_nothing_lost()
        case.assert_it_finishes()
        points += 1
    record_property("points", points - 1)


@pytest.mark.parametrize("pairs", [1, pytest.param(_PAIRS, marks=pytest.mark.slow)], ids=["one", "many"])
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_again_while_it_finishes_it_finishes_all_the_same(
    sweep: Callable[[str], Sweep], record_property: Record, seed: int | None, name: str, pairs: int
):
    case, chance = sweep(name), random.Random(f"{name} {seed}")
    case.fresh()
    most, killed = max(1, run_watched(case.worker, case.command, lambda change: None)), 0
    for _ in range(pairs):
        case.fresh()
        first, second = chance.randint(1, most), chance.randint(1, most)
        for point in (first, second):
            killed += run_killed(case.worker, case.command, point) != COMPLETED
            case.assert_nothing_lost()
        case.assert_it_finishes()
    record_property("pairs", pairs)
    record_property("killed", killed)
