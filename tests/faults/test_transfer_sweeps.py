"""Killed or failed at any file-changing call, ``push``, ``fetch`` and ``pull`` harm nothing, and the next run finishes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from projects import Found, Project
from remotes import add_folder, roots
from sweeps import COMPLETED, DOCUMENTED_CODES, run_failing, run_killed

from datavc.backends.folder import FolderBackend
from datavc.formats.root import decode_root
from datavc.store.index import ObjectIndex

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_MOST_POINTS = 2000
_QUICK_STRIDE = 29
STRIDES = pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(3, marks=pytest.mark.slow)], ids=["some", "many"]
)
COMMANDS = pytest.mark.parametrize("command", ["push", "fetch", "pull"])
Record = Callable[[str, object], None]


@dataclass
class Transfer:
    """A project, its remote and a clone, each as it was at ``start``; the remote has the first of two versions."""

    project: Project
    clone: Project
    remote: Path
    start: Path
    command: str
    after: dict[bytes, Found]

    @property
    def worker(self) -> Project:
        """Where the command runs."""
        return self.project if self.command == "push" else self.clone

    def fresh(self) -> None:
        for path in (self.project.root, self.clone.root, self.remote):
            shutil.rmtree(path, ignore_errors=True)
            subprocess.run(["cp", "-a", "--", str(self.start / path.name), str(path)], check=True)

    def assert_nothing_is_wrong(self) -> None:
        """Each root, here and there, names what is there; no damaged object has a name; each file is old or new."""
        backend = FolderBackend(self.remote)
        for path in roots(self.remote):
            root = decode_root(path.read_bytes())
            assert ObjectIndex(backend, root.digest.algorithm, root.indexes).missing_packs() == []
        found = json.loads(self.worker.run("fsck", "--json", code=None).out)
        # A version that is not here yet is no damage.
        assert [problem for problem in found["problems"] if problem["kind"] != "version"] == []
        if self.command != "push" and (self.clone.root / "data").exists():
            for path, what in self.clone.tree("data").items():
                if b".datavc-tmp-" not in path and what[0] != "folder":
                    assert what == self.after[path]

    def assert_it_finishes(self) -> None:
        """The same command, run again undisturbed, ends as if nothing had happened."""
        self.worker.run(self.command)
        self.clone.run("pull")
        assert self.clone.tree("data") == self.after
        self.clone.run("fsck")
        # What a killed command left that had nothing more to write is swept by the next one that writes.
        self.worker.write({"more/file": "more"})
        self.worker.run("add", "more")
        self.worker.run("push", "--yes", "more")
        for store in (self.remote, self.worker.root / ".git/datavc/cache"):
            assert not os.listdir(store / "tmp")


@pytest.fixture
def make(project: Project, tmp_path: Path) -> Callable[[str], Transfer]:
    def make(command: str) -> Transfer:
        remote = add_folder(project, tmp_path / "remote")
        files = {f"data/{n % 3}/{n}": b"%d " % n * 200 for n in range(30)}
        project.write(files)
        project.run("add", "data")
        project.commit("one")
        project.run("push")
        big = b"".join(b"%d" % n for n in range(300_000))
        project.write({"data/1/1": "changed", "data/big": big})
        project.run("add", "data")
        project.commit("two")
        clone = project.clone("clone")
        if command != "push":
            project.run("push")
        start = tmp_path / "start"
        start.mkdir()
        for path in (project.root, clone.root, remote):
            path.rename(start / path.name)
        transfer = Transfer(project, clone, remote, start, command, {})
        transfer.fresh()
        transfer.after = project.tree("data")
        return transfer

    return make


@COMMANDS
@STRIDES
def test_killed_at_any_change_nothing_is_wrong_and_the_next_run_finishes(
    make: Callable[[str], Transfer], record_property: Record, command: str, stride: int
):
    transfer = make(command)
    for point in range(1, _MOST_POINTS, stride):
        transfer.fresh()
        if run_killed(transfer.worker, [command], point) == COMPLETED:
            break
        transfer.assert_nothing_is_wrong()
        transfer.assert_it_finishes()
    else:
        pytest.fail(f"{_MOST_POINTS} points were not enough")
    assert point > 20, "the sweep saw no changes at all"
    record_property("points", point // stride)


@COMMANDS
@STRIDES
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full disk", "input output error"])
def test_a_failing_disk_is_reported_and_the_next_run_finishes(
    make: Callable[[str], Transfer], record_property: Record, command: str, stride: int, number: int
):
    transfer = make(command)
    for point in range(2, _MOST_POINTS, 3 * stride):
        transfer.fresh()
        code, reached = run_failing(transfer.worker, [command], point, number, once=True)
        assert code in DOCUMENTED_CODES, point
        transfer.assert_nothing_is_wrong()
        if not reached:
            break
        transfer.assert_it_finishes()
    else:
        pytest.fail(f"{_MOST_POINTS} points were not enough")
    record_property("points", point // stride)
