"""Reading without checking out: by path and range, at any revision, from the cache or a remote, each piece verified."""

from __future__ import annotations

import io
import itertools
import os
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from planting import Planter
from projects import Project
from remotes import add_folder, flip, packs, watch_remotes

from datavc.errors import (
    DigestMismatch,
    MalformedError,
    NotFoundError,
    ObjectNotFound,
    StorageError,
    UsageError,
)
from datavc.formats.tree import FILE, FOLDER
from datavc.operations.reading import FoundEntry, Snapshot
from datavc.operations.steps.transfers import content
from datavc.operations.steps.transfers.pieces import Pieces
from datavc.repo import Repo

BIG = random.Random(1).randbytes(6_000_000)
CACHE = ".git/datavc/cache"


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, as this process sees it."""
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, project.environment[name])
    return project


@pytest.fixture
def pushed(here: Project, tmp_path: Path) -> Project:
    """Two versions of two datasets, tagged v1 and v2, on a remote alone: the cache is gone."""
    here.write({"data/a/x.csv": "1,2\n", "data/a/deep/y": "why", "data/big.bin": BIG, "in/one.txt": "one"})
    (here.root / "data" / "link").symlink_to("a/x.csv")
    (here.root / "data" / "folder").symlink_to("a")
    (here.root / "data" / "out").symlink_to("../secret")
    here.run("add", "data", "in/one.txt")
    add_folder(here, tmp_path / "remote")
    here.run("push", "--yes")
    here.git("tag", "v1")
    here.write({"data/a/x.csv": "3,4\n"})
    here.run("add", "data")
    here.commit("v2")
    here.run("push", "--yes")
    shutil.rmtree(here.root / CACHE)
    return here


@pytest.fixture
def local(here: Project) -> Snapshot:
    here.write({"data/a/x.csv": "1,2\n", "data/big.bin": BIG[:3_000_000]})
    here.run("add", "data")
    return snapshot(here)


def snapshot(project: Project, rev: str | None = None, *, disk_bytes: int = 1 << 30) -> Snapshot:
    return Snapshot(Repo.find(project.root), rev, disk_bytes=disk_bytes)


def read(found: Snapshot, path: bytes, start: int = 0, stop: int | None = None) -> bytes:
    return found.read(found.find(path), start, stop)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What remotes will have been asked for from now on: methods and names."""
    seen: list[str] = []

    def watch(method: str, name: str, done: bool) -> None:
        if not done:
            seen.append(f"{method} {name.partition('/')[0]}")

    watch_remotes(monkeypatch, watch)
    return seen


def test_what_the_cache_has_is_read_without_any_remote(here: Project):
    here.write({"data/a": "1", "data/big": BIG})
    here.run("add", "data")

    found = snapshot(here)

    assert read(found, b"data/a") == b"1"
    assert read(found, b"data/big", 3_000_000, 3_000_005) == BIG[3_000_000:3_000_005]
    assert read(found, b"data/big") == BIG


def test_each_revision_has_its_own_content(pushed: Project):
    assert read(snapshot(pushed, "v1"), b"data/a/x.csv") == b"1,2\n"
    assert read(snapshot(pushed, "HEAD"), b"data/a/x.csv") == b"3,4\n"
    assert read(snapshot(pushed), b"data/a/x.csv") == b"3,4\n"


def test_folders_are_listed_those_above_datasets_too(pushed: Project):
    found = snapshot(pushed, "v1")

    assert [(row.path, row.kind) for row in found.children(b"")] == [(b"data", "folder"), (b"in", "folder")]
    assert [row.path for row in found.children(b"in")] == [b"in/one.txt"]
    assert [(row.path, row.kind, row.size) for row in found.children(b"data/a")] == [
        (b"data/a/deep", "folder", 3),
        (b"data/a/x.csv", "file", 4),
    ]
    assert found.find(b"in").size == 3
    assert found.find(b"").files == found.find(b"data").files + 1


def test_symlinks_are_followed_inside_the_dataset_and_no_further(pushed: Project):
    found = snapshot(pushed)

    assert read(found, b"data/link") == b"3,4\n"
    assert read(found, b"data/folder/deep/y") == b"why"
    assert [row.path for row in found.children(b"data/folder")] == [b"data/a/deep", b"data/a/x.csv"]
    assert found.find(b"data/link", follow=False).kind == "symlink"
    with pytest.raises(NotFoundError, match=r"leads out of the dataset, to \.\./secret"):
        found.find(b"data/out")


def test_symlinks_that_lead_in_a_circle_lead_nowhere(here: Project):
    here.write({"data/a": "1"})
    (here.root / "data" / "one").symlink_to("two")
    (here.root / "data" / "two").symlink_to("one")
    here.run("add", "data")

    with pytest.raises(NotFoundError, match="data/one"):
        snapshot(here).find(b"data/one")


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (b"nowhere", "nowhere is"),
        (b"data/none", "data/none is"),
        (b"data/a/x.csv/below", "data/a/x.csv/below is"),
        (b"dat", "dat is"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(pushed: Project, path: bytes, named: str):
    with pytest.raises(NotFoundError, match=f"^{named} in no dataset at v1$"):
        snapshot(pushed, "v1").find(path)


def test_a_folder_has_no_bytes_and_a_file_no_children(pushed: Project):
    found = snapshot(pushed)

    for folder in (b"data", b"in"):
        with pytest.raises(UsageError, match="is a folder"):
            found.read(found.find(folder))
        with pytest.raises(UsageError, match="is a folder"):
            found.open(found.find(folder))
    with pytest.raises(UsageError, match="is no folder"):
        found.children(b"data/a/x.csv")


def test_a_small_file_costs_a_root_an_index_a_tree_and_itself(
    pushed: Project, monkeypatch: pytest.MonkeyPatch
):
    asked = counted(monkeypatch)

    read(snapshot(pushed), b"data/a/x.csv")

    assert sorted(asked) == ["head indexes"] * 2 + ["read indexes"] * 2 + ["read packs"] * 2 + ["read roots"]


def test_a_range_of_a_large_file_brings_the_chunks_that_it_lies_in_and_no_others(pushed: Project):
    found = snapshot(pushed)
    entry = found.find(b"data/big.bin")
    before = transferred(found)

    assert found.read(entry, 3_000_000, 3_000_100) == BIG[3_000_000:3_000_100]

    assert transferred(found) - before < 1_200_000
    assert found.read(entry, 3_000_010, 3_000_020) == BIG[3_000_010:3_000_020]
    assert transferred(found) - before < 1_200_000


def transferred(found: Snapshot) -> int:
    remotes = found._contents.remotes
    return sum(store.requests.read_bytes for store in remotes.stores) if remotes is not None else 0


def test_ranges_beyond_the_end_are_cut_off_there(pushed: Project):
    found = snapshot(pushed)

    assert read(found, b"data/a/x.csv", 2, 1000) == b"4\n"
    assert read(found, b"data/a/x.csv", 1000, 2000) == b""
    assert read(found, b"data/big.bin", len(BIG) - 3, None) == BIG[-3:]


def test_many_files_come_together(pushed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = [f"many/{number:03}" for number in range(200)]
    pushed.write({name: name for name in names})
    pushed.run("add", "many")
    pushed.run("push", "--yes", "many")
    shutil.rmtree(pushed.root / CACHE)
    asked = counted(monkeypatch)
    found = snapshot(pushed)

    contents = found.read_many([(found.find(name.encode()), 0, None) for name in names])

    assert contents == [name.encode() for name in names]
    assert len(asked) <= 6


def test_small_files_that_are_read_in_order_come_together_and_others_alone(
    pushed: Project, monkeypatch: pytest.MonkeyPatch
):
    names = [f"many/{folder}/{number:03}" for folder in "ab" for number in range(100)]
    pushed.write({name: name * 10 for name in names})
    pushed.run("add", "many")
    pushed.run("push", "--yes", "many")
    shutil.rmtree(pushed.root / CACHE)
    asked = counted(monkeypatch)
    found = snapshot(pushed, disk_bytes=0)
    found.find(b"many/a/000")
    before = len(asked)

    for name in names:
        with found.open(found.find(name.encode())) as file:
            assert file.read() == name.encode() * 10
    assert len(asked) - before <= 12

    other = snapshot(pushed, disk_bytes=0)
    other.find(b"many/a/000")
    start = transferred(other)
    for number in (50, 10, 90, 30):
        other.read(other.find(b"many/a/%03d" % number))
    assert transferred(other) - start <= 4 * 110


def test_all_trees_come_level_by_level(here: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "_WHOLE_BELOW", 0)
    here.write({f"wide/{number:03}/{number:03}/file": str(number) for number in range(200)})
    here.run("add", "wide")
    add_folder(here, tmp_path / "remote")
    here.run("push", "--yes")
    shutil.rmtree(here.root / CACHE)
    asked = counted(monkeypatch)
    found = snapshot(here)

    found.warm(b"")
    before = len(asked)
    assert [row.path for row in found.children(b"wide/017/017")] == [b"wide/017/017/file"]

    assert len(asked) == before <= 8


def test_a_second_process_finds_on_disk_what_the_first_one_read(
    pushed: Project, monkeypatch: pytest.MonkeyPatch
):
    read(snapshot(pushed), b"data/big.bin")
    asked = counted(monkeypatch)

    assert read(snapshot(pushed), b"data/big.bin") == BIG

    assert asked == []


def test_with_no_room_on_disk_nothing_is_kept_there(pushed: Project):
    read(snapshot(pushed, disk_bytes=0), b"data/big.bin")

    assert not (pushed.root / ".git/datavc/reading").exists()


def test_nothing_is_read_twice_in_one_process(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    asked = counted(monkeypatch)
    found = snapshot(pushed, disk_bytes=0)
    read(found, b"data/big.bin")
    before = len(asked)

    assert read(found, b"data/big.bin") == BIG

    assert len(asked) == before


def test_a_file_is_read_in_order_with_few_requests_and_here_and_there_with_few_bytes(pushed: Project):
    found = snapshot(pushed, disk_bytes=0)
    with found.open(found.find(b"data/big.bin")) as file:
        assert b"".join(iter(lambda: file.read(70_000), b"")) == BIG
        assert (file.tell(), file.seek(-4, 2), file.read()) == (len(BIG), len(BIG) - 4, BIG[-4:])
    assert found._contents.remotes is not None
    assert sum(store.requests.requests["read"] for store in found._contents.remotes.stores) < 16

    other = snapshot(pushed, disk_bytes=0)
    with other.open(other.find(b"data/big.bin")) as file:
        file.seek(5_000_000)
        assert file.read(8) == BIG[5_000_000:5_000_008]
        file.seek(1_000_000)
        assert file.read(8) == BIG[1_000_000:1_000_008]
    assert transferred(other) < 2_500_000


def test_a_long_read_asks_for_just_what_it_is(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    found = snapshot(pushed)
    entry = found.find(b"data/big.bin")
    asked: list[tuple[int, int | None]] = []
    real = Snapshot.read

    def read(self: Snapshot, entry: FoundEntry, start: int = 0, stop: int | None = None) -> bytes:
        asked.append((start, stop))
        return real(self, entry, start, stop)

    monkeypatch.setattr(Snapshot, "read", read)
    with found.open(entry) as file:
        for start in (1_000_000, 3_000_000):
            file.seek(start)
            assert file.read(123_457) == BIG[start : start + 123_457]

    assert asked == [(1_000_000, 1_123_457), (3_000_000, 3_123_457)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["read", "seek", "relative", "end", "line", "all", "into"]),
            st.integers(0, 700_000) | st.integers(0, 40_000),
        ),
        max_size=12,
    ),
    name=st.sampled_from([b"data/big.bin", b"data/a/x.csv"]),
)
def test_a_file_behaves_as_any_other(steps: list[tuple[str, int]], name: bytes, local: Snapshot):
    entry = local.find(name)
    plain = io.BytesIO(local.read(entry))
    with local.open(entry) as file:
        for what, number in steps:
            if what == "read":
                assert file.read(number) == plain.read(number)
            elif what == "seek":
                assert file.seek(number * 9) == plain.seek(number * 9)
            elif what == "relative":
                assert file.seek(number, 1) == plain.seek(number, 1)
            elif what == "end":
                back = min(number, entry.size)
                assert file.seek(-back, 2) == plain.seek(-back, 2)
            elif what == "line":
                assert file.readline(number) == plain.readline(number)
            elif what == "all":
                assert file.read() == plain.read()
            else:
                one, two = bytearray(number), bytearray(number)
                assert (file.readinto(one), one) == (plain.readinto(two), two)
            assert file.tell() == plain.tell()


def test_several_threads_may_read_one_snapshot(pushed: Project):
    found = snapshot(pushed)
    entry = found.find(b"data/big.bin")
    ranges = [(start, start + 50_000) for start in range(0, len(BIG), 50_000)] * 2
    random.Random(2).shuffle(ranges)

    with ThreadPoolExecutor(8) as executor:
        contents = list(executor.map(lambda span: found.read(entry, *span), ranges))

    assert contents == [BIG[start:stop] for start, stop in ranges]
    assert threading.active_count() < 20


def test_damage_on_the_remote_is_an_error_and_never_other_bytes(pushed: Project, tmp_path: Path):
    flip(packs(tmp_path / "remote")[0])
    found = snapshot(pushed)

    with pytest.raises(
        DigestMismatch, match=r"data cannot be read: object .* of the remote origin .* is damaged"
    ):
        read(found, b"data/big.bin")


def test_damage_on_the_way_to_the_second_process_is_fetched_anew(pushed: Project):
    read(snapshot(pushed), b"data/big.bin")
    for kept in (pushed.root / ".git/datavc/reading").rglob("*-*"):
        flip(kept)

    assert read(snapshot(pushed), b"data/big.bin") == BIG


def test_what_nobody_has_is_named(pushed: Project, tmp_path: Path):
    shutil.rmtree(tmp_path / "remote" / "roots")

    with pytest.raises(
        ObjectNotFound, match=r"data cannot be read: .* neither in the cache nor on the remote origin"
    ):
        read(snapshot(pushed), b"data/a/x.csv")


def test_without_a_remote_the_error_says_so(here: Project):
    here.write({"data/a": "1"})
    here.run("add", "data")
    shutil.rmtree(here.root / CACHE)

    with pytest.raises(ObjectNotFound, match="not in the cache, and there is no remote"):
        read(snapshot(here), b"data/a")


def test_after_a_failure_the_remote_is_asked_again(pushed: Project, monkeypatch: pytest.MonkeyPatch):
    fails = [True]

    def watch(method: str, name: str, done: bool) -> None:
        if fails[0] and name.startswith("packs/"):
            raise StorageError("the line is dead")

    watch_remotes(monkeypatch, watch)
    found = snapshot(pushed)
    with pytest.raises(StorageError, match="the line is dead"):
        read(found, b"data/a/x.csv")
    fails[0] = False

    assert read(found, b"data/a/x.csv") == b"3,4\n"


def test_what_was_evicted_meanwhile_comes_from_the_remote(pushed: Project):
    pushed.run("fetch")
    found = snapshot(pushed, disk_bytes=0)
    assert found.find(b"data/a/x.csv").size == 4
    shutil.rmtree(pushed.root / CACHE / "packs")

    assert read(found, b"data/a/x.csv") == b"3,4\n"


def test_a_blob_that_a_workspace_shares_is_hashed_before_it_is_believed(here: Project):
    here.run("config", "cache.link", "hardlink")
    here.run("config", "cache.share_above", "1000")
    here.write({"data/big": BIG})
    here.run("add", "data")
    blobs = [path for path in (here.root / CACHE / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) == 1
    found = snapshot(here)
    assert read(found, b"data/big", 10, 20) == BIG[10:20]

    os.utime(blobs[0], (0, 0))
    assert read(found, b"data/big", 10, 20) == BIG[10:20]

    flip(blobs[0], 5_000_000)

    with pytest.raises(DigestMismatch, match="blobs/"):
        read(found, b"data/big", 10, 20)


def test_a_chunk_list_that_is_not_that_of_the_file_is_found_when_all_of_it_is_read(pushed: Project):
    found = snapshot(pushed)
    entry = found.find(b"data/big.bin")
    found.read(entry, 0, 10)
    assert entry.version is not None and entry.digest is not None
    opened = found._contents._content(entry.version)
    listed = opened._layouts[entry.digest.raw]
    assert listed is not None
    lengths = [stop - start for start, stop in itertools.pairwise(listed.starts)]
    starts = list(itertools.accumulate(reversed(lengths), initial=0))
    opened._layouts[entry.digest.raw] = Pieces(listed.digests[::-1], starts)

    with pytest.raises(DigestMismatch, match="do not add up to it"):
        found.read(entry)


def test_an_entry_that_gives_another_size_than_its_object_has_is_refused(pushed: Project):
    found = snapshot(pushed)
    for path in (b"data/a/x.csv", b"data/big.bin"):
        entry = found.find(path)
        lying = FoundEntry(entry.path, entry.kind, entry.size + 1, 1, entry.digest, entry.version)

        with pytest.raises(MalformedError, match="its entry says"):
            found.read(lying)


@pytest.mark.parametrize("kind", ["files", "folders"])
def test_versions_without_end_are_refused_before_they_are_walked(kind: str, here: Project):
    planter = Planter(here)
    leaf = (
        (b"file", FILE, 2, 1, planter.blob(b"hi"))
        if kind == "files"
        else (b"x", FOLDER, 0, 0, planter.tree())
    )
    top, size, files = planter.nested(leaf, 10)
    planter.point("planted", top, size if kind == "files" else 0, files if kind == "files" else 0)
    found = snapshot(here)

    with pytest.raises(MalformedError, match=r"allowed|more than"):
        found.warm(b"planted")


def test_a_pack_that_decodes_to_much_more_than_is_wanted_is_not_held(
    pushed: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(content, "_SPARE_BYTES", 0)
    found = snapshot(pushed)

    assert read(found, b"data/a/x.csv") == b"3,4\n"
    kept = [path for path in (pushed.root / ".git/datavc/reading").rglob("*") if path.is_file()]
    assert len(kept) == 3  # the file, and the trees of its folder and of the one above


def test_an_unknown_revision_is_a_usage_error(pushed: Project):
    with pytest.raises(UsageError, match="v9"):
        snapshot(pushed, "v9").versions()
