"""``datavc push``: what is sent, in which order, how often, and what is found out about what was lost."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import Project
from remotes import (
    Stopped,
    add_folder,
    flip,
    indexes,
    outcomes,
    overwrite,
    packs,
    pushed,
    requests,
    roots,
    stop_at,
    watch_remotes,
    wrap_remotes,
    written,
)

from datavc.backends.base import Backend, StoredFile
from datavc.backends.folder import FolderBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StorageError
from datavc.formats.digest import hash_function
from datavc.formats.root import decode_root
from datavc.operations.steps.transfers.remotenotes import RemoteNotes, write_notes
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.index import ObjectIndex

PUTS = ("write", "replace")


@pytest.fixture
def remote(project: Project, tmp_path: Path) -> Path:
    return add_folder(project, tmp_path / "remote")


def add(project: Project, files: dict, path: str = "data") -> None:
    project.write({f"{path}/{name}": content for name, content in files.items()})
    project.run("add", path)
    project.commit("data")


def many(count: int = 40, *, first: int = 0) -> dict[str, bytes]:
    return {f"{n % 7}/{n:04}": b"%d " % n * 300 for n in range(first, first + count)}


def is_wholly_there(store: Path) -> None:
    """Every root names pack indexes that are there, and these name packs that are there, with what they must hold."""
    backend = FolderBackend(store)
    for path in roots(store):
        root = decode_root(path.read_bytes())
        index = ObjectIndex(backend, root.digest.algorithm, root.indexes)
        assert index.missing_packs() == []
        assert index.find(root.digest.raw) is not None


def arrives(project: Project, remote: Path, name: str) -> None:
    clone = project.clone(name)
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")


def test_a_push_sends_everything_and_a_second_one_asks_once(project: Project, remote: Path):
    add(project, many())
    first = pushed(project)
    assert outcomes(first) == ["sent"]
    is_wholly_there(remote)
    second = pushed(project)
    assert outcomes(second) == ["complete"]
    assert second["traffic"]["requests"] == {"read": 1}
    assert second["datasets"][0]["since"] == decode_root(roots(remote)[0].read_bytes()).when
    arrives(project, remote, "clone")


def test_one_request_a_dataset_when_nothing_is_new(project: Project, remote: Path):
    for number in range(5):
        add(project, many(4, first=number * 10), f"set{number}")
    pushed(project)
    assert requests(pushed(project)) == 5


def test_a_changed_file_costs_a_few_requests_and_little_more_than_its_bytes(project: Project, remote: Path):
    add(project, many(2000))
    pushed(project)
    add(project, {"3/0003": "changed"})
    again = pushed(project)
    assert outcomes(again) == ["sent"]
    assert again["traffic"]["sent_bytes"] < 40_000
    assert requests(again) <= 16
    is_wholly_there(remote)
    arrives(project, remote, "clone")


def test_the_root_comes_last_and_a_pack_index_after_its_packs(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    add(project, {**many(), "big": bytes(range(256)) * 20_000})
    names = written(monkeypatch)
    pushed(project)
    kinds = [name.partition("/")[0] for name in names]
    assert kinds == sorted(kinds, key=["datavc-store.json", "packs", "indexes", "roots"].index)
    assert kinds.count("roots") == 1


@pytest.mark.parametrize("after", [False, True])
def test_stopped_at_any_request_no_root_is_wrong_and_nothing_finished_is_sent_twice(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, after: bool
):
    add(project, many(), "other")
    pushed(project)
    shutil.copytree(remote, tmp_path / "before")
    add(project, {**many(200), "big": b"".join(b"%d" % n for n in range(400_000))})
    number, stopped = 0, True
    while stopped:
        number += 1
        shutil.rmtree(remote)
        shutil.copytree(tmp_path / "before", remote)
        with monkeypatch.context() as patch:
            sent = written(patch)
            watch_remotes(patch, stop_at(number, after=after))
            try:
                pushed(project)
                stopped = False
            except Stopped:
                pass
        is_wholly_there(remote)
        done = [name for name in sent if name.startswith("packs/")]
        with monkeypatch.context() as patch:
            again = written(patch)
            pushed(project)
        assert not set(done) & set(again)
        is_wholly_there(remote)
    assert number > 10
    arrives(project, remote, "clone")


def test_nothing_is_sent_that_was_not_asked_for(project: Project, remote: Path):
    add(project, many(), "secret")
    add(project, many(30, first=20), "data")
    pushed(project, "data")
    assert [decode_root(path.read_bytes()).path for path in roots(remote)] == [b"data"]
    backend = FolderBackend(remote)
    names = [path.name for path in indexes(remote)]
    held = {digest for digest, _ in ObjectIndex(backend, "xxh128", names).locations()}
    only_secret = hash_function("xxh128")(b"3 " * 300)
    both = hash_function("xxh128")(b"25 " * 300)
    assert only_secret not in held and both in held
    assert sum(path.stat().st_size for path in packs(remote)) < 60_000


def test_a_lost_object_is_found_by_check_and_sent_again(project: Project, remote: Path):
    add(project, many())
    pushed(project)
    for lost in packs(remote):
        data = lost.read_bytes()
        lost.unlink()
        assert outcomes(pushed(project)) == ["complete"]
        assert outcomes(pushed(project, "--check")) == ["sent"]
        is_wholly_there(remote)
        arrives(project, remote, f"without-{lost.name[-8:]}")
        if not lost.exists():
            lost.write_bytes(data)
    assert outcomes(pushed(project, "--check")) == ["complete"]


def test_check_finds_packs_of_another_length_and_lost_and_damaged_indexes(project: Project, remote: Path):
    add(project, many())
    pushed(project)
    overwrite(packs(remote)[0], packs(remote)[0].read_bytes()[:-1])
    assert outcomes(pushed(project, "--check")) == ["sent"]
    is_wholly_there(remote)
    for path in indexes(remote):
        path.unlink()
    assert outcomes(pushed(project, "--check")) == ["sent"]
    is_wholly_there(remote)
    for path in indexes(remote):
        flip(path)
    assert outcomes(pushed(project, "--check")) == ["sent"]
    arrives(project, remote, "clone")


def test_damage_of_the_same_length_is_found_by_reading_and_sent_again(project: Project, remote: Path):
    add(project, many())
    pushed(project)
    add(project, many(10), "other")
    pushed(project)
    damaged = packs(remote)
    for pack in damaged:
        flip(pack)
    assert outcomes(pushed(project, "--check")) == ["complete", "complete"]

    assert outcomes(pushed(project, "--read", "--dry-run")) == ["to send", "to send"]
    assert outcomes(pushed(project, "--check", "--read")) == ["sent", "sent"]
    is_wholly_there(remote)
    arrives(project, remote, "clone")
    assert outcomes(pushed(project, "--read")) == ["complete", "complete"]


def test_a_pack_that_came_over_wrongly_once_is_not_damaged(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    add(project, many())
    pushed(project)
    seen: set[str] = set()

    class Once(WrappingBackend):
        def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
            data = super().read(name, start, length)
            if name.startswith("packs/") and name not in seen:
                seen.add(name)
                return data[:-1] + bytes([data[-1] ^ 1])
            return data

    wrap_remotes(monkeypatch, Once)
    assert outcomes(pushed(project, "--read")) == ["complete"]
    assert seen


def test_what_a_pull_could_not_read_makes_the_next_push_check(project: Project, remote: Path):
    """A flipped bit shows when it is read. From then on nobody is told that the remote is complete."""
    add(project, many())
    pushed(project)
    flip(packs(remote)[0])
    shutil.rmtree(project.root / ".git/datavc/cache")
    project.run("fetch", code=12)
    # Stored again from the workspace, as on the machine that still has the files.
    project.run("add", "--rehash", "data")
    assert outcomes(pushed(project)) == ["sent"]
    arrives(project, remote, "clone")
    assert requests(pushed(project)) == 1


def test_a_new_version_does_not_build_on_what_was_lost(project: Project, remote: Path):
    add(project, many(200))
    pushed(project)
    for path in packs(remote):
        path.unlink()
    add(project, {"new": b"6 " * 300})
    pushed(project)
    arrives(project, remote, "clone")


def test_a_damaged_cache_is_named_with_its_paths_and_no_root_is_written(project: Project, remote: Path):
    add(project, {"a": b"A" * 3000, "b": bytes(range(256)) * 30})
    for path in packs(project.root / ".git/datavc/cache"):
        flip(path, 20)
    failed = project.run("push", "--yes", code=12)
    assert "damaged" in failed.err and "data" in failed.err and "datavc fsck" in failed.err
    assert roots(remote) == []


def test_what_of_a_damaged_pack_is_sound_may_be_sent(project: Project, remote: Path):
    """A bit of the footer's own: every entry is what it must be."""
    add(project, many())
    for path in packs(project.root / ".git/datavc/cache"):
        flip(path, len(path.read_bytes()) - 30)
    assert outcomes(pushed(project)) == ["sent"]
    is_wholly_there(remote)
    arrives(project, remote, "clone")


def test_what_the_cache_lacks_is_named(project: Project, remote: Path):
    add(project, many())
    shutil.rmtree(project.root / ".git/datavc/cache")
    failed = project.run("push", "--yes", code=1)
    assert "lacks the bytes of data" in failed.err
    assert roots(remote) == []


def test_the_user_is_warned_of_what_is_not_pushed(project: Project, remote: Path):
    add(project, many())
    project.write({"data/more": "not added"})
    assert "was changed since it was added" in project.run("push", "--yes").err
    project.run("add", "data")
    assert "is not committed" in project.run("push", "--yes").err
    project.commit("more")
    assert "warning" not in project.run("push", "--yes").err


def test_a_dry_run_sends_nothing(project: Project, remote: Path):
    add(project, many())
    remote.mkdir(exist_ok=True)
    said = pushed(project, "--dry-run")
    assert outcomes(said) == ["to send"]
    assert said["datasets"][0]["objects"] > 40 and said["datasets"][0]["size"] > 0
    assert [path for path in remote.rglob("*") if path.is_file()] == []
    assert not set(said["traffic"]["requests"]) & set(PUTS)


def test_all_branches_and_tags_push_every_version_once(project: Project, remote: Path):
    add(project, many(100))
    project.git("tag", "v1")
    add(project, {"new": "version two"})
    project.git("checkout", "-q", "-b", "side")
    add(project, {"new": "version three"})
    project.git("checkout", "-q", "main")
    project.run("checkout")
    said = pushed(project, "--all-branches", "--all-tags")
    assert outcomes(said) == ["sent"] * 3
    assert len(roots(remote)) == 3
    assert said["traffic"]["sent_bytes"] < 2 * said["datasets"][0]["size"] + 60_000
    assert requests(pushed(project, "--all-branches", "--all-tags")) == 3
    assert outcomes(pushed(project, "--rev", "v1")) == ["complete"]
    for rev in ("v1", "main", "side"):
        clone = project.clone(f"clone-{rev}")
        clone.git("checkout", "-q", rev)
        project.git("checkout", "-q", rev)
        project.run("checkout")
        clone.run("pull")
        assert clone.tree("data") == project.tree("data")


def test_one_dataset_that_fails_does_not_hinder_the_others(project: Project, remote: Path):
    add(project, many(), "whole")
    shutil.copytree(project.root / ".git/datavc/cache", project.root.parent / "copy")
    add(project, many(40, first=100), "lacking")
    shutil.rmtree(project.root / ".git/datavc/cache")
    shutil.move(project.root.parent / "copy", project.root / ".git/datavc/cache")
    said = pushed(project, code=3)
    assert dict(zip([row["path"] for row in said["datasets"]], outcomes(said), strict=True)) == {
        "lacking": "failed",
        "whole": "sent",
    }


def test_a_push_of_the_part_of_a_dataset_is_refused(project: Project, remote: Path):
    add(project, many())
    assert "whole datasets" in project.run("push", "data/3", code=2).err


def test_more_than_sixteen_versions_leave_a_root_of_sixteen_indexes(project: Project, remote: Path):
    for number in range(19):
        add(project, {f"file{number}": f"version {number}"})
        pushed(project)
    assert max(len(decode_root(path.read_bytes()).indexes) for path in roots(remote)) <= 16
    is_wholly_there(remote)
    arrives(project, remote, "clone")


def test_a_second_remote_gets_the_same(project: Project, remote: Path, tmp_path: Path):
    backup = add_folder(project, tmp_path / "backup", "backup")
    add(project, many())
    pushed(project)
    pushed(project, "-r", "backup")
    assert [path.name for path in packs(remote)] == [path.name for path in packs(backup)]


def test_a_store_of_another_format_is_left_alone(project: Project, remote: Path):
    remote.mkdir(exist_ok=True)
    (remote / layout.STORE_NOTE).write_text('{"format": 99, "id": "x"}')
    add(project, many())
    assert "99" in project.run("push", "--yes", code=12).err
    assert packs(remote) == []


def test_large_files_and_every_algorithm(git_project: Project, tmp_path: Path):
    for algorithm in ("blake3", "sha256"):
        project = Project(tmp_path / algorithm, git_project.environment)
        project.root.mkdir()
        project.git("init", "-q")
        project.run("init", "--hash", algorithm)
        remote = add_folder(project, tmp_path / f"remote-{algorithm}")
        add(project, {"big": b"".join(b"%d" % n for n in range(600_000)), "empty": b"", "a": b"a"})
        pushed(project)
        is_wholly_there(remote)
        arrives(project, remote, f"clone-{algorithm}")


class Listing(WrappingBackend):
    """Lists as ``change`` says."""

    def __init__(self, inner: Backend, change: Callable[[list[StoredFile]], list[StoredFile]]) -> None:
        super().__init__(inner)
        self._change = change

    def list(self, prefix: str) -> Iterator[StoredFile]:
        return iter(self._change(list(self.inner.list(prefix))))


def fails(files: list[StoredFile]) -> list[StoredFile]:
    raise StorageError("the listing broke off", "try again")


@pytest.mark.parametrize(
    "change",
    [lambda files: files[:1], lambda files: [], lambda files: files * 2],
    ids=["short", "empty", "repeating"],
)
def test_a_listing_that_stops_short_or_repeats_costs_bytes_and_nothing_else(
    project: Project,
    remote: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[list[StoredFile]], list[StoredFile]],
):
    for number in range(3):
        add(project, many(20, first=number * 10))
        pushed(project)
    # Nothing here knows what the dataset was before: the roots that are there are listed.
    add(project, {"new": "new"})
    shutil.rmtree(project.root / ".git/datavc/state")
    project.git("checkout", "-q", "--orphan", "fresh")
    project.commit("without a history")
    wrap_remotes(monkeypatch, lambda backend: Listing(backend, change))
    assert outcomes(pushed(project)) == ["sent"]
    monkeypatch.undo()
    is_wholly_there(remote)
    arrives(project, remote, "clone")


def test_a_listing_that_fails_is_an_error_and_leaves_no_root(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    add(project, many(20))
    wrap_remotes(monkeypatch, lambda backend: Listing(backend, fails))
    assert "the listing broke off" in project.run("push", "--yes", code=1).err
    assert roots(remote) == []


def test_on_a_slow_line_packs_are_short(project: Project, remote: Path):
    rng = random.Random(1)
    add(project, {"big": rng.randbytes(20 << 20), **{f"{n}": rng.randbytes(500_000) for n in range(20)}})
    repo = Repo.find(project.root)
    write_notes(repo, "origin", RemoteNotes(bandwidth=1000.0))
    pushed(project)
    sizes = [path.stat().st_size for path in packs(remote)]
    assert max(sizes) < 6 << 20 and len(sizes) >= 7
    is_wholly_there(remote)
    arrives(project, remote, "clone")


def test_little_memory_is_enough(project: Project, remote: Path):
    add(project, {**many(), "big": random.Random(2).randbytes(9 << 20)})
    assert outcomes(pushed(project, "--memory", "1MiB")) == ["sent"]
    clone = project.clone("clone")
    clone.run("pull", "--memory", "1MiB")
    assert clone.tree("data") == project.tree("data")
    assert "--memory" in project.run("push", "--memory", "much", code=2).err
