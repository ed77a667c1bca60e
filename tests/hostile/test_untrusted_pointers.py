"""Pointers that somebody else wrote: what says the same is read and left alone, what is false is refused unharmed."""

from __future__ import annotations

import os
import shutil

import pytest
from projects import Project


@pytest.fixture
def three(project: Project) -> Project:
    """A small file, a large one, and a folder."""
    project.write({"file": "12345", "data/a": "a", "large": os.urandom(3 << 20)})
    project.run("add", "file", "data", "large")
    project.commit("data")
    return project


def rewrite(project: Project, name: str, **values: object) -> None:
    """Change values of a pointer."""
    rows = [line.split(" = ", 1) for line in project.read(f"{name}.datavc").decode().splitlines()]
    text = "".join(f"{key} = {values.get(key, old)}\n" for key, old in rows)
    project.write({f"{name}.datavc": text})


def digest_of(project: Project, name: str) -> str:
    return project.read(f"{name}.datavc").decode().split("digest = ")[1].split("\n")[0]


def remove(project: Project, name: str) -> None:
    place = project.root / name
    shutil.rmtree(place) if place.is_dir() else place.unlink()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("file", {"size": 7}),
        ("file", {"size": 3}),
        ("large", {"size": 7}),
        ("large", {"size": 6 << 20}),
        ("data", {"size": 2}),
        ("data", {"files": 2}),
        ("data", {"files": 0}),
        ("file", {"kind": '"folder"'}),
        ("data", {"kind": '"file"'}),
        ("file", {"files": 2}),
        ("large", {"kind": '"symlink"'}),
    ],
)
def test_a_checkout_refuses_what_the_objects_contradict(name: str, values: dict[str, object], three: Project):
    rewrite(three, name, **values)
    remove(three, name)

    ended = three.run("checkout", name, code=None)

    assert ended.code in (1, 12)
    assert ended.out == ""
    assert "bug in datavc" not in ended.err
    assert not os.path.lexists(three.root / name)


def test_a_pointer_to_another_kind_of_object_is_refused(three: Project):
    for name, other in (("file", "data"), ("data", "large")):
        rewrite(three, name, digest=digest_of(three, other))
        remove(three, name)

        three.run("checkout", name, code=12)

        assert not os.path.lexists(three.root / name)


@pytest.mark.parametrize("content", [b"", b"a\0b", b"x" * 4096], ids=["empty", "nul", "too long"])
def test_a_symlink_that_cannot_be_is_refused(content: bytes, project: Project):
    project.write({"link": content})
    project.run("add", "link")
    rewrite(project, "link", kind='"symlink"')
    remove(project, "link")

    error = project.run("checkout", code=12).err

    assert "link is a symlink with a target that no file system takes" in error
    assert not os.path.lexists(project.root / "link")


def test_a_pointer_in_other_words_is_read_and_left_alone(three: Project):
    other = f"# by hand\r\nfiles=1\r\nsize = 0x5\r\ndigest='{digest_of(three, 'file')[1:-1]}'\r\nkind='file'\r\nformat=0\r\n"
    three.write({"file.datavc": other})
    remove(three, "file")

    three.run("checkout", "file")
    assert three.read("file") == b"12345"
    assert three.run("status", "file").out.startswith("file: pointer not committed")
    three.run("add", "file")

    assert three.read("file.datavc") == other.encode()
    three.write({"file": "changed"})
    three.run("add", "file")
    assert three.read("file.datavc").startswith(b'format = 1\nkind = "file"\n')
