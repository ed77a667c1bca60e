"""``datavc gc`` deletes what nothing needs, and nothing else; what it removed comes back until the grace is over."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder, outcomes, overwrite, packs, pushed, roots

from datavc.backends.folder import FolderBackend

DAY = 86_400


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def add(project: Project, name: str, size: int = 200_000) -> bytes:
    """A dataset of one new file; its content."""
    content = os.urandom(size)
    (project.root / name).unlink(missing_ok=True)
    project.write({name: content})
    project.run("add", "--force", name)
    return content


def collected(project: Project, *words: str, code: int = 0) -> dict[str, Any]:
    said = project.run("gc", "--json", "--yes", *words, code=code)
    return json.loads(said.out) if said.out else {}


def age(store: Path, days: float, *folders: str) -> None:
    """Let stored files be older by so many days."""
    for folder in folders or ("roots", "trash"):
        for file in (store / folder).rglob("*"):
            if file.is_file():
                seen = file.stat()
                os.utime(file, (seen.st_atime, seen.st_mtime - days * DAY))


def forget(project: Project) -> None:
    """The last commit never was."""
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    for name in ("ORIG_HEAD",):
        (project.root / ".git" / name).unlink(missing_ok=True)
    project.run("checkout", "--force")


@pytest.fixture
def two(project: Project) -> Project:
    """A small version that nothing needs any more, and one of more bytes that the pointer names."""
    project.first = add(project, "data", 400_000)  # type: ignore[attr-defined]
    project.commit("kept")
    add(project, "data", 100_000)
    project.dropped = project.read("data.datavc")  # type: ignore[attr-defined]
    project.commit("dropped")
    forget(project)
    return project


def test_what_nothing_needs_is_removed_and_after_two_graces_deleted(two: Project):
    before = len(packs(cache(two)))
    assert collected(two)["recent"] == 1
    age(cache(two), 15)
    removed = collected(two)
    assert [row["path"] for row in removed["removed"]] == ["data"]
    assert removed["freed_bytes"] == 0 < removed["doomed_bytes"]
    assert len(packs(cache(two))) == before
    assert collected(two)["freed_bytes"] == 0

    age(cache(two), 15)
    assert collected(two)["freed_bytes"] >= 100_000
    assert len(packs(cache(two))) == before - 1
    assert not list((cache(two) / "trash").iterdir())
    two.run("fsck")
    os.unlink(two.root / "data")
    two.run("checkout")
    assert two.read("data") == two.first  # type: ignore[attr-defined]


def test_without_a_grace_it_is_gone_at_once(two: Project):
    assert collected(two, "--grace", "0")["freed_bytes"] >= 100_000
    assert len(roots(cache(two))) == 1
    two.run("fsck")


def test_a_dry_run_and_nobody_who_agrees_change_nothing(two: Project):
    age(cache(two), 15)
    before = sorted(path for path in cache(two).rglob("*"))
    said = two.run("gc", "--dry-run")
    assert "data" in said.out and "97.7 KiB" in said.out
    assert "nobody agreed" in two.run("gc", code=2).err
    assert sorted(path for path in cache(two).rglob("*")) == before


def test_what_was_removed_comes_back(two: Project):
    age(cache(two), 15)
    digest = collected(two)["removed"][0]["digest"]
    assert "1 version brought back" in two.run("gc", "--restore").err
    two.run("checkout", digest, "--", "data")
    assert len(two.read("data")) == 100_000
    two.run("fsck")


def test_what_is_needed_again_comes_back_by_itself(two: Project):
    age(cache(two), 15)
    digest = collected(two)["removed"][0]["digest"]
    two.write({"data.datavc": two.dropped})  # type: ignore[attr-defined]
    two.run("checkout")
    assert len(two.read("data")) == 100_000
    age(cache(two), 15)
    assert [row["digest"] for row in collected(two)["restored"]] == [digest]
    age(cache(two), 40)
    collected(two)
    os.unlink(two.root / "data")
    two.run("checkout")
    assert len(two.read("data")) == 100_000
    two.run("fsck")


def test_what_is_checked_out_stays_while_pointer_and_git_say_something_else(project: Project):
    add(project, "data")
    project.commit("one")
    add(project, "data")
    project.commit("two")
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink()
    age(cache(project), 100)
    assert collected(project)["removed"] == []
    assert collected(project, "--grace", "0")["freed_bytes"] == 0
    project.run("fsck")


def test_records_stay(project: Project):
    project.write({"in": "x"})
    project.run("add", "in")
    project.commit()
    project.run("run", "--out", "made", "--", "cp", "in", "made", code=None)
    age(cache(project), 100)
    before = roots(cache(project))
    collected(project)
    assert [path for path in before if b'"record"' in path.read_bytes()] == [
        path for path in roots(cache(project)) if b'"record"' in path.read_bytes()
    ]


def test_a_shared_cache_keeps_what_another_clone_needs_and_everything_where_one_cannot_be_read(
    project: Project, tmp_path: Path
):
    project.run("config", "cache.dir", str(tmp_path / "shared"), "--local")
    add(project, "data")
    project.commit("one")
    other = project.clone("other")
    other.run("config", "cache.dir", str(tmp_path / "shared"), "--local")
    theirs = add(other, "data")
    other.commit("theirs")
    age(tmp_path / "shared", 100)
    assert collected(project)["removed"] == []
    (tmp_path / "other/.git").rename(tmp_path / "other/away")
    said = collected(project)
    assert said["removed"] == [] and len(said["unknown"]) == 1 and len(said["clones"]) == 1
    (tmp_path / "other/away").rename(tmp_path / "other/.git")
    os.unlink(other.root / "data")
    other.run("checkout")
    assert other.read("data") == theirs


def test_a_clone_that_was_moved_does_not_wait_for_itself(two: Project):
    two.root.rename(two.root.parent / "moved")
    moved = Project(two.root.parent / "moved", two.environment)
    assert collected(moved, "--grace", "0")["freed_bytes"] >= 100_000
    moved.run("fsck")


def pushed_by_two(project: Project, tmp_path: Path) -> tuple[Path, Project]:
    """A remote, and another clone, which pushed a version there that nothing here knows: all of it long ago."""
    store = add_folder(project, tmp_path / "store")
    add(project, "data", 400_000)
    project.commit("one")
    pushed(project)
    other = project.clone("other")
    add(other, "data", 100_000)
    pushed(other)
    age(store, 100)
    return store, other


def test_a_remote_keeps_what_other_clones_stored_unless_it_is_asked_for(project: Project, tmp_path: Path):
    store, other = pushed_by_two(project, tmp_path)
    said = collected(project, "-r", "origin")
    assert (len(said["unknown"]), said["removed"]) == (1, [])

    said = collected(project, "-r", "origin", "--older-than", "30")
    assert len(said["removed"]) == 1
    age(store, 15)
    assert collected(project, "-r", "origin")["freed_bytes"] >= 100_000
    assert len(packs(store)) == 1
    pushed(other)
    assert len(roots(store)) == 2
    assert len(packs(store)) == 2


def test_what_this_clone_pushed_and_nothing_needs_goes_from_the_remote(two: Project, tmp_path: Path):
    store = add_folder(two, tmp_path / "store")
    two.run("push")
    add(two, "data", 100_000)
    two.run("push")
    two.git("checkout", "-q", "data.datavc")
    two.run("checkout", "--force")
    age(store, 15)
    assert len(collected(two, "-r", "origin")["removed"]) == 1
    assert len(roots(store)) == 1


def test_a_push_of_something_doomed_rescues_it(project: Project, tmp_path: Path):
    store, other = pushed_by_two(project, tmp_path)
    collected(project, "-r", "origin", "--older-than", "30")
    pushed(other)
    age(store, 20, "trash")
    assert collected(project, "-r", "origin")["freed_bytes"] == 0
    assert len(packs(store)) == 2


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["believing", "checking"])
def test_a_push_that_relies_on_an_old_root_writes_it_again(
    project: Project, tmp_path: Path, options: tuple[str, ...]
):
    from dataclasses import replace

    from datavc.formats.root import decode_root, encode_root

    store = add_folder(project, tmp_path / "store")
    add(project, "data")
    pushed(project)
    (path,) = roots(store)
    root = decode_root(path.read_bytes())
    overwrite(path, encode_root(replace(root, when="2020-01-01T00:00:00Z")))
    assert outcomes(pushed(project, *options)) == ["complete"]
    assert decode_root(path.read_bytes()).when[:4] == time.strftime("%Y")


def test_more_than_half_is_refused_unless_it_is_meant(project: Project):
    add(project, "data", 100_000)
    project.commit("kept")
    add(project, "data", 400_000)
    project.commit("dropped")
    forget(project)
    age(cache(project), 15)
    assert "more than half" in project.run("gc", "--yes", code=1).err
    assert collected(project, "--most", "--grace", "0")["freed_bytes"] >= 400_000


def test_clocks_that_differ_are_refused(two: Project, monkeypatch: pytest.MonkeyPatch):
    now = FolderBackend.now
    monkeypatch.setattr(FolderBackend, "now", lambda self: now(self) + 301)
    assert "5 minutes apart" in two.run("gc", "--yes", code=1).err


@pytest.mark.parametrize("grace", ["1h", "x", "-1"])
def test_a_grace_that_is_none_is_refused(two: Project, grace: str):
    assert two.run("gc", f"--grace={grace}", code=2).err


@pytest.mark.parametrize("folder", ["indexes", "roots"])
def test_a_damaged_store_is_left_alone(two: Project, folder: str):
    age(cache(two), 15)
    for file in (cache(two) / folder).rglob("xxh128-*"):
        overwrite(file, b"x" * 100)
    before = sorted(cache(two).rglob("*"))
    assert "cannot be read" in two.run("gc", "--yes", code=12).err
    assert sorted(cache(two).rglob("*")) == before


@pytest.mark.parametrize("prefix", ["indexes/", "packs/", "roots/"])
def test_a_listing_that_falls_short_is_found_out(two: Project, monkeypatch: pytest.MonkeyPatch, prefix: str):
    age(cache(two), 15, "roots", "indexes", "packs")
    real = FolderBackend.list
    asked: list[str] = []

    def short(self: FolderBackend, asked_for: str) -> Any:
        found = sorted(real(self, asked_for))
        asked.append(asked_for)
        # Of roots the second listing: what the first lacks, nobody can miss.
        if asked_for == prefix and asked.count(prefix) == (2 if prefix == "roots/" else 1):
            return iter([])
        return iter(found)

    monkeypatch.setattr(FolderBackend, "list", short)
    assert "cannot be relied on" in two.run("gc", "--yes", code=1).err
    monkeypatch.undo()
    two.run("fsck")
    os.unlink(two.root / "data")
    two.run("checkout")


def test_a_file_that_goes_while_its_folder_is_listed_hides_no_other(tmp_path: Path):
    backend = FolderBackend(tmp_path)
    for name in "abc":
        backend.write(f"roots/{name}", b"x")
    found = backend.list("roots/")
    real = os.scandir

    class Gone:
        def __init__(self, path: Any) -> None:
            self._inner = real(path)

        def __enter__(self) -> Any:
            entries = list(self._inner)
            os.unlink(tmp_path / "roots/b")
            return iter(entries)

        def __exit__(self, *_: object) -> None:
            self._inner.close()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "scandir", Gone)
        assert sorted(file.name for file in found) == ["roots/a", "roots/c"]


def test_two_at_once_on_a_remote_do_not_delete_together(two: Project, tmp_path: Path):
    from datavc.errors import Locked
    from datavc.store.claim import Claim

    backend = FolderBackend(tmp_path)
    first = Claim(backend, "a")
    with pytest.raises(Locked):
        Claim(backend, "a")
    first.release()
    Claim(backend, "a").release()
    assert not list((tmp_path / "trash").iterdir())
