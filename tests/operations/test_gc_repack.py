"""``datavc gc --repack``: packs of which little is needed go, tiny ones become few, and every version stays readable."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder, indexes, overwrite, packs, pushed, roots
from servers import S3Server, s3_server
from sweeps import COMPLETED, run_killed

from datavc.formats.root import decode_root, encode_root
from datavc.operations.steps.cleaning import repacking
from datavc.store.layout import RESCUE

DAY = 86_400


def cache(project: Project) -> Path:
    return project.root / ".git/datavc/cache"


def size(store: Path) -> int:
    return sum(path.stat().st_size for path in packs(store))


def age(store: Path, days: float) -> None:
    for folder in ("roots", "trash"):
        for file in (store / folder).rglob("*"):
            if file.is_file():
                seen = file.stat()
                os.utime(file, (seen.st_atime, seen.st_mtime - days * DAY))


def collected(project: Project, *words: str) -> dict[str, Any]:
    return dict(json.loads(project.run("gc", "--json", "--yes", "--most", *words).out))


def forget(project: Project) -> None:
    """The last commit never was."""
    project.git("reset", "-q", "--hard", "HEAD~1")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink(missing_ok=True)
    project.run("checkout", "--force")


@pytest.fixture
def half_dead(project: Project) -> Project:
    """One pack, of which a fifth is in the only version that is left; a large file that is kept in chunks is in it."""
    project.write({f"data/{number}": os.urandom(100_000) for number in range(20)})
    project.write({"data/large": random.Random(1).randbytes(2 << 20)})
    project.run("add", "data")
    project.commit("all")
    for number in range(4, 20):
        (project.root / f"data/{number}").unlink()
    project.write({"data/large": random.Random(1).randbytes(1_200_000)})
    project.run("add", "data")
    project.git("add", "-A")
    project.git("commit", "-q", "--amend", "-m", "a fifth")
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink(missing_ok=True)
    return project


def assert_whole(project: Project, before: dict[bytes, Any]) -> None:
    project.run("fsck")
    shutil.rmtree(project.root / "data")
    project.run("checkout", "--force", "data")
    assert project.tree("data") == before


def test_what_is_needed_of_half_dead_packs_is_written_anew_and_the_rest_goes(half_dead: Project):
    before, was = half_dead.tree("data"), size(cache(half_dead))
    assert collected(half_dead, "--grace", "0")["repacked"] == 0
    assert size(cache(half_dead)) > was * 0.9
    said = half_dead.run("gc", "--repack", "--dry-run", "--grace", "0")
    assert "would be rewritten: " in said.out
    said = collected(half_dead, "--repack", "--grace", "0")
    assert said["repack_frees_bytes"] > 2_000_000 > said["repacked_bytes"] > 1_000_000
    assert size(cache(half_dead)) < was / 2
    assert_whole(half_dead, before)
    assert collected(half_dead, "--repack", "--grace", "0")["repacked"] == 0


def test_with_a_grace_what_was_replaced_goes_later(half_dead: Project):
    before, was = half_dead.tree("data"), size(cache(half_dead))
    age(cache(half_dead), 15)
    said = collected(half_dead, "--repack")
    assert said["doomed_bytes"] > 3_000_000
    assert size(cache(half_dead)) > was
    assert_whole(half_dead, before)
    age(cache(half_dead), 15)
    assert collected(half_dead)["freed_bytes"] > 3_000_000
    assert size(cache(half_dead)) < was / 2
    assert_whole(half_dead, before)


def test_an_unfinished_version_that_names_what_is_gone_hinders_nothing(half_dead: Project):
    """As a writer leaves it that was killed, or is being refused just now (schedule 20421)."""
    age(cache(half_dead), 15)
    path = roots(cache(half_dead))[0]
    root = decode_root(path.read_bytes())
    unfinished = replace(root, complete=False, indexes=(f"xxh128-{'0' * 32}",))
    path.with_name(path.name + RESCUE).write_bytes(encode_root(unfinished))
    before = half_dead.tree("data")
    assert collected(half_dead, "--repack")["repacked"] > 0
    assert_whole(half_dead, before)


def test_whoever_has_stored_on_the_old_packs_meanwhile_keeps_them(half_dead: Project):
    """After the plan, a version is added that needs what no version needed."""
    lost = os.urandom(100_000)
    half_dead.write({"data/kept": lost})
    half_dead.run("add", "data")
    half_dead.commit("needs it")
    forget(half_dead)
    age(cache(half_dead), 15)
    real = repacking.carry_out

    def add_first(*arguments: Any) -> None:
        half_dead.write({"data/kept": lost, "data/more": "another version"})
        half_dead.run("add", "data")
        half_dead.commit("again")
        real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datavc.operations.gc.carry_out", add_first)
        collected(half_dead, "--repack")
    before = half_dead.tree("data")
    assert_whole(half_dead, before)
    for _ in range(3):
        age(cache(half_dead), 40)
        collected(half_dead)
    assert_whole(half_dead, before)
    assert half_dead.read("data/kept") == lost


def test_tiny_packs_become_few_and_so_do_their_indexes(project: Project):
    for number in range(20):
        project.write({f"data/{number}": os.urandom(500), "other/x": os.urandom(50)})
        project.run("add", "data", "other")
        project.commit(str(number))
    project.write({"third/x": "x"})
    project.run("add", "third")
    project.commit("third")
    assert (len(packs(cache(project))), len(indexes(cache(project)))) > (80, 40)
    collected(project, "--repack", "--grace", "0")
    assert len(packs(cache(project))) == 6  # no pack mixes datasets, nor trees with files
    assert len(indexes(cache(project))) == 3
    assert len(roots(cache(project))) == 41
    project.run("fsck")
    for number in (0, 11, 19):
        project.run("checkout", "--force", f"HEAD~{20 - number}")
        assert len(project.tree("data")) == number + 2
    project.run("add", "data", "other")
    project.run("status")
    said = collected(project, "--repack", "--grace", "0")
    assert (said["repacked"], said["freed_bytes"]) == (0, 0)


def test_what_expired_is_freed_out_of_packs_that_other_versions_need(project: Project):
    from dataclasses import replace

    from datavc.formats.root import decode_root, encode_root

    for text in ("one", "two"):
        project.write({"data": os.urandom(500_000), "x": text})
        project.run("add", "data", code=None)
        project.commit(text)
    for path in roots(cache(project)):
        root = decode_root(path.read_bytes())
        overwrite(path, encode_root(replace(root, when="2020-01-01T00:00:00Z")))
    was = size(cache(project))
    expire = ("--expire", "data", "--older-than", "180", "--grace", "0")
    assert len(collected(project, *expire)["expired"]) == 1
    assert size(cache(project)) == was
    collected(project, "--repack", "--grace", "0")
    assert size(cache(project)) < was * 0.6
    assert "expired on 20" in project.run("checkout", "HEAD~1", code=1).err
    assert "expired on 20" in project.run("cat", "HEAD~1:data", code=1).err
    project.run("fsck")
    project.git("checkout", "-q", "HEAD~1", "--", "data.datavc")
    assert "expired" in project.run("fsck").err


def test_records_and_what_they_keep_stay(half_dead: Project):
    said = half_dead.datavc("run", "-i", "data", "-o", "made", "cp", "data/1", "made")
    assert said.code == 0
    record = json.loads(half_dead.run("runs", "--json").out)[0]["record"]
    for _ in range(10):
        half_dead.datavc("run", "true")
    before = half_dead.run("show", record).out
    assert collected(half_dead, "--repack", "--grace", "0")["repacked"] > 10
    assert half_dead.run("show", record).out == before
    half_dead.run("show", record, "--part", "stdout")
    half_dead.run("fsck")


def test_what_is_here_in_part_is_left_alone(half_dead: Project, tmp_path: Path):
    store = add_folder(half_dead, tmp_path / "store")
    pushed(half_dead)
    clone = half_dead.clone("clone")
    clone.run("pull", "data/1", "data/large")
    before = clone.tree("data")
    assert collected(clone, "--repack", "--grace", "0")["repacked"] == 0
    shutil.rmtree(clone.root / "data")
    clone.run("checkout", "--force", "data/1", "data/large")
    assert clone.tree("data") == before
    assert packs(store)


def test_a_damaged_cache_is_not_repacked(half_dead: Project):
    overwrite(packs(cache(half_dead))[-1], b"x" * 100)
    before = sorted(cache(half_dead).rglob("xxh128-*"))
    assert "datavc fsck" in half_dead.run("gc", "--repack", "--yes", "--most", "--grace", "0", code=12).err
    assert sorted(cache(half_dead).rglob("xxh128-*")) == before


def test_where_there_is_no_room_it_says_how_much_it_needs_and_touches_nothing(
    half_dead: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(repacking, "free_bytes", lambda folder: 1 << 20)
    before = sorted(cache(half_dead).rglob("xxh128-*"))
    said = half_dead.run("gc", "--repack", "--yes", "--most", "--grace", "0", code=1).err
    assert "repacking needs 17." in said and "1.0 MiB free; nothing was touched" in said
    assert "hint: datavc gc --grace 0" in said
    assert sorted(cache(half_dead).rglob("xxh128-*")) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("first", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in range(2, 7))])
@pytest.mark.parametrize("grace", ["14", "0"])
def test_killed_anywhere_it_loses_nothing_and_goes_on(
    half_dead: Project, record_property, first: int, grace: str
):
    for number in range(10):
        half_dead.write({"tiny/x": str(number)})
        half_dead.run("add", "tiny")
        half_dead.commit(str(number))
    kept = {
        name: half_dead.run("cat", name).out for name in ("HEAD:data/1", "HEAD:data/large", "HEAD~9:tiny/x")
    }
    age(cache(half_dead), 15)
    command = ["gc", "--repack", "--yes", "--most", "--grace", grace]
    start = half_dead.root.parent / "start"
    shutil.copytree(half_dead.root, start, symlinks=True)
    before = len(packs(cache(half_dead)))
    half_dead.run("gc", "--repack", "--yes", "--most", "--grace", "0")
    fewest = len(packs(cache(half_dead)))
    for point in range(first, 1000, 6):
        shutil.rmtree(half_dead.root, ignore_errors=True)
        subprocess.run(["cp", "-a", "--", str(start), str(half_dead.root)], check=True)
        if run_killed(half_dead, command, point) == COMPLETED:
            break
        half_dead.run("fsck")
        for words in (command, ["gc", "--yes", "--most"], ["gc", "--yes", "--most"]):
            half_dead.run(*words)
            age(cache(half_dead), 40)
        half_dead.run("gc", "--yes", "--most")
        half_dead.run("fsck")
        assert {name: half_dead.run("cat", name).out for name in kept} == kept
        assert not list((cache(half_dead) / "trash").glob("*"))
        # A few that the killed one wrote may stay: so many tiny packs are no burden.
        assert len(packs(cache(half_dead))) <= fewest + repacking._FEW_TINY < before
    assert point > 20
    record_property("points", (point - first) // 6)


# Remotes


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


def test_a_remote_is_repacked_and_pushes_and_pulls_go_on(project: Project, tmp_path: Path):
    store = add_folder(project, tmp_path / "store")
    for number in range(18):
        project.write({f"data/{number}": os.urandom(3000)})
        project.run("add", "data")
        project.commit(str(number))
        pushed(project)
    other = project.clone("other")
    assert len(packs(store)) == 36
    said = collected(project, "-r", "origin", "--repack", "--grace", "0")
    assert said["repacked"] == 36
    assert (len(packs(store)), len(indexes(store)), len(roots(store))) == (2, 1, 18)
    project.run("fsck", "-r", "origin", "--full")
    other.run("pull")
    assert other.tree("data") == project.tree("data")
    other.run("checkout", "HEAD~9")
    assert len(other.tree("data")) == 10
    other.run("checkout", "HEAD")
    other.write({"data/more": "more"})
    other.run("add", "data")
    pushed(other)
    project.run("fsck", "-r", "origin", "--full")


@pytest.mark.s3
def test_a_bucket_is_repacked_with_a_grace(project: Project, server: S3Server):
    project.environment.update(server.environment)
    url = f"s3://{server.make_bucket('repack')}/x"
    project.run("remote", "add", "--no-probe", "lab", url, "--endpoint", server.endpoint)
    for number in range(10):
        project.write({f"data/{number}": os.urandom(3000)})
        project.run("add", "data")
        project.commit(str(number))
        project.run("push", "--yes")
    said = collected(project, "-r", "lab", "--repack")
    assert said["repacked"] == 20 and said["doomed_bytes"] > 30_000
    project.run("fsck", "-r", "lab", "--full")
    clone = project.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == project.tree("data")
