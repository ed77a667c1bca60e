"""Paths as users type them, through symbolic links too: what is meant is what is there, or is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import Project

from datavc.cli.session import Session
from datavc.errors import UsageError


@pytest.fixture
def linked(project: Project) -> Project:
    """A project with links beside the folder ``d``: one to it, one out of the repository, one around the repository."""
    project.write({"d/sub/f": "inside", "../outside/sub/f": "outside"})
    (project.root / "inlink").symlink_to("d")
    (project.root / "outlink").symlink_to("../outside")
    (project.root.parent / "repolink").symlink_to(project.root.name)
    return project


def test_a_dataset_named_through_a_link_is_the_one_behind_it(linked: Project):
    linked.run("add", "inlink/sub")

    assert (linked.root / "d/sub.datavc").is_file()
    assert linked.run("ls", "inlink/sub").out == "d/sub/f\n"
    linked.write({"d/sub/f": "changed"})
    linked.run("checkout", "--force", "inlink/sub/f")
    assert linked.read("d/sub/f") == b"inside"
    assert os.path.islink(linked.root / "inlink")


@pytest.mark.parametrize("command", ["add", "status", "checkout", "remove", "ls"])
def test_what_a_link_leads_to_outside_is_refused_by_its_real_name(command: str, linked: Project):
    error = linked.run(command, "outlink/sub", code=2).err

    assert f"{linked.root.parent / 'outside/sub'} is outside of the repository" in error
    assert (linked.root.parent / "outside/sub/f").read_text() == "outside"


def test_a_repository_behind_a_link_takes_paths_of_both_spellings(linked: Project):
    link = linked.root.parent / "repolink"

    linked.run("add", str(link / "d/sub"))

    assert linked.run("status", str(link / "d"), str(linked.root / "d")).out.startswith("d/sub: ")
    assert linked.run("-C", str(link), "status", "d/sub").out.startswith("d/sub: ")
    assert linked.run("status", "../repolink/inlink/sub").out.startswith("d/sub: ")


def test_a_link_itself_is_a_dataset_unless_a_slash_follows_it(linked: Project):
    linked.run("add", "inlink")

    assert 'kind = "symlink"' in linked.read("inlink.datavc").decode()
    linked.run("add", "inlink/sub/")
    assert (linked.root / "d/sub.datavc").is_file()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("d", "d"),
        ("./d//sub/", "d/sub"),
        ("inlink", "inlink"),
        ("inlink/", "d"),
        ("inlink/sub", "d/sub"),
        ("inlink/..", "."),
        ("outlink/../d", "../d"),
        ("new/deeper", "new/deeper"),
        (".", "."),
        ("..", ".."),
        ("loop/x", "loop/x"),
    ],
)
def test_the_folders_above_what_is_typed_are_real(typed: str, meant: str, linked: Project):
    (linked.root / "loop").symlink_to("loop")

    assert Session(linked.root).absolute(typed) == os.fsencode(os.path.normpath(linked.root / meant))


def test_nothing_is_no_path(tmp_path: Path):
    with pytest.raises(UsageError, match="empty string"):
        Session(tmp_path).absolute("")
