"""Commands that write to cache, workspace or remote, and what each starts from: for faults that hit a whole disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from faultcases import at_first, never_added, unsaved_edit, wiped
from projects import Project

DAY = 86_400


def _nothing(project: Project) -> None:
    pass


def remote_of(project: Project) -> Path:
    return project.root.parent / "remote"


def _pushed(project: Project) -> None:
    """A remote that has both versions."""
    _first_pushed(project)
    project.run("push")


def _first_pushed(project: Project) -> None:
    project.run("push", "--rev", _with_remote(project))


def _with_remote(project: Project) -> str:
    """Adds a remote that has nothing; the revision before the newest."""
    first = project.git("rev-parse", "HEAD~1").strip()
    project.run("remote", "add", "origin", str(remote_of(project)))
    project.commit("remote")
    return first


def _cache_gone(project: Project) -> None:
    _pushed(project)
    shutil.rmtree(project.root / ".git/datavc/cache")
    wiped(project)


def _third_forgotten(project: Project) -> None:
    """A third version in cache and remote, which nothing leads to any more, older than the grace."""
    _pushed(project)
    head = project.git("rev-parse", "HEAD").strip()
    project.write({"data/third": os.urandom(5000)})
    project.run("add", "data")
    project.commit("three")
    project.run("push")
    project.git("reset", "-q", "--hard", head)
    project.git("reflog", "expire", "--expire=now", "--all")
    (project.root / ".git/ORIG_HEAD").unlink()
    project.run("checkout", "--force")
    age(project)


def _collected_once(project: Project) -> None:
    _third_forgotten(project)
    for where in ([], ["-r", "origin"]):
        project.run("gc", "--yes", "--most", *where)
    age(project)


def age(project: Project) -> None:
    for store in (project.root / ".git/datavc/cache", remote_of(project)):
        for folder in ("roots", "trash"):
            for file in (store / folder).rglob("*"):
                if file.is_file():
                    os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 15 * DAY))


_GC = ["gc", "--yes", "--most"]
CASES: dict[str, tuple[Callable[[Project], object], list[str]]] = {
    "add for the first time": (never_added, ["add", "data"]),
    "add what changed": (unsaved_edit, ["add", "data"]),
    "check out an earlier version": (at_first, ["checkout"]),
    "check out into nothing": (wiped, ["checkout"]),
    "check out over unsaved work": (unsaved_edit, ["checkout", "--force"]),
    "check out a revision": (_nothing, ["checkout", "HEAD~1"]),
    "push to an empty remote": (_with_remote, ["push"]),
    "push what changed": (_first_pushed, ["push"]),
    "pull all": (_cache_gone, ["pull"]),
    "gc removes": (_third_forgotten, _GC),
    "gc deletes": (_collected_once, _GC),
    "gc at once": (_third_forgotten, [*_GC, "--grace", "0"]),
    "gc of a remote": (_collected_once, [*_GC, "-r", "origin"]),
    "run": (_nothing, ["run", "-i", "data", "-o", "made", "--", "cp", "-r", "data", "made"]),
}
