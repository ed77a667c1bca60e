"""Locks: who holds one is named, who died holds none, who reads waits for nobody, and what goes where there are no locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder

from datavc.errors import Locked
from datavc.locking import Patience, take, waiting
from datavc.store.cachelock import to_oneself

HOLDER = """
import sys
from pathlib import Path
from datavc.repo import Repo
with Repo.find(Path.cwd()).lock("add"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def held(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock of the worktree, until its standard input ends."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=project.root,
        env=project.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdin is not None and holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"held\n"
        yield holder
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait()


@pytest.fixture
def stored(project: Project) -> Project:
    project.write({"data/a": "alpha"})
    project.run("add", "data")
    project.commit("data")
    return project


def test_who_holds_the_lock_is_named_with_machine_and_time(stored: Project):
    with held(stored) as holder:
        said = stored.run("add", "data", "--wait=0", code=11).err
        assert f"in use by datavc add, process {holder.pid} on {os.uname().nodename}, since 20" in said
        assert "--wait" in said
        assert f"process {holder.pid}" in stored.run("doctor", "--offline", code=None).out
    stored.run("add", "data", "--wait=0")


def test_a_holder_that_was_killed_holds_nothing(stored: Project):
    with held(stored) as holder:
        holder.kill()
        holder.wait()
        stored.run("add", "data", "--wait=0")


def test_with_wait_it_goes_on_when_the_other_is_done(stored: Project):
    with held(stored) as holder:
        waiter = subprocess.Popen(
            [sys.executable, "-m", "datavc", "--wait", "checkout"],
            cwd=stored.root,
            env=stored.environment,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert waiter.stderr is not None
        with waiter.stderr:
            line = waiter.stderr.readline()
            assert b"waiting: " in line and f"process {holder.pid}".encode() in line
            assert holder.stdin is not None
            holder.stdin.close()
            waiter.stderr.read()
        assert waiter.wait() == 0


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "diff",
        "ls -r",
        "cat data/a",
        "log",
        "du",
        "show data",
        "runs",
        "tag",
        "fsck",
        "cache list",
        "config",
        "doctor --offline",
        "push",
    ],
)
def test_what_changes_no_file_of_the_workspace_waits_for_nobody(
    stored: Project, tmp_path: Path, command: str
):
    add_folder(stored, tmp_path / "store")
    stored.run("push")
    with held(stored):
        stored.run(*command.split(), "--wait=0")


@pytest.mark.parametrize("command", ["status", "diff", "ls -r", "cat data/a", "log", "du", "show data"])
def test_what_only_reads_does_not_even_wait_for_who_deletes(stored: Project, command: str):
    with to_oneself(stored.root / ".git/datavc/cache"):
        stored.run(*command.split(), "--wait=0")


def test_many_may_share_a_lock_that_one_alone_waits_for(tmp_path: Path):
    files = [os.open(tmp_path, os.O_RDONLY) for _ in range(3)]
    try:
        take(files[0], "x", shared=True)
        take(files[1], "x", shared=True)
        with waiting(Patience(0)), pytest.raises(Locked, match="x is in use by others"):
            take(files[2], "x", busy="others")
        os.close(files.pop(0))
        os.close(files.pop(0))
        take(files[0], "x", busy="others", needed=True)
    finally:
        for fd in files:
            os.close(fd)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_without_locks_everything_goes_but_what_deletes_at_once(
    stored: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    add_folder(stored, tmp_path / "store")

    def flock(fd: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    stored.write({"data/b": "beta"})
    stored.run("add", "data")
    stored.run("push")
    stored.run("fetch")
    stored.run("checkout", "HEAD")
    stored.run("status")
    stored.run("gc", "-r", "origin", "--yes")
    before = sorted((stored.root / ".git/datavc/cache").rglob("xxh128-*"))
    for command in ("evict", "gc --yes", "gc --yes --grace 0"):
        assert "without locks" in stored.run(*command.split(), code=1).err
    assert sorted((stored.root / ".git/datavc/cache").rglob("xxh128-*")) == before
    assert "this file system has none" in stored.run("doctor", "--offline", code=None).out
