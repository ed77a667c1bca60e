"""``fsck`` holds what pointers say of a version's size against what the version has."""

from __future__ import annotations

import os

import pytest
from projects import Project


@pytest.mark.parametrize(
    ("name", "said", "wrong"),
    [
        ("data", b"size = 9", b"size = 8"),
        ("data", b"files = 2", b"files = 3"),
        ("one", b"size = 3", b"size = 4"),
    ],
)
@pytest.mark.parametrize("remote", [False, True], ids=["alone", "with a remote"])
def test_a_pointer_that_says_another_size_than_its_version_has_is_a_problem(
    project: Project, name: str, said: bytes, wrong: bytes, remote: bool
):
    project.write({"data/a": "four", "data/b": "five!", "one": "one", "large": os.urandom(3_000_000)})
    project.run("add", "data", "one", "large")
    project.commit("sound")
    if remote:
        project.run("remote", "add", "origin", str(project.root.parent / "remote"))
        project.run("push")
    project.run("fsck")
    pointer = project.read(f"{name}.datavc")
    assert said in pointer
    project.write({f"{name}.datavc": pointer.replace(said, wrong)})

    found = project.run("fsck", code=12)

    assert f"the pointer of {name} says" in found.out + found.err
