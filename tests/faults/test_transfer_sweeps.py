"""Killed or failed at any file-changing call, ``push``, ``fetch`` and ``pull`` harm nothing, and the next run finishes."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from projects import Found, Project
from remotes import add_folder, roots
from sweeps import Kept, failing_at_each, killed_at_each

from datavc.backends.folder import FolderBackend
from datavc.formats.root import decode_root
from datavc.store.index import ObjectIndex

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
_QUICK_STRIDE = 29
STRIDES = pytest.mark.parametrize(
    "stride", [_QUICK_STRIDE, pytest.param(3, marks=pytest.mark.slow)], ids=["some", "many"]
)
COMMANDS = pytest.mark.parametrize("command", ["push", "fetch", "pull"])
Record = Callable[[str, object], None]


@dataclass
class Transfer:
    """A project, its remote and a clone, each as ``fresh`` makes it; the remote has the first of two versions."""

    project: Project
    clone: Project
    remote: Path
    fresh: Callable[[], None]
    command: str
    after: dict[bytes, Found]

    @property
    def worker(self) -> Project:
        """Where the command runs."""
        return self.project if self.command == "push" else self.clone

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
        kept = Kept.of(tmp_path / "start", project.root, clone.root, remote)
        transfer = Transfer(project, clone, remote, kept.fresh, command, {})
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
    points = 0
    for _ in killed_at_each(transfer.worker, [command], transfer.fresh, stride):
        transfer.assert_nothing_is_wrong()
        transfer.assert_it_finishes()
        points += 1
    assert points * stride > 20, "the sweep saw no changes at all"
    record_property("points", points)


@COMMANDS
@STRIDES
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full disk", "input output error"])
@pytest.mark.parametrize(
    "once", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["once", "for good"]
)
def test_a_failing_disk_is_reported_and_the_next_run_finishes(
    make: Callable[[str], Transfer],
    record_property: Record,
    command: str,
    stride: int,
    number: int,
    once: bool,
):
    transfer = make(command)
    points = 0
    for _ in failing_at_each(
        transfer.worker, [command], transfer.fresh, number, once=once, stride=3 * stride, first=2
    ):
        transfer.assert_nothing_is_wrong()
        transfer.assert_it_finishes()
        points += 1
    record_property("points", points - 1)
