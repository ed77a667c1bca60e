"""Two to eight processes at once on one remote or one shared cache, gc among them: what each called done is there, whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from racing import at_once
from remotes import add_folder

_ROUNDS = 5
numbers = pytest.mark.parametrize(
    ("processes", "rounds"),
    [(3, 1), *(pytest.param(n, _ROUNDS, marks=pytest.mark.slow) for n in range(2, 9))],
    ids=["three, once", *(f"{n}, often" for n in range(2, 9))],
)
kinds = pytest.mark.parametrize("is_same", [False, True], ids=["different data", "the same data"])
Record = Callable[[str, object], None]


def age(store: Path, days: float) -> None:
    """Let time pass for a store."""
    for file in [*store.glob("roots/*/*"), *store.glob("trash/*")]:
        seen = file.stat()
        os.utime(file, (seen.st_atime, seen.st_mtime - days * 86_400))


def content(clone: int, turn: int, *, is_same: bool) -> dict[str, str]:
    """Files of which two thirds, or all, are the same in every clone."""
    return {
        f"data/{n % 5}/{n}": f"{n} {turn} {clone if n % 3 == 0 and not is_same else ''}\n" * 40
        for n in range(60)
    }


@pytest.fixture
def clones(project: Project, tmp_path: Path) -> Callable[..., list[Project]]:
    """So many clones of one repository, which have one remote, and each a cache of its own or all the same."""

    def make(count: int, cache: Path | None) -> list[Project]:
        store = add_folder(project, tmp_path / "store")
        project.write({"data/first": "first"})
        project.run("add", "data")
        project.commit("first")
        project.run("push")
        made = [project.clone(f"clone {number}") for number in range(count)]
        for clone in made:
            clone.run("config", "--local", "remote.origin.allow", str(store))
            if cache is not None:
                clone.run("config", "--local", "cache.dir", str(cache))
            clone.run("pull")
        return made

    return make


@numbers
@kinds
def test_pushers_and_a_gc_at_once(
    clones: Callable[..., list[Project]],
    tmp_path: Path,
    record_property: Record,
    processes: int,
    rounds: int,
    is_same: bool,
):
    made, store, pushes = clones(processes, None), tmp_path / "store", 0
    for turn in range(rounds):
        for number, clone in enumerate(made):
            clone.write(content(number, turn, is_same=is_same))
            clone.run("add", "data")
            clone.commit(f"{turn}")
        # What was pushed in the rounds before and is named by nobody's branch any more is doomed, and then deleted.
        age(store, 15)
        collector = (made[0], ["gc", "-r", "origin", "--yes", "--most"])
        ended = at_once(*((clone, ["push"]) for clone in made), collector)
        for clone, push in zip(made, ended, strict=False):
            # Where gc is deleting what is needed again, a push is told so, and is run again.
            assert push.code in (0, 1), push.err
            if push.code:
                clone.run("push")
            pushes += 1
        made[0].run("fsck", "-r", "origin")
        for clone in made:
            kept = clone.tree("data")
            clone.run("evict", "--workspace")
            clone.run("pull")
            assert clone.tree("data") == kept
            clone.git("reset", "-q", "--soft", "HEAD~1")
            clone.git("reflog", "expire", "--expire=now", "--all")
    record_property("pushes", pushes)


@numbers
@kinds
def test_adds_to_a_shared_cache_and_a_gc_at_once(
    clones: Callable[..., list[Project]],
    tmp_path: Path,
    record_property: Record,
    processes: int,
    rounds: int,
    is_same: bool,
):
    shared = tmp_path / "shared"
    made, adds = clones(processes, shared), 0
    for turn in range(rounds):
        for number, clone in enumerate(made):
            clone.write(content(number, turn % 2, is_same=is_same))
        age(shared, 15)
        collector = (made[0], ["gc", "--yes", "--most"])
        ended = at_once(*((clone, ["add", "data"]) for clone in made), collector)
        for clone, added in zip(made, ended, strict=False):
            assert added.code in (0, 1), added.err
            if added.code:
                clone.run("add", "data")
            adds += 1
        for clone in made:
            clone.run("fsck")
            kept = clone.tree("data")
            for path in kept:
                if kept[path][0] == "file":
                    (clone.root / "data" / os.fsdecode(path)).unlink()
            clone.run("checkout")
            assert clone.tree("data") == kept
    record_property("adds", adds)
