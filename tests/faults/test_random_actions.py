"""Anything that a user may do, in any order, with kills in between: every version comes back exactly, and no work is lost.

The model is what was on the disk: it knows nothing of datavc. The quick part plays a few short stories; ``-m slow`` many.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from projects import Found, Project, environment_of
from sweeps import run_killed

Tree = dict[bytes, Found]

names = st.sampled_from(["a", "b", "sub/a", "sub/c", "sub/deep/d", "new\nline", "-dash"])
folders = st.sampled_from(["sub", "sub/deep", "empty"])
# Few contents, so that files are often equal, and some of the same length; one large enough to be cut into chunks.
contents = st.sampled_from([b"", b"one", b"two", b"three" * 1000, bytes(range(256)) * 5000])


class Stories(RuleBasedStateMachine):
    """One project, one dataset, one line of commits."""

    commits = Bundle("commits")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="datavc-story-"))
        home, root = self.folder / "home", self.folder / "project"
        home.mkdir()
        root.mkdir()
        self.project = Project(root, environment_of(home))
        self.project.git("init", "--quiet")
        self.project.run("init")
        self.project.commit("datavc init")
        self.data = root / "data"
        self.pointed: Tree = {}  # the version that the pointer names
        self.base: Tree = {}  # the version that the workspace was last made from

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def tree(self) -> Tree:
        return self.project.tree("data") if self.data.exists() else {}

    @initialize(target=commits, content=contents)
    def first_version(self, content: bytes) -> tuple[str, Tree]:
        self.project.write({"data/a": "one", "data/sub/a": content})
        return self.add_and_commit()

    # What users do to files

    @rule(name=names, content=contents)
    def write(self, name: str, content: bytes) -> None:
        with contextlib.suppress(OSError):
            self.project.write({f"data/{name}": content})

    @rule(name=names)
    def delete(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.data / name).unlink()

    @rule(name=folders)
    def delete_folder(self, name: str) -> None:
        shutil.rmtree(self.data / name, ignore_errors=True)

    @rule(name=folders)
    def make_folder(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.data / name).mkdir(parents=True)

    @rule(old=names, new=names)
    def rename(self, old: str, new: str) -> None:
        with contextlib.suppress(OSError):
            (self.data / new).parent.mkdir(parents=True, exist_ok=True)
            (self.data / old).rename(self.data / new)

    @rule(name=names, executable=st.booleans())
    def change_mode(self, name: str, executable: bool) -> None:
        with contextlib.suppress(OSError):
            if not (self.data / name).is_symlink():
                (self.data / name).chmod(0o755 if executable else 0o644)

    @rule(name=names, shown=names)
    def link(self, name: str, shown: str) -> None:
        with contextlib.suppress(OSError):
            (self.data / name).symlink_to(shown)

    # What users do with datavc

    @rule(target=commits)
    def add_and_commit(self) -> object:
        if not self.data.exists():
            return multiple()
        now = self.tree()
        # Over a pointer that was moved, only by force.
        self.project.run("add", "--force", "data")
        assert self.tree() == now
        self.pointed = self.base = now
        return self.project.commit("a version"), now

    @rule(commit=commits)
    def move_the_pointer(self, commit: tuple[str, Tree]) -> None:
        self.project.git("checkout", "-q", commit[0], "--", "data.datavc")
        self.pointed = commit[1]

    @rule()
    def check_out(self) -> None:
        before = self.tree()
        ended = self.project.run("checkout", code=None)
        unsaved = self.unsaved(before)
        if ended.code == 0:
            assert not unsaved, "unsaved work was overwritten"
            self.base = self.pointed
            assert self.tree() == self.pointed
        else:
            assert "unsaved" in ended.err
            assert before not in ({}, self.base, self.pointed), "there was nothing to refuse"
            assert self.tree() == before

    @rule(back=st.booleans())
    def check_out_by_force(self, back: bool) -> None:
        before = self.tree()
        unsaved = self.unsaved(before)
        ended = self.project.run("checkout", "--force")
        assert self.tree() == self.pointed
        self.base = self.pointed
        saved = re.search(r"are kept as (\S+);", ended.err)
        assert saved is not None or not unsaved
        if back and saved is not None:
            self.project.run("checkout", "--force", saved[1], "--", "data")
            assert self.tree() == before
            self.base = self.pointed = (
                before  # a digest is a revision of one dataset: its pointer comes with it
            )

    @rule(point=st.integers(1, 150), command=st.sampled_from(["add", "checkout"]))
    def be_killed(self, point: int, command: str) -> None:
        """Whatever became of it: the same command finishes."""
        if not self.data.exists():
            return
        before = self.tree()
        run_killed(self.project, [command, "--force", "data"], point)
        self.project.run(command, "--force", "data")
        if command == "add":
            assert self.tree() == before
            self.pointed = before
        self.base = self.pointed

    # What always holds

    @invariant()
    def status_tells_the_truth(self) -> None:
        if not self.pointed:
            return
        said = self.project.run("status").out
        now = self.tree()
        if now == self.pointed:
            assert not re.search("modified|behind|diverged|missing", said)
        elif not now:
            assert "missing" in said
        elif self.base == self.pointed:
            assert "modified" in said
        else:
            assert ("behind" if now == self.base else "diverged") in said

    @invariant()
    def the_cache_is_whole(self) -> None:
        self.project.run("fsck")

    def unsaved(self, tree: Tree) -> set[bytes]:
        """The files that differ from what they were made from, and from what they are about to become."""
        paths = {path for path, what in tree.items() if what[0] != "folder"}
        return {path for path in paths if tree[path] not in (self.base.get(path), self.pointed.get(path))}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("stories", "steps"),
    [(3, 15), *(pytest.param(stories, 40, marks=pytest.mark.slow) for stories in (20, 21, 22, 23))],
)
def test_whatever_is_done_every_version_comes_back_and_no_work_is_lost(stories: int, steps: int):
    run_state_machine_as_test(
        Stories,
        settings=settings(
            max_examples=stories,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
