"""gc beside writers, request by request in any order that a seed gives: what a push called complete is there for a grace."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from schedules import Clock, ClockedBackend, Inline, Schedule, ScheduledBackend
from stored import REPO_ID, contents, write_index, write_packs

from datavc.backends.memory import MemoryBackend
from datavc.errors import ConflictError, DatavcError, IntegrityError, StorageError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.operations import gc as operation
from datavc.operations.steps.cleaning import collecting
from datavc.operations.steps.cleaning.marking import Marks
from datavc.progress import SILENT
from datavc.store import garbage, layout, remote, roots, tombstones
from datavc.store.remote import RemoteStore
from datavc.store.roots import new_root, read_root
from datavc.store.tombstones import GRACE_SECONDS

WEEK = GRACE_SECONDS / 2
_SECONDS = 40.0


class Version:
    """Files that make up one version: packs, one index."""

    def __init__(self, name: str, packs: list[list[bytes]], scratch: Path) -> None:
        memory = MemoryBackend()
        made = [write_packs(memory, scratch, objects)[0] for objects in packs]
        self.index = write_index(memory, made)
        self.files = {file.name: memory.read(file.name) for file in sorted(memory.list("packs/"))}
        self.indexed = memory.read(layout.index_path(self.index))
        self.digest = Digest.of("xxh128", name.encode())


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Version]:
    """Three that have packs in common."""
    scratch = tmp_path_factory.mktemp("scratch")
    one, two, three = (contents(3, first=first) for first in (0, 10, 20))
    return [
        Version("a", [one, two], scratch),
        Version("b", [two, three], scratch),
        Version("c", [three], scratch),
    ]


class World:
    """A store, its clock, and what pushes have promised."""

    def __init__(self, seed: int, versions: list[Version], patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        for module in (tombstones, garbage, remote, roots, collecting, operation):
            patch.setattr(module, "time", self.clock.module())
        patch.setattr(operation, "mark", lambda repo, shared: Marks())
        self.plain = ClockedBackend(self.clock)
        self.schedule = Schedule(seed)
        self.backend = ScheduledBackend(self.plain, self.schedule)
        self.versions = versions
        self.promised: dict[Digest, tuple[Version, float]] = {}
        self.pushes = self.refused = 0

    def push(self, version: Version, times: int) -> None:
        for _ in range(times):
            began = self.clock.seconds
            try:
                self._push(version)
            except ConflictError:
                self.refused += 1
                continue
            self.pushes += 1
            # A writer that was asleep since it wrote its root knows no better than its root.
            try:
                since = self.plain.head(layout.root_path(REPO_ID, version.digest)).modified
            except StoredFileNotFound:
                assert self.clock.seconds - began >= GRACE_SECONDS, "gone, and nothing was ever old"
                continue
            self.promised[version.digest] = version, since

    def _push(self, version: Version) -> None:
        store = RemoteStore("r", self.backend, REPO_ID, "xxh128")
        root = store.root(version.digest)
        if root is not None and self.clock.seconds - datetime.fromisoformat(root.when).timestamp() > WEEK:
            root = store.renew(version.digest)
        if root is not None:
            return
        store.begin_writing()
        for name, data in version.files.items():
            self.backend.write(name, data)
        self.backend.write(layout.index_path(version.index), version.indexed)
        make = new_root(REPO_ID, version.digest, kind="folder", size=1, files=1, path=b"data", commit=None)
        store.publish_root(make, [version.index])

    def collect(self, times: int) -> None:
        repo = SimpleNamespace(
            config=SimpleNamespace(repo_id=REPO_ID), shared=Path("/nowhere"), algorithm="xxh128"
        )
        for _ in range(times):
            try:
                operation._Gc(repo, self.backend, Inline(), SILENT, is_remote=True).run(  # type: ignore[arg-type]
                    GRACE_SECONDS, GRACE_SECONDS, most=True, dry_run=False, confirm=None
                )
            except (ConflictError, StorageError, IntegrityError):
                # Another gc, a clock that was moved meanwhile, something that another gc deletes.
                continue

    def age(self, times: int) -> None:
        for _ in range(times):
            self.schedule.pause()
            # Nobody sleeps for half an hour between looking at the clock and the request that this is for.
            while self.backend.deleting:
                self.schedule.pause()
            self.clock.seconds += 15 * 86_400

    def check(self) -> None:
        for version, since in self.promised.values():
            if self.clock.seconds - since < GRACE_SECONDS:
                self.whole(version)

    def whole(self, version: Version) -> None:
        root = read_root(self.plain, REPO_ID, version.digest)
        assert root is not None and root.complete
        for name in (*map(layout.index_path, root.indexes), *version.files):
            self.plain.head(name)


def play(seed: int, versions: list[Version], patch: pytest.MonkeyPatch) -> World:
    world = World(seed, versions, patch)
    for number, version in enumerate(versions):
        world.schedule.add(lambda version=version, number=number: world.push(version, 2 + number))
    world.schedule.add(lambda: world.collect(4))
    world.schedule.add(lambda: world.collect(3))
    world.schedule.add(lambda: world.age(6))
    world.schedule.run(world.check)
    assert not world.schedule.failures, world.schedule.failures
    # In the end nothing hinders anybody: each push is done after some gc at the latest.
    for version in versions:
        world.clock.seconds += 86_400 / 2
        world.collect(1)
        world.push(version, 1)
        world.check()
    return world


@pytest.mark.parametrize("first", [0, pytest.param(1_000, marks=pytest.mark.slow)], ids=["some", "a minute"])
def test_what_a_push_called_complete_is_there_in_every_order(
    versions: list[Version], first: int, record_property
):
    began, seed, pushes, refused = time.monotonic(), first, 0, 0
    while seed < 60 if first == 0 else time.monotonic() - began < _SECONDS:
        with pytest.MonkeyPatch.context() as patch:
            try:
                world = play(seed, versions, patch)
            except (AssertionError, DatavcError) as error:
                raise AssertionError(f"seed {seed}") from error
        pushes, refused, seed = pushes + world.pushes, refused + world.refused, seed + 1
    record_property("schedules", seed - first)
    assert pushes > refused
