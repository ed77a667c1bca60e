"""Three clones, their caches and one remote, in any order that hypothesis finds, against a dict: a commit is its files.

Commands are killed at random changes, and run again; files of caches are damaged, and repaired. The quick part plays two
short stories; ``-m slow`` plays many long ones. A story that fails is printed as the calls that repeat it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from projects import Project, environment_of
from remotes import flip
from sweeps import run_killed

Files = dict[str, bytes]
_CLONES = ("one", "two", "three")
_TURNS = 16

clones = st.sampled_from(_CLONES)
names = st.sampled_from(["a", "b", "sub/a", "sub/deep/c", "new\nline"])
# Few contents, so that clones often have the same; one is cut into chunks.
contents = st.sampled_from([b"", b"one", b"two", b"three" * 1000, bytes(range(256)) * 5000])
branches = st.sampled_from(["main", "left", "right"])
points = st.integers(1, 120)
at_work = st.sampled_from(
    [
        ("add", "data"),
        ("checkout",),
        ("push",),
        ("pull",),
        ("fetch",),
        ("gc", "--yes", "--most"),
        ("evict",),
        ("fsck", "--repair"),
    ]
)


class Model(RuleBasedStateMachine):
    """``commits`` are what their authors saw when they made them; ``pushed`` those whose data is on the remote."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="datavc-model-"))
        (self.folder / "home").mkdir()
        self.commits: dict[str, Files] = {}
        self.pushed: set[str] = set()
        self.numbers = iter(range(10_000))

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def project(self, clone: str) -> Project:
        return Project(self.folder / clone, environment_of(self.folder / "home"))

    @initialize()
    def first(self) -> None:
        one = self.project("one")
        one.root.mkdir()
        one.git("init", "-q", "--bare", str(self.folder / "hub"))
        one.git("init", "-q")
        one.run("init")
        one.run("remote", "add", "--default", "store", str(self.folder / "store"), "--no-probe")
        one.git("remote", "add", "origin", str(self.folder / "hub"))
        one.write({"data/a": "first"})
        one.run("add", "data")
        self._commit("one")
        one.run("push", "--yes")
        self.pushed.add(self._head("one"))
        one.git("push", "-q", "origin", "HEAD:main")
        for name in _CLONES[1:]:
            one.git("clone", "-q", str(self.folder / "hub"), str(self.folder / name))
            clone = self.project(name)
            clone.run("config", "--local", "remote.store.allow", str(self.folder / "store"))
            clone.run("pull")

    # What users do

    @rule(clone=clones, name=names, content=contents)
    def edit(self, clone: str, name: str, content: bytes) -> None:
        path = self.project(clone).root / "data" / name
        if not path.is_dir() and not any(above.is_file() for above in path.parents):
            path.unlink(missing_ok=True)
            self.project(clone).write({f"data/{name}": content})

    @rule(clone=clones, old=names, new=names)
    def move(self, clone: str, old: str, new: str) -> None:
        data = self.project(clone).root / "data"
        if (data / old).is_file() and not (data / new).exists():
            (data / new).parent.mkdir(parents=True, exist_ok=True)
            (data / old).rename(data / new)

    @rule(clone=clones)
    def save(self, clone: str) -> None:
        """Add and commit; where a pointer has moved meanwhile, the workspace's version wins."""
        if (self.project(clone).root / "data").is_dir():
            self._settle(clone)
            self.project(clone).run("add", "--force", "data")
            self._commit(clone)

    @rule(clone=clones, branch=branches)
    def branch(self, clone: str, branch: str) -> None:
        project = self.project(clone)
        if project.git("status", "--porcelain", "--untracked-files=no"):
            return
        known = project.git("branch", "--list", branch)
        project.git("checkout", "-q", *(() if known else ("-b",)), branch)
        self._check_out(clone)

    @rule(clone=clones, choice=st.integers(0, 10_000))
    def check_out_a_revision(self, clone: str, choice: int) -> None:
        """And back. What is not here is fetched, where it was pushed."""
        project = self.project(clone)
        here = [commit for commit in sorted(self.pushed) if self._has(clone, commit)]
        if not here:
            return
        commit = here[choice % len(here)]
        project.run("checkout", "--force", commit)
        assert self._files(clone) == self.commits[commit]
        project.run("checkout", "--force", "HEAD")

    @rule(clone=clones)
    def push(self, clone: str) -> None:
        """Data first, then git; another's history that came first is merged in, its data too."""
        project = self.project(clone)
        if project.git("status", "--porcelain", "--untracked-files=no"):
            return
        self._settle(clone)
        project.run("push")
        self.pushed.add(self._head(clone))
        project.git("push", "-q", "origin", "HEAD", code=None)

    @rule(clone=clones)
    def merge(self, clone: str) -> None:
        """What others have pushed to this branch comes in; conflicts are settled for us."""
        project = self.project(clone)
        if project.git("status", "--porcelain", "--untracked-files=no"):
            return
        self._check_out(clone)
        project.git("fetch", "-q", "origin")
        branch = project.git("branch", "--show-current").strip()
        if not project.git("branch", "-r", "--list", f"origin/{branch}"):
            return
        project.git("merge", "-q", "--no-edit", f"origin/{branch}", code=None)
        if project.git("ls-files", "-u"):
            project.run("resolve", "--ours")
            project.git("commit", "-q", "--no-edit")
        self._check_out(clone)
        head = self._head(clone)
        if head in self.pushed:
            assert self._files(clone) == self.commits[head]
        self.commits.setdefault(head, self._files(clone))

    # What keeps the house

    @rule(clone=clones, days=st.sampled_from([0, 15, 40]))
    def collect(self, clone: str, days: int) -> None:
        """gc of the cache and of the remote, after some days."""
        for store, where in ((self._cache(clone), ()), (self.folder / "store", ("-r", "store"))):
            for file in [*store.glob("roots/*/*"), *store.glob("trash/*")]:
                seen = file.stat()
                os.utime(file, (seen.st_atime, seen.st_mtime - days * 86_400))
            self.project(clone).run("gc", "--yes", "--most", *where)

    @rule(clone=clones)
    def evict(self, clone: str) -> None:
        self.project(clone).run("evict")

    @rule(clone=clones, choice=st.integers(0, 10_000))
    def damage_and_repair(self, clone: str, choice: int) -> None:
        """One bit of one file of a cache whose commits are on the remote.

        What else the cache holds, saved by force or added and never committed, is nowhere else: its repair must say so,
        and it comes back with a copy of the cache.
        """
        project = self.project(clone)
        if self._head(clone) not in self.pushed or not set(self._history(clone)) <= self.pushed:
            return
        files = sorted(
            path for kind in ("packs", "indexes") for path in self._cache(clone).glob(f"{kind}/**/*-*")
        )
        if files:
            only_here, copy = self._only_here(clone), self.folder / "copy"
            shutil.copytree(self._cache(clone), copy)
            flip(files[choice % len(files)])
            project.run("fsck", code=12)
            repaired = project.run("fsck", "--repair", code=None)
            if repaired.code:
                lost = re.findall(r"(xxh128:\w+) is not whole: data cannot be fetched", repaired.out)
                assert repaired.code == 12 and lost, repaired.out + repaired.err
                assert all(any(whole.startswith(name) for whole in only_here) for name in lost), repaired.out
                shutil.rmtree(self._cache(clone))
                shutil.copytree(copy, self._cache(clone))
            shutil.rmtree(copy)
            project.run("fetch")
            project.run("fsck")

    @rule(clone=clones, command=at_work, point=points)
    def kill(self, clone: str, command: tuple[str, ...], point: int) -> None:
        """-9 at some change; then the same command again. What it refuses, it refuses in its own words."""
        before = self._files(clone)
        run_killed(self.project(clone), list(command), point)
        if command[0] not in ("checkout", "pull"):
            assert self._files(clone) == before
        ended = self.project(clone).run(*command, code=None)
        assert ended.code in (0, 1, 3), ended.err
        assert "Traceback" not in ended.err

    # What must hold

    @invariant()
    def caches_are_whole(self) -> None:
        for clone in _CLONES:
            if (self.folder / clone).exists():
                found = self.project(clone).run("fsck", code=None)
                assert found.code == 0, found.out + found.err

    def _settle(self, clone: str) -> None:
        """A checkout that was killed is finished before anything else is done."""
        if "unfinished" in self.project(clone).run("status").out:
            self.project(clone).run("pull", "--force")

    def _check_out(self, clone: str) -> None:
        ended = self.project(clone).run("pull", "--force", code=None)
        # Of a branch that was never pushed, another clone may have the data alone.
        assert ended.code in (0, 1, 3), ended.err

    def _commit(self, clone: str) -> None:
        commit = self.project(clone).commit(f"{clone} {next(self.numbers)}")
        self.commits[commit] = self._files(clone)

    def _files(self, clone: str) -> Files:
        if not (self.folder / clone / "data").exists():
            return {}
        found = self.project(clone).tree("data")
        return {os.fsdecode(path): what[1] for path, what in found.items() if what[0] != "folder"}

    def _head(self, clone: str) -> str:
        return self.project(clone).git("rev-parse", "HEAD").strip()

    def _history(self, clone: str) -> list[str]:
        return self.project(clone).git("rev-list", "HEAD").split()

    def _has(self, clone: str, commit: str) -> bool:
        return self.project(clone).git("cat-file", "-t", commit, code=None).strip() == "commit"

    def _only_here(self, clone: str) -> set[str]:
        """The versions in a cache that are not on the remote."""
        here, there = (
            {root.name.replace("-", ":") for root in store.glob("roots/*/*")}
            for store in (self._cache(clone), self.folder / "store")
        )
        return here - there

    def _cache(self, clone: str) -> Path:
        return self.folder / clone / ".git/datavc/cache"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    "turn",
    [None, *(pytest.param(turn, marks=pytest.mark.slow) for turn in range(_TURNS))],
    ids=["short", *(f"long {turn}" for turn in range(_TURNS))],
)
def test_whatever_three_clones_do_a_commit_is_its_files(turn: int | None):
    stories, steps = (2, 12) if turn is None else (4, 50)
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
