"""Killed at every file-changing call, ``checkout REV`` has lost nothing, and the same command finishes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
from projects import Found, Project
from sweeps import Kept, killed_at_each

Record = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
strides = pytest.mark.parametrize(
    "stride", [11, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)


def snapshot(project: Project) -> dict[bytes, Found]:
    """Everything in the workspace but git's own folder; killed commands may leave folders that are empty."""
    return {
        path: found
        for path, found in project.tree().items()
        if path.partition(b"/")[0] != b".git" and found[0] != "folder"
    }


@strides
@pytest.mark.parametrize("back", [False, True], ids=["there", "and back"])
def test_a_killed_checkout_of_a_revision_is_finished_by_the_same_command(
    project: Project, record_property: Record, stride: int, back: bool
):
    project.write({"data/a": "one", "data/sub/b": "b", "gone/deep/x": "x", "single": "s"})
    project.run("add", "data", "gone/deep", "single")
    project.commit("one")
    first = snapshot(project)
    project.run("remove", "--delete", "gone/deep", "single")
    (project.root / "gone").rmdir()
    project.write({"data/a": "two", "data/c": "c", "new/set/y": "y"})
    shutil.rmtree(project.root / "data/sub")
    project.run("add", "data", "new/set")
    project.commit("two")
    second = snapshot(project)
    if back:
        project.run("checkout", "HEAD~1")
    kept = Kept.of(project.root.parent / "start", project.root)
    command, goal = (["checkout", "HEAD"], second) if back else (["checkout", "HEAD~1"], first)

    swept = 0
    for _ in killed_at_each(project, command, kept.fresh, stride):
        swept += 1
        found = snapshot(project)
        for path, what in found.items():
            if (
                what[0] == "file"
                and not path.endswith((b".datavc", b".gitignore"))
                and b".datavc-tmp-" not in path
            ):
                assert what in (first.get(path), second.get(path)), path
        project.run("status")
        project.run(*command)
        assert snapshot(project) == goal
        project.run("checkout", "HEAD")
        assert snapshot(project) == second
        assert project.git("status", "--porcelain") == ""
    assert swept >= 5
    record_property("points", swept)


@strides
def test_a_killed_checkout_into_another_folder_is_finished_by_the_same_command(
    project: Project, record_property: Record, stride: int
):
    project.write({"data/a": "one", "data/sub/b": "b", "single": "s"})
    project.run("add", "data", "single")
    project.commit("one")
    project.write({"data/a": "two"})
    project.run("add", "data")
    project.commit("two")
    here = snapshot(project)
    kept = Kept.of(project.root.parent / "start", project.root)
    target = project.root.parent / "elsewhere"
    command = ["checkout", "HEAD~1", "--to", str(target)]

    swept = 0
    for _ in killed_at_each(project, command, kept.fresh, stride):
        swept += 1
        project.run(*command)
        assert Project(target).tree() == {
            b".": ("folder", b""),
            b"data": ("folder", b""),
            b"data/a": ("file", b"one"),
            b"data/sub": ("folder", b""),
            b"data/sub/b": ("file", b"b"),
            b"single": ("file", b"s"),
        }
        assert snapshot(project) == here
        shutil.rmtree(target)
    assert swept >= 3
    record_property("points", swept)
