"""Who slept for weeks between two requests, and deletes or relies on what another has deleted meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from killing import Killed
from projects import Project
from schedules import Clock, ClockedBackend, Inline
from stored import REPO_ID, contents, write_index, write_packs
from sweeps import Kept, killed_at_each

from datavc.backends.base import StoredFile
from datavc.errors import ConflictError, Locked
from datavc.formats import times
from datavc.formats.digest import Digest
from datavc.formats.root import encode_root
from datavc.formats.tombstone import RemovedRoots, Tombstone, encode_removed
from datavc.locking import Patience, waiting
from datavc.operations.steps.cleaning.restoring import put_back
from datavc.progress import SILENT
from datavc.repo import Repo
from datavc.store import layout, tombstones
from datavc.store.cachelock import relied_on, to_oneself
from datavc.store.garbage import sweep
from datavc.store.index import ObjectIndex
from datavc.store.remote import RemoteStore
from datavc.store.roots import begin_writing, new_root, publish_root, read_root
from datavc.store.tombstones import GRACE_SECONDS, REMOVED, Doomed

DIGEST = Digest.of("xxh128", b"a version")


class SleepyBackend(ClockedBackend):
    """Sleeps for a month before it writes a root, in which what the root names is deleted."""

    gone = ""

    def replace(self, name: str, data: bytes) -> None:
        self._clock.seconds += 30 * 86_400
        if self.gone:
            self.delete(self.gone)
        super().replace(name, data)


@pytest.mark.parametrize("what", ["pack", "index", "nothing"])
def test_a_root_that_was_written_a_month_too_late_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
):
    clock = Clock()
    monkeypatch.setattr(tombstones, "time", clock.module())
    backend = SleepyBackend(clock)
    guard = begin_writing(backend, "xxh128")
    packs = write_packs(backend, tmp_path, contents(3))
    index = write_index(backend, packs)
    backend.gone = {"pack": layout.pack_path(packs[0].name), "index": layout.index_path(index)}.get(what, "")
    make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"data", commit=None)
    if what == "nothing":
        publish_root(backend, "xxh128", make, [index], guard)
        assert read_root(backend, REPO_ID, DIGEST) is not None
        return
    with pytest.raises(ConflictError, match="has been deleted by datavc gc"):
        publish_root(backend, "xxh128", make, [index], guard)
    assert read_root(backend, REPO_ID, DIGEST) is None


def test_a_pack_index_that_was_listed_and_is_gone_is_left_out(tmp_path: Path):
    backend = ClockedBackend(Clock())
    names = [write_index(backend, write_packs(backend, tmp_path, contents(3, first=n))) for n in (0, 10)]
    backend.delete(layout.index_path(names[0]))
    index = ObjectIndex(backend, "xxh128", names, may_go=True)
    assert len(list(index.locations())) == 3


def test_an_add_that_slept_until_gc_had_deleted_it_all_says_so(
    project: Project, monkeypatch: pytest.MonkeyPatch
):
    project.write({"data/a": "alpha"})
    project.run("add", "data")
    repo = Repo.find(project.root)
    digest = Digest.of("xxh128", b"never stored")
    repo.cache.require_kept(digest)
    guard = repo.cache.begin_writing()
    repo.cache.require_kept(digest)
    monkeypatch.setattr(guard, "_began", (0.0, 0.0))
    with pytest.raises(ConflictError, match="before its pointer was written"):
        repo.cache.require_kept(digest)
    repo.cache.require_kept(repo.datasets()[0].digest)


@pytest.mark.parametrize("command", ["evict", "gc --grace 0 --yes"])
def test_what_deletes_at_once_waits_for_who_stores(project: Project, tmp_path: Path, command: str):
    project.run("remote", "add", "--default", "far", str(tmp_path / "far"), "--no-probe")
    project.write({"data/a": "alpha"})
    project.run("add", "data")
    project.run("push")
    folder = project.root / ".git/datavc/cache"
    with relied_on(folder), relied_on(folder):
        said = project.run(*command.split(), "--wait=0", code=11).err
    assert "in use by another command, which is storing something in it" in said
    with to_oneself(folder):
        said = project.run("fetch", "--wait=0", code=11).err
        with pytest.raises(Locked), waiting(Patience(0)), relied_on(folder):
            pass
    assert "in use by datavc evict or gc, which is deleting from it" in said
    project.run("fetch")
    project.run(*command.split())


def test_a_root_whose_removal_is_under_way_does_not_pass_for_new_until_that_is_over(tmp_path: Path):
    """A gc has looked at the old root, and deletes whatever has its name; a push after a refused one must not rely on it."""
    clock = Clock()
    backend = ClockedBackend(clock)
    with pytest.MonkeyPatch.context() as patch:
        for module in (times, tombstones):
            patch.setattr(module, "time", clock.module())
        store = RemoteStore("far", backend, REPO_ID, "xxh128")
        make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"data", commit=None)
        store.publish_root(make, [write_index(backend, write_packs(backend, tmp_path, contents(3)))])
        old = backend.read(layout.root_path(REPO_ID, DIGEST)).decode()
        written = store.root(DIGEST)
        clock.seconds += 10 * 86_400
        fresh = RemoteStore("far", backend, REPO_ID, "xxh128")
        fresh.begin_writing()
        backend.write(
            f"trash/some-id{REMOVED}", encode_removed(RemovedRoots(REPO_ID, "who", written.when, (old,)))
        )
        with pytest.raises(ConflictError, match="is removing versions"):
            fresh.renew(DIGEST)
        assert fresh.root(DIGEST).when == written.when
        backend.delete(f"trash/some-id{REMOVED}")
        fresh.renew(DIGEST)
        assert fresh.root(DIGEST).when > written.when


def test_who_restores_leaves_the_note_of_a_removal_under_way(tmp_path: Path):
    """The root is there and will be deleted: without the note, a push would renew it and not know (schedule 100253)."""
    clock = Clock()
    backend = ClockedBackend(clock)
    make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"data", commit=None)
    index = write_index(backend, write_packs(backend, tmp_path, contents(3)))
    root = publish_root(backend, "xxh128", make, [index], begin_writing(backend, "xxh128"))
    removed = RemovedRoots(REPO_ID, "who", root.when, (encode_root(root).decode(),))
    backend.write(f"trash/some-id{REMOVED}", encode_removed(removed))
    repo: Any = SimpleNamespace(config=SimpleNamespace(repo_id=REPO_ID), algorithm="xxh128")
    assert put_back(repo, backend, None, SILENT) == []
    assert [file.name for file in backend.list(layout.TRASH)] == [f"trash/some-id{REMOVED}"]
    clock.seconds += 2 * 3600
    put_back(repo, backend, None, SILENT)
    assert not list(backend.list(layout.TRASH))


class Unlooked(ClockedBackend):
    """Its user is killed when it looks into the trash for the second time."""

    looks = 0

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self.looks += prefix == layout.TRASH
        if self.looks == 2:
            raise Killed
        return super().list(prefix)


def test_who_is_killed_before_having_looked_for_a_removal_under_way_leaves_an_old_root(tmp_path: Path):
    """Of two gcs one has deleted the old root, and the other is about to: the push after that one must not rely on it."""
    backend = Unlooked(Clock())
    index = write_index(backend, write_packs(backend, tmp_path, contents(3)))
    make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"data", commit=None)
    texts = (encode_root(make((index,))).decode(),)
    removed = RemovedRoots(REPO_ID, "who", "2026-01-01T00:00:00Z", texts)
    backend.write(f"trash/some-id{REMOVED}", encode_removed(removed))
    with pytest.raises(Killed):
        publish_root(backend, "xxh128", make, [index], begin_writing(backend, "xxh128"))
    left = read_root(backend, REPO_ID, DIGEST)
    assert left is not None
    assert time.time() - datetime.fromisoformat(left.when).timestamp() > GRACE_SECONDS / 2


class Shifting(ClockedBackend):
    """A store whose writer goes on just when gc has listed the roots: its own root comes, the one beside it goes."""

    writer: Callable[[], None] | None = None

    def list(self, prefix: str) -> Iterator[StoredFile]:
        files = list(super().list(prefix))
        if prefix == layout.ROOTS and self.writer is not None:
            writer, self.writer = self.writer, None
            writer()
        return iter(files)


def test_a_root_that_gets_its_name_between_listing_and_reading_is_seen_by_gc(tmp_path: Path):
    backend = Shifting(Clock())
    packs = write_packs(backend, tmp_path, contents(3))
    index = write_index(backend, packs)
    make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"data", commit=None)
    root, name = make((index,)), layout.root_path(REPO_ID, DIGEST)
    backend.replace(name + layout.RESCUE, encode_root(replace(root, complete=False)))

    def go_on() -> None:
        backend.replace(name, encode_root(root))
        backend.delete(name + layout.RESCUE)

    backend.writer = go_on
    stone = Tombstone(REPO_ID, "who", root.when, (index,), (layout.sealed_name(packs[0].name),), ())
    doomed = Doomed("some-id", stone, 0.0, waits=True)
    assert sweep(backend, doomed, Inline(), lambda roots: None, (), lambda: None, lambda size: None) == 0
    assert backend.head(layout.index_path(index)).size
    assert backend.head(layout.pack_path(packs[0].name)).size


def test_what_an_eviction_that_was_killed_has_left_hinders_neither_gc_nor_fsck(
    project: Project, tmp_path: Path
):
    project.run("remote", "add", "--default", "far", str(tmp_path / "far"), "--no-probe")
    project.write({"data/a": "alpha"})
    project.run("add", "data")
    project.commit("one")
    project.run("push")
    kept = Kept.of(tmp_path / "start", project.root)
    for point in killed_at_each(project, ["evict"], kept.fresh, 3):
        project.run("fsck")
        project.run("gc", "--yes", "--most")
        project.run("pull")
        assert '"here"' in project.run("fetch", "--json").out, point
        project.run("fsck")
