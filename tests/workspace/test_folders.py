"""Folders that are swapped for symlinks while they are read: nothing outside of the dataset is taken for its content."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from datavc.errors import ConflictError
from datavc.operations.steps.storing.ingest import Ingest
from datavc.workspace.folders import OpenFolders


def swap(root: Path) -> None:
    """Put a symlink to a look-alike outside in the place of ``data/a``."""
    (root / "data/a").rename(root / "moved")
    (root / "data/a").symlink_to(root.parent / "outside")


@pytest.fixture
def victim(project: Project) -> Project:
    project.write({"data/a/b/c/f": "mine", "../outside/b/c/f": "SECRET", "../outside/b/c/more": "SECRET"})
    return project


@pytest.fixture
def folders(victim: Project) -> Iterator[OpenFolders]:
    with OpenFolders(os.fsencode(victim.root)) as folders:
        yield folders


@pytest.mark.parametrize("listed_before", [1, 2, 3])
def test_a_walk_is_not_led_out_of_the_dataset(
    listed_before: int, victim: Project, monkeypatch: pytest.MonkeyPatch
):
    calls = 0
    listdir = os.listdir

    def listdir_and_swap(place: int) -> list[str]:
        nonlocal calls
        names = listdir(place)
        if isinstance(place, int):
            calls += 1
            if calls == listed_before:
                swap(victim.root)
        return names

    monkeypatch.setattr(os, "listdir", listdir_and_swap)
    victim.run("add", "data", code=None)
    monkeypatch.undo()

    assert calls >= listed_before
    assert b"SECRET" not in everything_stored(victim)


def test_reading_is_not_led_out_of_the_dataset(victim: Project, monkeypatch: pytest.MonkeyPatch):
    run = Ingest.run

    def swap_and_run(self: Ingest) -> object:
        swap(victim.root)
        return run(self)

    monkeypatch.setattr(Ingest, "run", swap_and_run)
    error = victim.run("add", "data", code=1).err

    assert "data/a/b/c changed while it was being read" in error
    assert not (victim.root / "data.datavc").exists()


def everything_stored(project: Project) -> bytes:
    if not (project.root / "data.datavc").exists():
        return b""
    names = project.run("ls", "-r", "data").out.splitlines()
    return b"".join(project.run("cat", name).out.encode() for name in names if not name.endswith("/"))


def test_an_open_folder_is_good_however_often_its_name_changes_hands(victim: Project, folders: OpenFolders):
    fd = folders.open(b"data/a/b")

    swap(victim.root)

    assert folders.open(b"data/a/b") == fd
    assert os.listdir(folders.open(b"data/a/b/c")) == ["f"]
    folders.open(b"data")
    with pytest.raises(ConflictError, match="data/a/b/c changed"):
        folders.open(b"data/a/b/c")


def test_a_pseudo_folder_is_the_folder_that_holds_the_dataset(victim: Project, folders: OpenFolders):
    assert set(os.listdir(folders.open(b"data\0"))) >= {"data", ".git"}
    assert os.listdir(folders.open(b"data/a\0")) == ["a"]


@given(st.lists(st.lists(st.sampled_from([b"a", b"b"]), max_size=4), max_size=20))
def test_whatever_the_order_each_folder_is_the_right_one(
    tmp_path_factory: pytest.TempPathFactory, asked: list[list[bytes]]
):
    root = tmp_path_factory.mktemp("root")
    for names in asked:
        os.makedirs(os.path.join(os.fsencode(root), *names), exist_ok=True)

    with OpenFolders(os.fsencode(root)) as folders:
        for names in asked:
            seen = os.fstat(folders.open(b"/".join(names)))
            assert os.path.samestat(seen, os.stat(os.path.join(os.fsencode(root), *names)))


def test_deep_folders_take_no_more_descriptors_than_flat_ones(tmp_path: Path):
    before = len(os.listdir("/dev/fd"))
    fd, names = os.open(tmp_path, os.O_RDONLY), []
    for number in range(300):
        names.append(str(number).encode())
        os.mkdir(names[-1], dir_fd=fd)
        inner = os.open(names[-1], os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)

    with OpenFolders(os.fsencode(tmp_path)) as folders:
        for depth in (*range(301), 299, 100, 300, 7):
            inside = os.listdir(folders.open(b"/".join(names[:depth])))
            assert inside == [name.decode() for name in names[depth : depth + 1]]
            assert len(os.listdir("/dev/fd")) <= before + 70
    assert len(os.listdir("/dev/fd")) == before
