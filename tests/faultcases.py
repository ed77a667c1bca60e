"""What fault sweeps start from, the command that each disturbs, and the oracle: nothing lost, and the next run finishes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from projects import Found, Project

Tree = dict[bytes, Found]

FIRST = {
    "data/a": "alpha" * 100,
    "data/b": "beta",
    "data/sub/c": "gamma",
    "data/sub/deep/d": "delta",
    "data/empty": None,
    "data/zero": "",
    "data/large": random.Random(0).randbytes(1_536_000),  # nothing that compression could make small
}
SECOND = {"data/a": "alpha two", "data/new/e": "epsilon", "data/sub/c": "gamma two"}


def base_project(project: Project) -> Project:
    """Two committed versions; the workspace and the pointer stand at the second."""
    project.write(FIRST)
    (project.root / "data/link").symlink_to("nowhere")
    (project.root / "data/b").chmod(0o755)
    project.run("add", "data")
    project.commit("one")
    _put(project, SECOND)
    (project.root / "data/zero").unlink()
    shutil.rmtree(project.root / "data/sub/deep")
    project.run("add", "data")
    project.commit("two")
    return project


def _put(project: Project, files: dict[str, str]) -> None:
    """Write files anew, as editors do: what is shared with the cache must not be written through."""
    for name in files:
        (project.root / name).unlink(missing_ok=True)
    project.write(files)


def unsaved_edit(project: Project) -> None:
    _put(project, {"data/a": "edited", "data/fresh": "fresh " * 50})
    (project.root / "data/b").unlink()


def never_added(project: Project) -> None:
    private = project.root / ".git/datavc"
    # What git knows of other versions would be missed in an empty cache.
    project.git("update-ref", "-d", "HEAD")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("rm", "-q", "--cached", "data.datavc")
    shutil.rmtree(private / "cache")
    shutil.rmtree(private / "state")
    project.run("init")
    (project.root / "data.datavc").unlink()
    # Links into the cache became dangling, and what was added through them is gone with it.
    shutil.rmtree(project.root / "data")
    _put(project, {name: content for name, content in FIRST.items() if content is not None})


def at_first(project: Project) -> None:
    project.git("checkout", "-q", "HEAD~1")


def wiped(project: Project) -> None:
    shutil.rmtree(project.root / "data")


CASES: dict[str, tuple[Callable[[Project], None], list[str]]] = {
    "add for the first time": (never_added, ["add", "data"]),
    "add what changed": (unsaved_edit, ["add", "data"]),
    "check out an earlier version": (at_first, ["checkout"]),
    "check out into nothing": (wiped, ["checkout"]),
    "check out over unsaved work": (unsaved_edit, ["checkout", "--force"]),
}


@dataclass
class Case:
    """``command`` makes ``after`` of ``before``; :meth:`fresh` puts the project back to where it starts."""

    project: Project
    start: Path
    command: list[str]
    before: Tree
    after: Tree

    def fresh(self) -> Project:
        if self.project.root.exists():
            shutil.rmtree(self.project.root)
        # Hard links between cache and workspace stay hard links.
        subprocess.run(["cp", "-a", "--", str(self.start), str(self.project.root)], check=True)
        return self.project

    def assert_nothing_lost(self) -> None:
        """No damaged object under a final name; every file wholly old or wholly new; ``status`` names what is between."""
        self.project.run("fsck")
        status = self.project.run("status").out
        found = _tree(self.project)
        seen = {path: what for path, what in found.items() if b".datavc-tmp-" not in path}
        for path, what in seen.items():
            if what[0] != "folder":
                assert what in (self.before.get(path), self.after.get(path)), path
        in_between = seen not in (self.before, self.after) and self.command[0] == "checkout"
        assert not in_between or "unfinished" in status

    def assert_it_finishes(self) -> None:
        """The same command, run again undisturbed, ends as if nothing had happened."""
        self.project.run(*self.command)
        assert _tree(self.project) == self.after
        self.project.run("fsck")
        scratch = self.project.root / ".git/datavc/cache/tmp"
        if os.listdir(scratch):
            # What a disk would not let go is swept by the next command that writes to the cache.
            self.project.run("add", "data")
        assert not os.listdir(scratch)
        assert "unfinished" not in self.project.run("status").out


def make_case(project: Project, name: str) -> Case:
    """The case of that name in an empty project after ``datavc init``."""
    base_project(project)
    prepare, command = CASES[name]
    prepare(project)
    start = project.root.parent / "start"
    project.root.rename(start)
    case = Case(project, start, command, {}, {})
    case.before = _tree(case.fresh())
    project.run(*command)
    case.after = _tree(project)
    return case


def _tree(project: Project) -> Tree:
    """What ``data`` is; a link into the cache stands for the file that it shows."""
    found = project.tree("data") if (project.root / "data").exists() else {}
    return {path: _resolved(project.root / "data" / os.fsdecode(path), what) for path, what in found.items()}


def _resolved(path: Path, what: Found) -> Found:
    if what[0] != "symlink" or b"/cache/blobs/" not in what[1] or not path.exists():
        return what
    return "executable" if os.access(path, os.X_OK) else "file", path.read_bytes()
