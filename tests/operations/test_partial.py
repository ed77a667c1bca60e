"""Work on a part of a dataset whose rest was never here: it is added, pushed and cloned as if all of it were."""

from __future__ import annotations

import json
import os

import pytest
from projects import Project


@pytest.fixture
def part(project: Project) -> Project:
    """A clone in which ``data/sub`` alone was pulled."""
    project.write({"data/a": os.urandom(5000), "data/sub/b": "b", "data/far/c": os.urandom(3 << 20)})
    project.run("add", "data")
    project.run("remote", "add", "store", "../store")
    project.run("push")
    project.commit("data")
    clone = project.clone("part")
    clone.run("pull", "data/sub")
    return clone


def root_is_complete(project: Project) -> bool:
    return "not in the cache" not in project.run("status").out


def test_an_edit_in_a_part_is_added_pushed_and_cloned(part: Project):
    part.write({"data/sub/b": "edited", "data/sub/new": "n"})
    assert part.run("add", "data").out
    assert not root_is_complete(part)
    part.run("push", "--yes")
    part.commit("edited")
    clone = part.clone("clone")
    clone.run("pull")

    origin = Project(part.root.parent / "project", part.environment)
    assert clone.tree("data/far") == origin.tree("data/far")
    assert clone.read("data/a") == origin.read("data/a")
    assert (clone.read("data/sub/b"), clone.read("data/sub/new")) == (b"edited", b"n")


def test_the_rest_comes_when_it_is_asked_for(part: Project):
    part.write({"data/sub/new": "n"})
    part.run("add", "data")
    part.run("push", "--yes")
    part.run("pull", "data")

    assert part.run("status").out.startswith("data: pointer not committed")
    assert root_is_complete(part)
    part.run("fsck")


def test_a_part_that_is_named_is_added_as_well(part: Project):
    part.write({"data/sub/new": "n"})
    part.run("add", "data/sub")

    listed = {row["path"] for row in json.loads(part.run("ls", "-r", "--json", "data").out)}
    assert listed == {"data/a", "data/sub/b", "data/sub/new", "data/far/c"}
    part.run("push", "--yes")


def test_folders_that_are_elsewhere_are_not_vouched_for(part: Project):
    origin = Project(part.root.parent / "project", part.environment)
    (origin.root / "data/a").unlink()
    origin.run("add", "data")
    origin.run("push")
    origin.commit("folders alone")
    clone = origin.clone("folders")
    clone.run("pull", "data/sub")
    clone.write({"data/sub/new": "n"})
    clone.run("add", "data")

    assert not root_is_complete(clone)


def test_what_is_all_here_is_vouched_for(part: Project):
    part.run("fetch")
    part.write({"data/sub/new": "n"})
    part.run("add", "data")

    assert root_is_complete(part)
    part.run("fsck")
    part.run("push", "--yes")


def test_what_a_checkout_of_a_part_leaves_beside_it_is_not_taken_for_the_other_version(project: Project):
    project.write({"data/x": "1", "data/y": "1", "data/z": "1"})
    project.run("add", "data")
    project.commit("first")
    project.write({"data/x": "2", "data/y": "2"})
    project.run("add", "data")
    project.commit("second")
    project.git("checkout", "-q", "HEAD~1")

    project.run("checkout", "data/x")

    # Sizes and times of y are those that are known, its content is not what the pointer says.
    assert project.run("status").out == "data: behind\n"
    assert "M data/y" in project.run("diff").out
    project.run("checkout")
    assert project.read("data/y") == b"1"
    assert project.run("status", "--exit-code").out == "data: clean\n"
