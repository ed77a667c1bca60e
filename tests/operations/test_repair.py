"""``datavc fsck --repair``: what is damaged is put aside and got again; nothing is deleted, and nothing sound is lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, flip, overwrite
from sweeps import Kept, killed_at_each


def stored(project: Project, kind: str) -> list[Path]:
    found = (project.root / ".git/datavc/cache" / kind).rglob("*-*")
    return sorted((path for path in found if path.is_file()), key=lambda path: -path.stat().st_size)


@pytest.fixture
def history(project: Project, tmp_path: Path) -> Project:
    """Two versions, both on a remote; only the second is in the workspace."""
    add_folder(project, tmp_path / "remote")
    project.write({f"data/{n}": os.urandom(500) for n in range(20)} | {"data/large": os.urandom(3 << 20)})
    project.run("add", "data")
    project.commit("one")
    project.run("push")
    project.write({"data/0": os.urandom(700), "data/new": "new"})
    project.run("add", "data")
    project.commit("two")
    project.run("push")
    return project


def both_come_back(project: Project, second: dict) -> None:
    project.run("fsck")
    project.run("checkout", "HEAD~1")
    project.run("checkout", "HEAD")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "--force")
    assert project.tree("data") == second


@pytest.mark.parametrize("kind", ["packs", "indexes", "roots"])
@pytest.mark.parametrize("damage", [flip, lambda path: overwrite(path, b"short"), Path.unlink])
def test_all_that_was_damaged_comes_from_the_workspace_and_the_remote(history: Project, kind: str, damage):
    second = history.tree("data")
    for file in stored(history, kind):
        damage(file)
    if history.run("fsck", code=None).code:
        history.run("fsck", "--repair")
    history.run("fetch", "--rev", "HEAD~1")
    both_come_back(history, second)


def test_without_the_workspace_the_remote_is_enough(history: Project):
    second = history.tree("data")
    shutil.rmtree(history.root / "data")
    for file in stored(history, "packs"):
        flip(file)
    said = history.run("fsck", "--repair")
    assert said.out.count("whole again") == 2
    assert "nothing is wrong" in said.err
    history.run("checkout")
    both_come_back(history, second)


def test_without_the_remote_what_nobody_has_is_still_named(history: Project):
    history.run("remote", "remove", "origin")
    for file in stored(history, "packs"):
        overwrite(file, file.read_bytes()[:100])
    said = history.run("fsck", "--repair", code=12)
    assert "is not whole" in said.out
    history.run("status")
    before = history.tree("data")
    shutil.rmtree(history.root / "data")
    history.run("checkout")
    assert history.tree("data") == before


def test_a_sound_cache_is_left_as_it_is_and_an_edit_is_not_recorded(history: Project):
    before = {path: path.read_bytes() for path in stored(history, "")}
    history.run("fsck", "--repair")
    assert {path: path.read_bytes() for path in stored(history, "")} == before
    history.write({"data/1": "edited"})
    pointer = history.read("data.datavc")
    flip(stored(history, "packs")[0])
    history.run("fsck", "--repair")
    assert history.read("data.datavc") == pointer
    assert history.read("data/1") == b"edited"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("stride", [23, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"])
def test_killed_anywhere_it_is_finished_by_the_same_command(history: Project, stride: int):
    second = history.tree("data")
    flip(stored(history, "packs")[0])
    flip(stored(history, "packs")[-1])
    kept = Kept.of(history.root.parent / "start", history.root)
    points = 0
    for _ in killed_at_each(history, ["fsck", "--repair"], kept.fresh, stride):
        points += 1
        assert history.tree("data") == second
        history.run("fsck", "--repair")
        history.run("fsck")
    assert points
    both_come_back(history, second)
