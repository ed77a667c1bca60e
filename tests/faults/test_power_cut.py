"""The power is cut in the middle of a command, and when it said 0: what was acknowledged is whole, nothing wrong is believed.

What a cut is, is told in ``powercuts.py``. The quick part cuts at a few moments; ``-m slow`` at all of them, on three
kinds of ext4: as it comes, with ``data=writeback``, where a journal that was committed says nothing of the bytes, and with
``nodelalloc`` besides, where files then have their length at once, and somebody else's bytes in it.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from faultcases import FIRST, Tree, base_project, never_added
from powercuts import Cut, Disk, disk
from projects import Project
from writingcases import CASES, age, remote_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

_WRITEBACK = "data=writeback"
_HARSHEST = "data=writeback,nodelalloc"


_QUICK = ("add what changed", "check out an earlier version", "push what changed")


@dataclass
class Expected:
    """What there was, what the command makes of it undisturbed, and the versions that were acknowledged before."""

    command: list[str]
    before: Tree
    after: Tree
    pointers: dict[str, bytes]
    versions: dict[str, Tree]
    saved: str | None


@pytest.mark.parametrize(
    ("name", "options", "stride"),
    [
        *((name, "", 25) for name in _QUICK),
        *(
            pytest.param(name, options, 3, marks=pytest.mark.slow)
            for options in ("", _WRITEBACK, _HARSHEST)
            for name in CASES
        ),
    ],
)
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(
    tmp_path: Path, record_property: Callable[[str, object], None], name: str, options: str, stride: int
):
    with disk(tmp_path, options) as ext4:
        expected = _prepare(ext4, name)
        with ext4.on() as project:
            cuts = ext4.run(project, expected.command, stride)
            # A record names its own time, and the pointer names the record.
            expected.pointers = _pointers(project)
        assert len(cuts) > 4
        for cut in cuts:
            with ext4.after(cut) as project:
                _assert_nothing_lost(project, expected, cut)
        record_property("cuts", len(cuts))
        print(f"{name} [{options}]: {len(cuts)} cuts")


def _prepare(ext4: Disk, name: str) -> Expected:
    prepare, command = CASES[name]
    with ext4.on() as project:
        project.git("init", "--quiet")
        project.run("init")
        project.commit("datavc init")
        base_project(project)
        versions = {"HEAD~1": _tree(project), "HEAD": _tree(project)}
        commits = {project.git("rev-parse", rev).strip(): rev for rev in versions}
        for commit in commits:
            project.run("checkout", commit)
            versions[commits[commit]] = _tree(project)
        known = {commit: versions[rev] for commit, rev in commits.items()}
        if prepare is never_added:
            known = {}
        prepare(project)
        before = _tree(project)
        os.sync()
    trial = ext4.image.with_name("ext4.trial")
    shutil.copyfile(ext4.image, trial)
    with ext4.on(trial) as project:
        said = project.run(*command)
        after, pointers = _tree(project), _pointers(project)
    trial.unlink()
    saved = re.search(r"xxh128:[0-9a-f]+", said.err) if "--force" in command else None
    return Expected(command, before, after, pointers, known, saved and saved.group())


def _assert_nothing_lost(project: Project, expected: Expected, cut: Cut) -> None:
    where = f"{cut}"
    _assert_sound(project, where)
    found = _tree(project)
    if cut.ended:
        if found != expected.after and expected.command[0] == "run":
            # What the command made is its own to sync; what was kept of it is whole, and a loss is seen.
            assert "modified" in project.run("status", "made").out, where
            project.run("checkout", "--force", "made")
        assert _tree(project) == expected.after, where
        assert _pointers(project) == expected.pointers, where
    else:
        seen = {path: what for path, what in found.items() if b".datavc-tmp-" not in path}
        torn = [
            path
            for path, what in seen.items()
            if what[0] != "folder"
            and what not in (expected.before.get(path), expected.after.get(path))
            and not path.startswith(b"made/")  # cp's, and no dataset yet
        ]
        assert not torn, where
        _again(project, expected.command)
    assert _tree(project) == expected.after, where
    assert project.run("status").out.count("unfinished") == 0, where
    if expected.command[0] == "run":
        assert project.run("ls", "-r", "made").out.count("deep") == project.run("ls", "-r", "data").out.count(
            "deep"
        )
    else:
        assert _pointers(project) == expected.pointers, where
    _assert_sound(project, where)
    if expected.saved:
        project.run("checkout", "--force", expected.saved, "--", "data")
        assert _tree(project) == expected.before, where
    for commit, tree in expected.versions.items():
        project.run("checkout", "--force", commit)
        assert _tree(project) == tree, (where, commit)


def _again(project: Project, command: list[str]) -> None:
    """The same command, until it is done; a gc of a remote keeps others out for an hour, dead or alive."""
    ended = project.run(*command, code=None if "-r" in command else 0)
    if ended.code != 0:
        assert ended.code == 11 and "run the same command again in an hour" in ended.err
        age(project)
        project.run(*command)


def _assert_sound(project: Project, where: str) -> None:
    for store in ([], ["-r", "origin", "--full"] if remote_of(project).exists() else []):
        ended = project.run("fsck", *store, code=None)
        assert ended.code == 0, (where, ended.out, ended.err)


def _tree(project: Project) -> Tree:
    return {
        os.path.join(os.fsencode(name), path): what
        for name in ("data", "made")
        if (project.root / name).exists()
        for path, what in project.tree(name).items()
    }


def _pointers(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.root.glob("*.datavc")}


@pytest.mark.parametrize(
    "wait", [0, pytest.param(8, marks=pytest.mark.slow)], ids=["at once", "8 seconds later"]
)
def test_what_processes_of_their_own_acknowledged_survives_a_power_cut(tmp_path: Path, wait: int):
    with disk(tmp_path) as ext4:
        with ext4.on() as project:
            project.git("init", "-q")
            project.run("init")
            project.write({f"data/{n % 5}/{n}": os.urandom(3000 + n) for n in range(100)})
            project.write({"data/large": FIRST["data/large"]})
            os.sync()
            project.datavc("add", "data")
            added = project.tree("data")
            time.sleep(wait)
            first = ext4.cut()
            os.rename(project.root / "data", project.root / "away")
            project.datavc("checkout")
            time.sleep(wait)
            second = ext4.cut()
        with ext4.after(first) as survivor:
            survivor.datavc("fsck")
            shutil.rmtree(survivor.root / "data")
            survivor.datavc("checkout")
            assert survivor.tree("data") == added
        with ext4.after(second) as survivor:
            assert survivor.tree("data") == added
            assert survivor.datavc("status", "--json").out.count('"missing"') == 0
