"""``datavc fetch`` and ``datavc pull``: what comes is what was pushed or an error, and no more comes than is needed."""

from __future__ import annotations

import json
import random
import shutil
import threading
from pathlib import Path

import pytest
from projects import Project
from remotes import (
    Stopped,
    add_folder,
    fetched,
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
)

from datavc.backends.base import Backend
from datavc.backends.folder import FolderBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.formats.digest import hash_function
from datavc.formats.header import HEADER_BYTES
from datavc.formats.root import decode_root, encode_root
from datavc.operations.steps.transfers import gathering
from datavc.store import packstream
from datavc.store.index import ObjectIndex
from datavc.store.reader import ObjectReader

CACHE = ".git/datavc/cache"


def add(project: Project, files: dict, path: str = "data") -> None:
    project.write({f"{path}/{name}": content for name, content in files.items()})
    project.run("add", path)
    project.commit("data")


def many(count: int = 60, *, first: int = 0) -> dict[str, bytes]:
    return {f"{n % 7}/{n:04}": b"%d " % n * 300 for n in range(first, first + count)}


@pytest.fixture
def remote(project: Project, tmp_path: Path) -> Path:
    """A remote that has a dataset of small files, a large one, a folder of its own, and what is easily forgotten."""
    folder = add_folder(project, tmp_path / "remote")
    big = b"".join(b"%d" % n for n in range(500_000))
    add(project, {**many(), "big": big, "empty": b"", "hollow": None, "deep/er/still": "deep"})
    (project.root / "data/run").write_bytes(b"#!/bin/sh")
    (project.root / "data/run").chmod(0o755)
    (project.root / "data/link").symlink_to("run")
    project.run("add", "data")
    project.commit("data")
    pushed(project)
    return folder


def cache_files(project: Project) -> set[str]:
    top = project.root / CACHE
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


# All of it


def test_a_clone_and_a_pull_give_the_same_files(project: Project, remote: Path):
    clone = project.clone("clone")
    result = clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    assert "clean" in clone.run("status").out
    assert project.git("rev-parse", "--short=12", "HEAD").strip() in result.err
    assert clone.run("fsck").code == 0


def test_a_second_fetch_asks_nobody(project: Project, remote: Path):
    clone = project.clone("clone")
    assert outcomes(fetched(clone)) == ["fetched"]
    again = fetched(clone)
    assert outcomes(again) == ["here"]
    assert requests(again) == 0


def test_a_fetch_leaves_the_workspace_alone_and_a_checkout_needs_nothing_more(project: Project, remote: Path):
    clone = project.clone("clone")
    fetched(clone)
    assert not (clone.root / "data").exists()
    shutil.move(remote, remote.with_name("gone"))
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")


def test_whole_packs_come_with_one_request_each(project: Project, remote: Path):
    said = fetched(project.clone("clone"))
    # The root, an index (its length and its bytes), and a pack of data and one of trees at least.
    assert requests(said) <= 3 + 2 * len(packs(remote))
    stored = sum(path.stat().st_size for path in [*packs(remote), *indexes(remote)])
    assert said["traffic"]["received_bytes"] <= stored + 2000


def test_of_a_new_version_only_what_is_new_comes(project: Project, remote: Path):
    clone = project.clone("clone")
    clone.run("pull")
    add(project, {"3/0003": "changed"})
    pushed(project)
    clone.git("pull", "-q")
    said = fetched(clone)
    assert said["datasets"][0]["size"] < 5000
    assert said["traffic"]["received_bytes"] < 20_000
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")


def test_what_was_fetched_can_be_pushed_elsewhere_and_added_to(
    project: Project, remote: Path, tmp_path: Path
):
    clone = project.clone("clone")
    clone.run("pull")
    add_folder(clone, tmp_path / "other", "other")
    assert outcomes(pushed(clone, "-r", "other")) == ["sent"]
    add(clone, {"new": "from the clone"})
    assert outcomes(pushed(clone, "-r", "other")) == ["sent"]
    third = clone.clone("third")
    third.run("pull", "-r", "other")
    assert third.tree("data") == clone.tree("data")


def test_every_version_of_branches_and_tags(project: Project, remote: Path):
    project.git("tag", "v1")
    add(project, {"new": "version two"})
    pushed(project)
    clone = project.clone("clone")
    clone.git("checkout", "-q", "-b", "mine")
    assert outcomes(fetched(clone, "--all-tags", "--all-branches")) == ["fetched", "fetched"]
    shutil.move(remote, remote.with_name("gone"))
    clone.git("checkout", "-q", "v1")
    clone.run("checkout")
    assert not (clone.root / "data/new").exists()


def test_a_dry_run_says_what_would_come_and_keeps_nothing(project: Project, remote: Path):
    clone = project.clone("clone")
    said = fetched(clone, "--dry-run")
    assert outcomes(said) == ["to fetch"]
    stored = sum(path.stat().st_size for path in packs(remote))
    assert 0.5 * stored < said["datasets"][0]["size"] <= stored
    assert said["traffic"]["received_bytes"] < 0.1 * stored
    assert {name.partition("/")[0] for name in cache_files(clone)} <= {"datavc-store.json", "clones"}
    assert "would be fetched" in clone.run("pull", "--dry-run").out
    assert not (clone.root / "data").exists()


# Parts


def test_a_sub_path_moves_what_it_takes(project: Project, remote: Path):
    clone = project.clone("clone")
    said = fetched(clone, "data/3/0003", "data/deep")
    assert said["datasets"][0]["size"] < 12_000
    clone.run("pull", "data/3/0003", "data/deep")
    assert set(clone.tree("data")) == {b".", b"3", b"3/0003", b"deep", b"deep/er", b"deep/er/still"}
    assert "partial" in clone.run("status").out
    # What was never here is no damage.
    assert "not, or not wholly, in this cache: data" in clone.run("fsck").err
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    assert clone.run("fsck").code == 0


def test_parts_fetched_one_by_one_stay_and_make_the_whole(project: Project, remote: Path):
    clone = project.clone("clone")
    for part in ("big", "0", "1", "2", "3", "4", "5", "6", "deep", "empty", "run", "link", "hollow"):
        fetched(clone, f"data/{part}")
    last = fetched(clone)
    assert last["datasets"][0]["size"] < 1000
    assert requests(fetched(clone)) == 0


def test_a_sub_path_that_is_not_there_is_said(project: Project, remote: Path):
    clone = project.clone("clone")
    assert "data/nothing is not in the dataset" in clone.run("fetch", "data/nothing", code=1).err


def test_trees_alone_are_enough_for_a_listing(project: Project, remote: Path):
    clone = project.clone("clone")
    said = fetched(clone, "--trees")
    assert said["traffic"]["received_bytes"] < 60_000
    shutil.move(remote, remote.with_name("gone"))
    assert "data/3/0003" in clone.run("ls", "-r", "data").out
    ended = clone.run("checkout", code=1)
    assert "lacks the bytes" in ended.err
    assert "hint: datavc pull data; datavc fsck" in ended.err


def test_a_checkout_without_any_of_it_says_which_command_gets_it(project: Project, remote: Path):
    clone = project.clone("clone")

    ended = clone.run("checkout", code=1)

    assert "error: not all of data is in the cache; nothing was touched\n" in ended.err
    assert "hint: datavc pull data\n" in ended.err


# What the remote has lost or damaged


def test_a_flipped_bit_is_refused_and_the_paths_are_named(project: Project, remote: Path):
    """DVC 3.67 pulls this with exit code 0, and calls the wrong bytes up to date."""
    for pack in packs(remote):
        data = pack.read_bytes()
        flip(pack, HEADER_BYTES)
        clone = project.clone(f"clone-{pack.name[-8:]}")
        failed = clone.run("pull", code=12)
        assert "damaged" in failed.err and pack.name in failed.err and "data" in failed.err
        assert "push --check" in failed.err
        assert not (clone.root / "data").exists()
        overwrite(pack, data)
        clone.run("pull")
        assert clone.tree("data") == project.tree("data")


def test_a_deleted_object_is_told_by_a_pull_and_mended_by_a_push(project: Project, remote: Path):
    """DVC 3.67 calls such a remote in sync, and a push says that everything is up to date."""
    for pack in packs(remote):
        data = pack.read_bytes()
        pack.unlink()
        clone = project.clone(f"clone-{pack.name[-8:]}")
        failed = clone.run("pull", code=1)
        assert "missing" in failed.err and pack.name in failed.err
        assert not (clone.root / "data").exists()
        assert outcomes(pushed(project, "--check")) == ["sent"]
        clone.run("pull")
        assert clone.tree("data") == project.tree("data")
        if not pack.exists():
            overwrite_new(pack, data)


def overwrite_new(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("left", [0, 1, 100, -25, -1])
def test_a_truncated_pack_is_refused(project: Project, remote: Path, left: int):
    pack = packs(remote)[0]
    overwrite(pack, pack.read_bytes()[:left])
    clone = project.clone("clone")
    failed = clone.run("pull", code=12)
    assert "damaged" in failed.err and pack.name in failed.err
    assert not (clone.root / "data").exists()


def test_swapped_packs_are_refused(project: Project, remote: Path):
    add(project, {f"more/{n}": b"%d" % n * 999 for n in range(90)})
    pushed(project)
    first, second, *_ = packs(remote)
    one, two = first.read_bytes(), second.read_bytes()
    overwrite(first, two)
    overwrite(second, one)
    failed = project.clone("clone").run("pull", code=12)
    assert "damaged" in failed.err


def test_two_files_of_one_length_that_change_places_are_told_apart(project: Project, tmp_path: Path):
    """In a pack every byte of which was written on purpose: its name, footer and index are right, and two entries swapped."""
    remote = add_folder(project, tmp_path / "remote")
    add(project, {"a": bytes(range(256)) * 8, "b": bytes(range(255, -1, -1)) * 8})
    pushed(project)
    for pack in packs(remote):
        data = pack.read_bytes()
        places = [data.find(content) for content in (bytes(range(256)) * 8, bytes(range(255, -1, -1)) * 8)]
        if min(places) < 0:
            continue
        one, two = places
        changed = bytearray(data)
        changed[one : one + 2048], changed[two : two + 2048] = data[two : two + 2048], data[one : one + 2048]
        overwrite(pack, bytes(changed))
    clone = project.clone("clone")
    clone.run("pull", code=None)
    if (clone.root / "data").exists():
        assert clone.tree("data") == project.tree("data")


def test_a_lost_or_damaged_pack_index_counts_as_no_version(project: Project, remote: Path):
    for break_it in (flip, Path.unlink):
        for path in indexes(remote):
            break_it(path)
        clone = project.clone(f"clone-{break_it.__name__}")
        failed = clone.run("pull", code=1)
        assert "is not, or not wholly, on" in failed.err
        # The clone has nothing to push; where the data is, a plain push would believe the root.
        assert "datavc push --check -r origin, in a clone that has it" in failed.err
        pushed(project, "--check", "-r", "origin")
        clone.run("pull")
        assert clone.tree("data") == project.tree("data")


def test_a_damaged_chunk_list_is_told_with_the_push_that_mends_it(project: Project, remote: Path):
    """No digest is that of a list itself: only the chunks that it names, and nobody has, tell that it is damaged."""
    for pack in packs(remote):
        for place in range(HEADER_BYTES, pack.stat().st_size, 97) if pack.stat().st_size < 20_000 else ():
            flip(pack, place)
            failed = project.clone("clone").run("pull", code=None)
            shutil.rmtree(project.root.parent / "clone")
            if "is not, or not wholly, on" in failed.err:
                assert "datavc push --check --read -r origin, in a clone that has it" in failed.err
                assert outcomes(pushed(project, "--check", "--read", "-r", "origin")) == ["sent"]
                project.clone("clone").run("pull")
                return
            flip(pack, place)
    pytest.fail("no chunk list was hit")


def test_a_root_that_says_it_is_of_another_version_counts_as_absent(project: Project, remote: Path):
    old = roots(remote)[0]
    add(project, {"new": "two"})
    pushed(project)
    new = next(path for path in roots(remote) if path != old)
    overwrite(new, old.read_bytes())
    assert "is not, or not wholly, on" in project.clone("clone").run("pull", code=1).err


def test_a_root_that_was_written_too_early_is_found_out(project: Project, remote: Path):
    """As another program might write it: a root for a new version with the indexes of the old one."""
    old = decode_root(roots(remote)[0].read_bytes())
    add(project, {"new": "two"})
    pushed(project)
    path = next(path for path in roots(remote) if decode_root(path.read_bytes()).digest != old.digest)
    new = decode_root(path.read_bytes())
    overwrite(path, encode_root(new.__class__(**{**_fields(new), "indexes": old.indexes})))
    clone = project.clone("clone")
    assert "is not, or not wholly, on" in clone.run("pull", code=1).err
    assert not (clone.root / "data").exists()
    # Who has the data and met that is not told again that the remote is complete.
    cache, aside = project.root / CACHE, project.root.parent / "aside"
    cache.rename(aside)
    project.run("fetch", code=1)
    shutil.rmtree(cache)
    aside.rename(cache)
    assert outcomes(pushed(project)) == ["sent"]
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")


def _fields(root: object) -> dict:
    return {name: getattr(root, name) for name in root.__dataclass_fields__}  # type: ignore[attr-defined]


def test_what_is_sound_of_a_damaged_remote_is_kept(project: Project, tmp_path: Path):
    remote = add_folder(project, tmp_path / "remote")
    add(project, many(30), "one")
    add(project, many(30, first=500), "two")
    pushed(project)
    last = max(packs(remote), key=lambda path: path.stat().st_mtime_ns)
    flip(last, 30)
    clone = project.clone("clone")
    said = fetched(clone, code=3)
    assert sorted(outcomes(said)) == ["failed", "fetched"]
    clone.run("pull", code=3)
    assert len([name for name in ("one", "two") if (clone.root / name).exists()]) == 1


def spoiled(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """What may become of a stored file: cut off, overwritten, longer, empty, or another file's content."""
    place = rng.randrange(len(content) + 1)
    return rng.choice(
        [
            content[:place],
            content[:place] + rng.randbytes(rng.choice([1, 8])) + content[place + 1 :],
            content[:place] + bytes(16) + content[place + 16 :],
            content + b"more",
            content[place:] + content[:place],
            b"",
            other,
        ]
    )


@pytest.mark.parametrize("seed", range(12))
def test_whatever_becomes_of_the_remotes_files_a_pull_is_right_or_an_error(
    project: Project, remote: Path, seed: int
):
    rng = random.Random(seed)
    files = sorted(
        (path for path in remote.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    kept = {path: path.read_bytes() for path in files}
    for path in rng.sample(files, rng.choice([1, 1, 2, 3])):
        overwrite(path, spoiled(rng, kept[path], kept[rng.choice(files)]))
    clone = project.clone("clone")
    result = clone.run("pull", code=None)
    assert result.code in (0, 1, 12), result.err
    assert "Traceback" not in result.err
    if result.code == 0:
        assert clone.tree("data") == project.tree("data")
    else:
        assert not (clone.root / "data").exists()
    for path, content in kept.items():
        overwrite(path, content)
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    assert clone.run("fsck").code == 0


class Flipping(WrappingBackend):
    """Gives a wrong byte in each pack's first reading, as a bad cable does."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.wrong: set[str] = set()
        self._lock = threading.Lock()

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = self.inner.read(name, start, length)
        with self._lock:
            if name.startswith(("packs/", "indexes/")) and name not in self.wrong:
                self.wrong.add(name)
                data = bytes([data[0] ^ 1]) + data[1:]
                data = data[:-1] + bytes([data[-1] ^ 1])
        return data


def test_a_wrong_byte_on_the_way_is_asked_for_once_more(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    flipping: list[Flipping] = []

    def wrap(backend: Backend) -> Backend:
        flipping.append(Flipping(backend))
        return flipping[-1]

    wrap_remotes(monkeypatch, wrap)
    clone = project.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    assert flipping[0].wrong >= {f"packs/{path.parent.name}/{path.name}" for path in packs(remote)[:1]}


# More than one remote


def test_what_one_remote_lacks_comes_from_the_next(project: Project, remote: Path, tmp_path: Path):
    backup = add_folder(project, tmp_path / "backup", "backup")
    pushed(project, "-r", "backup")
    lost = packs(remote)[0]
    flip(lost, 30)
    clone = project.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    damaged = packs(backup)[-1]
    damaged.unlink()
    second = project.clone("second")
    second.run("pull")
    assert second.tree("data") == project.tree("data")
    assert project.clone("third").run("pull", "-r", "backup", code=1).err.count("missing")


def test_a_remote_that_cannot_be_reached_is_said_and_left_out(project: Project, remote: Path, tmp_path: Path):
    add_folder(project, tmp_path / "backup", "backup")
    pushed(project, "-r", "backup")
    shutil.move(remote, remote.with_name("gone"))
    clone = project.clone("clone")
    result = clone.run("pull")
    assert "warning" in result.err and "going on without" in result.err
    assert clone.tree("data") == project.tree("data")
    failed = project.clone("third").run("pull", "-r", "origin", code=None)
    assert failed.code in (1, 2) and str(remote) in failed.err


def test_a_version_that_was_never_pushed_is_said_to_be_on_no_remote(project: Project, remote: Path):
    add(project, {"new": "not pushed"})
    failed = project.clone("clone").run("pull", code=1)
    assert "is not, or not wholly, on the remote origin" in failed.err
    assert "datavc push" in failed.err


# Interruptions


@pytest.mark.parametrize("after", [False, True])
def test_stopped_at_any_request_what_came_is_kept(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch, after: bool
):
    whole = fetched(project.clone("whole"))["traffic"]["received_bytes"]
    number, stopped = 0, True
    while stopped:
        number += 1
        clone = project.clone(f"clone{number}")
        with monkeypatch.context() as patch:
            watch_remotes(patch, stop_at(number, after=after))
            try:
                fetched(clone)
                stopped = False
            except Stopped:
                pass
        assert not (clone.root / CACHE / "tmp").exists() or not list((clone.root / CACHE / "tmp").iterdir())
        rest = fetched(clone)["traffic"]["received_bytes"]
        assert rest <= whole
        clone.run("checkout")
        assert clone.tree("data") == project.tree("data")
        assert clone.run("fsck").code == 0
        shutil.rmtree(clone.root)
    assert number > 5


def test_a_long_fetch_indexes_what_it_has_on_the_way(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gathering, "_CHECKPOINT_SECONDS", 0.0)
    for number in range(4):
        add(project, {**many(30, first=1000 * number), f"big{number}": b"%d " % number * (400_000 + number)})
        pushed(project)
    clone = project.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    assert len(indexes(clone.root / CACHE)) > 1
    assert len(decode_root(roots(clone.root / CACHE)[0].read_bytes()).indexes) <= 16
    assert clone.run("fsck").code == 0


def test_a_killed_fetch_finds_its_packs_again(project: Project, remote: Path):
    clone = project.clone("clone")
    fetched(clone)
    cache = clone.root / CACHE
    kept = [path for path in packs(cache) if path.name in {pack.name for pack in packs(remote)}]
    assert kept
    for path in [*indexes(cache), *roots(cache)]:
        path.unlink()
    said = fetched(clone)
    assert said["traffic"]["received_bytes"] < sum(path.stat().st_size for path in packs(remote)) / 2
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")


def test_damaged_remains_in_the_cache_are_put_aside(project: Project, remote: Path):
    clone = project.clone("clone")
    fetched(clone)
    cache = clone.root / CACHE
    for path in [*indexes(cache), *roots(cache)]:
        path.unlink()
    for path in packs(cache):
        flip(path)
    fetched(clone)
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")
    assert list((cache / "quarantine").iterdir())


# The workspace


def test_a_pull_refuses_to_overwrite_unsaved_work(project: Project, remote: Path):
    clone = project.clone("clone")
    clone.run("pull")
    clone.write({"data/3/0003": "mine"})
    add(project, {"3/0003": "theirs"})
    pushed(project)
    clone.git("pull", "-q")
    assert "unsaved" in clone.run("pull", code=1).err
    assert clone.read("data/3/0003") == b"mine"
    clone.run("pull", "--force")
    assert clone.tree("data") == project.tree("data")


def test_a_pull_says_which_pointers_are_not_committed(project: Project, remote: Path):
    clone = project.clone("clone")
    clone.run("pull")
    add(clone, {"3/0003": "mine"})
    clone.git("reset", "-q", "--soft", "HEAD~1")
    said = json.loads(clone.run("pull", "--json").out)
    assert said["uncommitted"] == ["data"]
    assert "not committed" in clone.run("pull").err


def test_without_git(bare_project: Project, tmp_path: Path):
    bare_project.run("init", "--no-git")
    bare_project.write({"data/a": "alpha"})
    bare_project.run("add", "data")
    bare_project.run("remote", "add", "origin", str(tmp_path / "remote"), "--no-probe")
    bare_project.run("push", "--yes")
    shutil.rmtree(bare_project.root / ".datavc/cache")
    shutil.rmtree(bare_project.root / "data")
    assert "commit" not in bare_project.run("pull").err
    assert bare_project.read("data/a") == b"alpha"


def test_large_trees_and_other_algorithms(
    git_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A folder of so many names that its tree is kept as a chunk list; the cap on such lists is none on trees."""
    monkeypatch.setattr(gathering, "MAX_LIST_BYTES", 1000)
    project = Project(tmp_path / "large", git_project.environment)
    project.root.mkdir()
    project.git("init", "-q")
    project.run("init", "--hash", "sha256")
    add_folder(project, tmp_path / "remote")
    add(project, {f"{n:05}-{'x' * 40}": b"%d" % (n % 50) for n in range(3000)})
    pushed(project)
    clone = project.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
    add(project, {"00001": "one more"})
    pushed(project)
    clone.git("pull", "-q")
    assert fetched(clone)["datasets"][0]["size"] < 200_000
    clone.run("checkout")
    assert clone.tree("data") == project.tree("data")


def test_chunk_lists_that_are_cut_themselves(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As files of a dozen gigabytes have them: a list of the pieces of the list of chunks."""
    monkeypatch.setattr(packstream, "MAX_ENTRY_BYTES", 500)
    remote = add_folder(project, tmp_path / "remote")
    big = random.Random(3).randbytes(12 << 20)
    add(project, {"big": big, "small": "small"})
    add(project, {"twin": big}, "other")
    for path in roots(project.root / CACHE):
        # Each root's indexes alone say where all of it is.
        root = decode_root(path.read_bytes())
        cache = FolderBackend(project.root / CACHE)
        index = ObjectIndex(cache, "xxh128", root.indexes)
        digest = hash_function("xxh128")(big)
        listed = list(ObjectReader(cache, "xxh128", index.find).levels(digest, index.find(digest)))
        assert [one.level for one in listed] == [1, 0]
        assert sum(map(len, ObjectReader(cache, "xxh128", index.find).stream(digest))) == len(big)
    pushed(project)
    clone = project.clone("clone")
    clone.run("pull", "data/big")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data") and clone.tree("other") == project.tree("other")
    assert clone.run("fsck").code == 0
    flip(packs(remote)[0], 5000)
    assert "damaged" in project.clone("second").run("pull", code=None).err
