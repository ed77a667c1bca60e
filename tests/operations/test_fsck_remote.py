"""``datavc fsck -r``: what a remote has lost or spoilt is named, with the datasets and paths that it is about."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import xxhash
from projects import Project
from remotes import (
    flip,
    indexes,
    outcomes,
    overwrite,
    packs,
    push_two,
    pushed,
    requests,
    roots,
    watch_remotes,
    wrap_remotes,
)

from datavc.backends.base import Backend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import StoredFileNotFound


@pytest.fixture
def remote(project: Project, tmp_path: Path) -> Path:
    """Two datasets, each wholly on a remote."""
    return push_two(project, tmp_path / "remote")


def problems(project: Project, *words: str) -> set[tuple[str, str | None, str | None]]:
    said = project.run("fsck", "-r", "origin", "--json", *words, code=None)
    found = json.loads(said.out)["problems"]
    assert said.code == (12 if found else 0)
    return {(row["kind"], row["dataset"], row["path"]) for row in found}


@pytest.mark.parametrize("words", [(), ("--full",), ("--sample", "50%")])
def test_a_remote_that_has_everything_is_sound(project: Project, remote: Path, words: tuple[str, ...]):
    assert problems(project, *words) == set()
    assert "nothing is wrong" in project.run("fsck", "-r", "origin", *words).err


def test_listings_and_indexes_are_enough_and_no_pack_is_asked_for(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = []
    watch_remotes(monkeypatch, lambda method, name, done: asked.append((method, name)))
    problems(project)
    assert not [name for method, name in asked if name.startswith("packs/") and method != "list"]


def test_a_lost_pack_is_named_with_the_paths_that_need_it(project: Project, remote: Path):
    packs(remote)[0].unlink()
    assert problems(project) == {("pack", None, None), ("version", "data", "data/sub/big")}


def test_a_pack_that_was_cut_is_named(project: Project, remote: Path):
    pack = packs(remote)[0]
    overwrite(pack, pack.read_bytes()[:-1])
    assert ("version", "data", "data/sub/big") in problems(project)


def test_a_flipped_bit_is_found_by_reading(project: Project, remote: Path):
    flip(packs(remote)[0])
    assert problems(project) == set()
    found = problems(project, "--full")
    assert {("pack", None, None), ("object", None, None), ("version", "data", "data/sub/big")} <= found
    assert (
        "datavc fsck -r origin --full --repair" in project.run("fsck", "-r", "origin", "--full", code=12).err
    )
    assert ("pack", None, None) in problems(project, "--sample", "100%")

    project.run("push", "--check", "--read")
    assert problems(project, "--full") == set()


def test_after_a_check_that_found_something_the_next_push_checks_without_being_told(
    project: Project, remote: Path
):
    flip(packs(remote)[0])
    problems(project, "--full")
    assert sorted(outcomes(pushed(project))) == ["complete", "sent"]
    assert problems(project, "--full") == set()
    assert requests(pushed(project)) == 2
    for index in indexes(remote):
        index.unlink()
    problems(project)
    assert outcomes(pushed(project)) == ["sent", "sent"]
    assert problems(project, "--full") == set()


def test_what_was_mended_is_not_checked_again(project: Project, remote: Path):
    flip(packs(remote)[0])
    problems(project, "--full")
    project.run("fsck", "-r", "origin", "--full", "--repair")
    assert requests(pushed(project)) == 2


def test_paths_are_named_in_a_clone_that_has_no_data(project: Project, remote: Path):
    clone = project.clone("clone")
    packs(remote)[0].unlink()
    assert ("version", "data", "data/sub/big") in problems(clone)


def test_damaged_and_lost_indexes_and_roots_are_named(project: Project, remote: Path):
    for index in indexes(remote):
        flip(index)
    assert {("pack index", None, None), ("pack index", "data", None), ("pack index", "other", None)} == {
        problem for problem in problems(project) if problem[0] == "pack index"
    }
    shutil.rmtree(remote / "indexes")
    assert ("pack index", "other", None) in problems(project)
    overwrite(roots(remote)[0], b"x")
    assert ("root", None, None) in problems(project)


def test_a_root_in_the_place_of_another_is_named_and_mended(project: Project, remote: Path):
    one, other = roots(remote)
    overwrite(one, other.read_bytes())
    assert problems(project) == {("root", None, None)}
    project.run("fsck", "-r", "origin", "--repair")
    assert problems(project, "--full") == set()


@pytest.mark.parametrize("words", [(), ("--full",)])
def test_what_others_push_meanwhile_is_no_damage(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
):
    clone = project.clone("clone")

    def push_between(method: str, name: str, done: bool) -> None:
        """A push before each listing of the check."""
        if method == "list" and not done:
            clone.write({"data/new": os.urandom(100)})
            clone.datavc("add", "data")
            clone.datavc("push", "--yes")

    clone.run("pull")
    watch_remotes(monkeypatch, push_between)
    assert problems(project, *words) == set()


@pytest.mark.parametrize("words", [(), ("--full",)])
@pytest.mark.parametrize("after", ["roots/", "indexes/", "packs/"])
def test_what_gc_deletes_meanwhile_is_no_damage(
    project: Project, remote: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], after: str
):
    kept = {*packs(remote), *indexes(remote), *roots(remote)}
    project.write({"data/sub/big": os.urandom(2 << 20), "data/small": os.urandom(100)})
    project.run("add", "data")
    project.run("push")
    for root in set(roots(remote)) - kept:
        root.unlink()
    garbage = [*sorted(set(indexes(remote)) - kept), *sorted(set(packs(remote)) - kept)]
    assert len(garbage) > 2
    project.run("checkout", "HEAD", "--force")

    def delete(method: str, name: str, done: bool) -> None:
        """gc deletes pack indexes before packs."""
        if method == "list" and name.startswith(after) and done:
            for file in garbage:
                file.unlink(missing_ok=True)

    watch_remotes(monkeypatch, delete)
    assert problems(project, *words) == set()


@pytest.mark.parametrize(
    "words",
    [
        ("--full",),
        ("-r", "origin", "--sample", "x"),
        ("--sample", "101%"),
        ("--sample", "5%", "--older-than", "3"),
        ("--older-than", "x"),
        ("--repair", "--sample", "5%"),
    ],
)
def test_what_makes_no_sense_is_refused(project: Project, remote: Path, words: tuple[str, ...]):
    project.run("fsck", *words, code=2)


class Keeping(WrappingBackend):
    """A server that made a checksum of each file when it received it, but of those in ``without``."""

    def __init__(self, inner: Backend, kept: dict[str, bytes], without: set[str], asked: list[str]) -> None:
        super().__init__(inner)
        self._kept = kept
        self._without = without
        self._asked = asked

    def kept_xxh128(self, name: str) -> bytes | None:
        self._asked.append(name)
        if name not in self._kept:
            raise StoredFileNotFound(name)
        return None if name in self._without else self._kept[name]


@pytest.fixture
def keeping(remote: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], set[str], list[str]]:
    """The remote keeps checksums: which, of what not, and what it was asked for."""
    kept = {
        str(path.relative_to(remote)): xxhash.xxh3_128_digest(path.read_bytes()) for path in packs(remote)
    }
    without: set[str] = set()
    asked: list[str] = []
    wrap_remotes(monkeypatch, lambda backend: Keeping(backend, kept, without, asked))
    return kept, without, asked


def test_where_the_server_keeps_checksums_each_pack_costs_a_head_and_no_byte(
    project: Project, remote: Path, keeping: tuple[dict[str, bytes], set[str], list[str]]
):
    kept, _, asked = keeping
    said = project.run("fsck", "-r", "origin")
    assert f"{len(kept)} packs: as many requests (HEAD)" in said.err
    assert "by the checksums that the server keeps: nothing is wrong" in said.err
    assert sorted(asked) == sorted(kept)


def test_a_pack_of_another_checksum_is_named_with_its_paths(
    project: Project, remote: Path, keeping: tuple[dict[str, bytes], set[str], list[str]]
):
    kept, _, _ = keeping
    kept[str(packs(remote)[0].relative_to(remote))] = bytes(16)
    assert problems(project) == {("pack", None, None), ("version", "data", "data/sub/big")}
    # Gone since it was listed.
    del kept[str(packs(remote)[0].relative_to(remote))]
    assert problems(project) == {("pack", None, None), ("version", "data", "data/sub/big")}


def test_packs_that_were_sent_without_a_checksum_are_counted(
    project: Project, remote: Path, keeping: tuple[dict[str, bytes], set[str], list[str]]
):
    kept, without, asked = keeping
    without.add(sorted(kept)[0])
    assert "1 of them by listing alone" in project.run("fsck", "-r", "origin").err
    without.update(kept)
    asked.clear()
    said = project.run("fsck", "-r", "origin")
    assert "keeps no XXHASH128" in said.err
    assert f"in {len(kept)} requests" in said.err
    assert len(asked) == 3
