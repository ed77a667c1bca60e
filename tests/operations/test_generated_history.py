"""A long history of several datasets, made at random: every tenth revision comes back byte for byte, in any order."""

from __future__ import annotations

import faulthandler
import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from projects import Found, Project

Snapshot = dict[bytes, Found]


@dataclass
class Author:
    """Changes a project at random, as a user would, and knows what it must look like at each commit."""

    project: Project
    random: random.Random
    most: int
    datasets: list[str] = field(default_factory=list)
    made: int = 0

    def step(self) -> None:
        """One commit's work: one to three datasets are changed, or one comes, goes or moves."""
        if len(self.datasets) < 2 or (len(self.datasets) < self.most and self.random.random() < 0.15):
            self._new()
        elif self.random.random() < 0.06:
            self._remove()
        elif self.random.random() < 0.06:
            self._move()
        for name in self.random.sample(self.datasets, min(len(self.datasets), self.random.randint(1, 3))):
            self._change(name)
        if self.random.random() < 0.2:
            self.project.write({"code.py": str(self.random.random())})

    def _new(self) -> None:
        self.made += 1
        name = self.random.choice(["set{}", "deep/set{}", "very/deep/set {}", "one{}.bin"]).format(self.made)
        content = self.random.randbytes(self.random.choice([0, 10, 3000]))
        self.project.write({name if name.endswith(".bin") else f"{name}/first": content})
        self.project.run("add", name)
        self.datasets.append(name)

    def _remove(self) -> None:
        name = self.datasets.pop(self.random.randrange(len(self.datasets)))
        self.project.run("remove", "--delete", name)

    def _move(self) -> None:
        name = self.datasets.pop(self.random.randrange(len(self.datasets)))
        self.made += 1
        new = f"moved/{self.made}{'.bin' if name.endswith('.bin') else ''}"
        self.project.run("move", name, new)
        self.datasets.append(new)

    def _change(self, name: str) -> None:
        path = self.project.root / name
        if path.is_file():
            self.project.write({name: self.random.randbytes(self.random.randint(0, 2000))})
        else:
            for _ in range(self.random.randint(1, 3)):
                self._change_in(path)
        self.project.run("add", name)

    def _change_in(self, folder: Path) -> None:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        action = self.random.choice(["write", "write", "write", "remove", "rename", "mode", "link", "folder"])
        victim = self.random.choice(files) if files else None
        place = folder / self.random.choice(["", "a", "a/b", "c"]) / f"f{self.random.randint(0, 12)}"
        if action == "write" or victim is None:
            self._clear(place, folder)
            place.write_bytes(self.random.randbytes(self.random.choice([0, 5, 500, 5000])))
        elif action == "remove":
            victim.unlink()
        elif action == "rename" and place != victim:
            self._clear(place, folder)
            if victim.exists():
                victim.rename(place)
        elif action == "mode":
            victim.chmod(self.random.choice([0o644, 0o755]))
        elif action == "link":
            self._clear(place, folder)
            place.symlink_to(f"../{self.random.randint(0, 9)}")
        elif action == "folder":
            (folder / "empty" / str(self.random.randint(0, 3))).mkdir(parents=True, exist_ok=True)

    def _clear(self, place: Path, folder: Path) -> None:
        """Make room for a file: what has its name goes, and files that stand where folders are needed."""
        for above in (place, *place.parents):
            if above == folder:
                break
            if above.is_symlink() or above.is_file():
                above.unlink()
        if place.is_dir():
            shutil.rmtree(place)
        place.parent.mkdir(parents=True, exist_ok=True)


def snapshot(project: Project) -> Snapshot:
    """Everything that datasets and their pointers are; not what git alone keeps, nor folders that merely hold datasets."""
    found: Snapshot = {}
    for name in sorted(os.listdir(os.fsencode(project.root))):
        if name != b".git":  # large, and git repacks it while it is looked at
            for path, what in project.tree(name).items():
                found[name if path == b"." else name + b"/" + path] = what
    pointers = {path.removesuffix(b".datavc") for path in found if path.endswith(b".datavc")}
    return {
        path: what
        for path, what in found.items()
        if any(path == name or path.startswith(name + b"/") for name in pointers)
        or path.endswith(b".datavc")
        or path.rpartition(b"/")[2] == b".gitignore"
    }


def play(project: Project, *, commits: int, datasets: int, seed: int) -> dict[str, Snapshot]:
    """A history, and what every tenth of its commits had."""
    author = Author(project, random.Random(seed), datasets)
    kept: dict[str, Snapshot] = {}
    for number in range(commits):
        author.step()
        commit = project.commit(f"commit {number}")
        if number % 10 == 0 or number == commits - 1:
            kept[commit] = snapshot(project)
    return kept


@pytest.mark.parametrize(
    ("commits", "datasets"),
    [(120, 6), pytest.param(2000, 30, marks=pytest.mark.slow)],
    ids=["short", "long"],
)
def test_every_tenth_revision_comes_back_byte_for_byte(
    project: Project, commits: int, datasets: int, seed: int | None
):
    if commits > 1000:
        faulthandler.cancel_dump_traceback_later()  # it takes longer than any other test may
    kept = play(project, commits=commits, datasets=datasets, seed=4 if seed is None else seed)
    order = list(kept)
    random.Random(1).shuffle(order)

    begun = time.perf_counter()
    for commit in order:
        project.run("checkout", commit)
        assert snapshot(project) == kept[commit], commit
    print(f"{commits} commits, {len(order)} checkouts in {time.perf_counter() - begun:.1f} s")
    project.run("checkout", "HEAD")
    assert project.git("status", "--porcelain") == ""
    project.run("status", "--exit-code")
    project.run("fsck")


def test_what_was_pushed_comes_back_in_a_clone_with_an_empty_cache(project: Project):
    kept = play(project, commits=40, datasets=5, seed=9)
    project.run("remote", "add", "--default", "far", str(project.root.parent / "remote"))
    for commit in kept:
        project.run("push", "--rev", commit)
    project.commit("remote")
    clone = project.clone("clone")

    for commit in reversed(kept):
        clone.run("checkout", commit)
        assert snapshot(clone) == kept[commit], commit
        there = clone.root.parent / "exported"
        clone.run("checkout", commit, "--to", str(there))
        exported = Project(there, clone.environment).tree()
        data = {p: w for p, w in kept[commit].items() if not p.endswith((b".datavc", b".gitignore"))}
        assert {path: what for path, what in exported.items() if path in data} == data
        shutil.rmtree(there)
    assert os.listdir(clone.root / ".git/datavc/elsewhere") == []
