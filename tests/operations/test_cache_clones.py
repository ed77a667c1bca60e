"""``datavc cache list`` and ``cache forget``: who uses a cache, and who needs nothing of it any more."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder, pushed, roots


@pytest.fixture
def shared(project: Project, tmp_path: Path) -> Project:
    """A project that shares its cache with the clone ``other``, which has a version of its own."""
    project.run("config", "cache.dir", str(tmp_path / "shared"), "--local")
    project.write({"data": os.urandom(300_000)})
    project.run("add", "data")
    project.commit("one")
    other = project.clone("other")
    other.run("config", "cache.dir", str(tmp_path / "shared"), "--local")
    other.write({"data": os.urandom(100_000)})
    other.run("add", "--force", "data")
    other.commit("theirs")
    for file in (tmp_path / "shared/roots").rglob("xxh128-*"):
        os.utime(file, (0, file.stat().st_mtime - 40 * 86_400))
    return project


def standings(project: Project) -> list[str]:
    return [row["standing"] for row in json.loads(project.run("cache", "list", "--json").out)]


def removed(project: Project) -> int:
    return len(json.loads(project.run("gc", "--dry-run", "--json").out)["removed"])


def test_a_clone_that_is_gone_is_named_and_once_forgotten_holds_nothing(shared: Project, tmp_path: Path):
    assert standings(shared) == ["this", "there"]
    shutil.rmtree(tmp_path / "other")
    assert standings(shared) == ["this", "gone"]
    said = shared.run("cache", "list")
    assert str(tmp_path / "other") in said.out
    assert "next: datavc cache forget --gone" in said.err
    said = shared.run("gc", "--dry-run")
    assert str(tmp_path / "other") in said.out and "datavc cache forget" in said.err

    assert removed(shared) == 0
    assert "nobody agreed" in shared.run("cache", "forget", "--gone", code=2).err
    assert removed(shared) == 0
    assert str(tmp_path / "other") in shared.run("cache", "forget", "--gone", "--yes").out
    assert standings(shared) == ["this"]
    assert removed(shared) == 1
    assert "no clone is gone" in shared.run("cache", "forget", "--gone").err


@pytest.mark.parametrize("name", ["../other", "folder", "private", "id"])
def test_a_clone_is_named_by_its_folder_or_its_id(shared: Project, tmp_path: Path, name: str):
    shutil.rmtree(tmp_path / "other")
    row = json.loads(shared.run("cache", "list", "--json").out)[1]
    typed = {
        "folder": str(tmp_path / "other"),
        "private": str(tmp_path / "other/.git/datavc"),
        "id": row["id"][:8],
    }.get(name, name)
    said = json.loads(shared.run("cache", "forget", "--json", "--yes", typed).out)
    assert [one["id"] for one in said] == [row["id"]]
    assert standings(shared) == ["this"]


def test_a_clone_that_is_there_is_not_forgotten(shared: Project, tmp_path: Path):
    assert "is there, and uses the cache" in shared.run("cache", "forget", "../other", "--yes", code=1).err
    assert "is this clone" in shared.run("cache", "forget", ".", "--yes", code=1).err
    assert "hint: datavc cache list" in shared.run("cache", "forget", "/nowhere", "--yes", code=1).err
    assert "hint: datavc cache list" in shared.run("cache", "forget", "0" * 12, "--yes", code=1).err
    assert "hint: datavc cache list" in shared.run("cache", "forget", "--yes", code=2).err
    assert standings(shared) == ["this", "there"]


def test_notes_of_other_machines_and_unreadable_ones_keep_everything_until_they_are_forgotten(
    shared: Project, tmp_path: Path
):
    shutil.rmtree(tmp_path / "other")
    notes = {json.loads(file.read_bytes())["path"]: file for file in (tmp_path / "shared/clones").iterdir()}
    note = notes[str(tmp_path / "other/.git/datavc")]
    note.chmod(0o644)
    note.write_text(json.dumps({**json.loads(note.read_bytes()), "host": "elsewhere"}))
    (tmp_path / "shared/clones/0123456789ab").write_bytes(b"[]")
    assert standings(shared) == ["this", "elsewhere", "unreadable"]
    assert "no clone is gone" in shared.run("cache", "forget", "--gone", "--yes").err
    shared.run("cache", "forget", "--yes", str(tmp_path / "other"))
    assert removed(shared) == 0
    shared.run("cache", "forget", "--yes", "0123456789ab")
    assert removed(shared) == 1


def test_what_a_ref_here_reaches_stays_on_a_remote_at_any_age(project: Project, tmp_path: Path):
    store = add_folder(project, tmp_path / "store")
    for text in ("here", "theirs"):
        project.write({"data": text * 50_000})
        project.run("add", "data")
        project.commit(text)
        pushed(project)
    other = project.clone("other")
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink()
    project.run("checkout", "--force")
    for file in roots(store):
        os.utime(file, (0, file.stat().st_mtime - 400 * 86_400))
    project.git("fetch", "-q", str(other.root), "main:refs/remotes/other/main")
    command = ("gc", "-r", "origin", "--older-than", "30", "--most")
    assert json.loads(project.run(*command, "--json", "--yes").out)["removed"] == []
    project.git("update-ref", "-d", "refs/remotes/other/main")
    (project.root / ".git/FETCH_HEAD").unlink()
    said = project.run(*command, "--dry-run")
    assert (
        "data  20" in said.out and f"{os.environ.get('USER', os.getuid())}@{os.uname().nodename}" in said.out
    )
    assert len(roots(store)) == 2
    assert "nobody agreed" in project.run(*command, code=2).err
    assert len(roots(store)) == 2
    project.run(*command, "--yes")
    assert len(roots(store)) == 1


def test_older_than_is_of_remotes_alone(project: Project):
    assert "hint: datavc gc -r NAME" in project.run("gc", "--older-than", "3", code=2).err
