"""purge killed before any change: everything else is readable, and the same command, or one without arguments, goes on."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, pushed
from stored import unpacked
from sweeps import COMPLETED, run_killed

from datavc.backends.folder import FolderBackend

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_dice = random.Random(3)
SMALL, LARGE = b"secret of seventeen " * 20, _dice.randbytes(1_300_000)
KEPT = {"data/b": b"what stays " * 50, "data/large": LARGE[:400_000] + b"edited" + _dice.randbytes(900_000)}
# Each test takes one point in so many.
_STRIDE = 11
COMMAND = ["purge", "data/a", "data/sub", "--reason", "a request", "--yes"]


def stores(project: Project) -> list[Path]:
    return [project.root / "repo/.git/datavc/cache", project.root / "remote"]


def assert_others_are_there(repo: Project) -> None:
    repo.run("fsck")
    repo.run("fsck", "-r", "origin", "--full")
    for name, content in KEPT.items():
        assert repo.run("cat", f"HEAD~1:{name}").out.encode("utf-8", "surrogateescape") == content


def assert_purged(project: Project) -> None:
    for store in stores(project):
        found = unpacked(FolderBackend(store))
        assert SMALL not in found
        assert not any(LARGE[at : at + 64] in found for at in range(500_000, len(LARGE) - 64, 30_000))
        assert all(content[:64] in found for content in KEPT.values())


@pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.slow) for first in range(2, _STRIDE + 1))]
)
def test_killed_at_any_change_it_loses_nothing_else_and_goes_on(
    bare_project: Project, record_property, first: int
):
    repo = Project(bare_project.root / "repo", bare_project.environment)
    repo.root.mkdir()
    repo.git("init", "--quiet")
    repo.run("init")
    add_folder(repo, bare_project.root / "remote")
    repo.write({**KEPT, "data/a": SMALL, "data/sub/large": LARGE})
    repo.run("add", "data")
    repo.commit("one")
    repo.write({"data/c": "another"})
    repo.run("add", "data")
    repo.commit("two")
    pushed(repo, "--all-branches", "--rev", "HEAD~1")
    start = bare_project.root.with_name("start")
    bare_project.root.rename(start)
    for point in range(first, 1000, _STRIDE):
        if bare_project.root.exists():
            shutil.rmtree(bare_project.root)
        subprocess.run(["cp", "-a", "--", str(start), str(bare_project.root)], check=True)
        if run_killed(repo, COMMAND, point) == COMPLETED:
            break
        assert_others_are_there(repo)
        # Before there is a note of it, only the command itself knows what is to be purged.
        repo.run(*COMMAND)
        assert_others_are_there(repo)
        assert_purged(bare_project)
        assert "nothing is wrong" in repo.run("fsck").err
    assert point > 20
    assert_purged(bare_project)
    record_property("points", (point - first) // _STRIDE)
