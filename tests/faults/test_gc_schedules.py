"""gc beside writers, request by request in any order that a seed gives: what a push called complete is there for a grace.

Most of the time somebody is killed at some request, and goes on later. Here a push is its requests, without a repo;
``test_command_schedules.py`` has the true commands, and needs ten times as long.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from schedules import Clock, ClockedBackend, Inline, Killed, Schedule, ScheduledBackend, at_random
from stored import REPO_ID, contents, write_index, write_packs

from datavc.backends.memory import MemoryBackend
from datavc.errors import ConflictError, DatavcError, IntegrityError, StorageError, StoredFileNotFound
from datavc.formats import times
from datavc.formats.digest import Digest
from datavc.operations import gc as operation
from datavc.operations.steps.cleaning import collecting
from datavc.operations.steps.cleaning.marking import Marks
from datavc.progress import SILENT
from datavc.store import claim, garbage, layout, tombstones
from datavc.store.remote import RemoteStore
from datavc.store.roots import new_root, read_root
from datavc.store.tombstones import GRACE_SECONDS

WEEK = GRACE_SECONDS / 2
_SCHEDULES, _CHUNKS = 8_000, 8


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
        for module in (times, tombstones, claim, garbage, collecting):
            patch.setattr(module, "time", self.clock.module())
        patch.setattr(operation, "mark", lambda repo, shared: Marks())
        self.plain = ClockedBackend(self.clock)
        self.schedule = Schedule(at_random(seed))
        self.backend = ScheduledBackend(self.plain, self.schedule)
        self.versions = versions
        self.promised: dict[Digest, tuple[Version, float]] = {}
        self.cut: set[Digest] = set()
        self.pushes = self.refused = self.killed = 0

    def push(self, version: Version, times: int) -> None:
        for _ in range(times):
            began = self.clock.seconds
            try:
                has_written = self._push(version)
            except ConflictError:
                self.refused += 1
                continue
            except Killed:
                self.schedule.revive()
                self.killed += 1
                self.cut.add(version.digest)
                continue
            self.pushes += 1
            if version.digest in self.cut and not has_written:
                # Of a root of which nobody has seen that it outlives a gc that is just removing the one before it.
                continue
            self.cut.discard(version.digest)
            # A writer that was asleep since it wrote its root knows no better than its root.
            try:
                since = self.plain.head(layout.root_path(REPO_ID, version.digest)).modified
            except StoredFileNotFound:
                assert self.clock.seconds - began >= GRACE_SECONDS, "gone, and nothing was ever old"
                continue
            self.promised[version.digest] = version, since

    def _push(self, version: Version) -> bool:
        store = RemoteStore("r", self.backend, REPO_ID, "xxh128")
        root = store.root(version.digest)
        if root is not None and self.clock.seconds - datetime.fromisoformat(root.when).timestamp() > WEEK:
            root = store.renew(version.digest)
            if root is not None:
                return True
        if root is not None:
            return False
        store.begin_writing()
        for name, data in version.files.items():
            self.backend.write(name, data)
        self.backend.write(layout.index_path(version.index), version.indexed)
        make = new_root(REPO_ID, version.digest, kind="folder", size=1, files=1, path=b"data", commit=None)
        store.publish_root(make, [version.index])
        return True

    def collect(self, times: int, *, restore: bool = False) -> None:
        repo = SimpleNamespace(
            config=SimpleNamespace(repo_id=REPO_ID), shared=Path("/nowhere"), algorithm="xxh128"
        )
        for _ in range(times):
            try:
                work = operation._Gc(repo, self.backend, Inline(), SILENT, is_remote=True)  # type: ignore[arg-type]
                if restore:
                    work.restore(dry_run=False)
                else:
                    work.run(GRACE_SECONDS, GRACE_SECONDS, most=True, dry_run=False, confirm=None)
            except (ConflictError, StorageError, IntegrityError):
                # Another gc, a clock that was moved meanwhile, something that another gc deletes.
                continue
            except Killed:
                self.schedule.revive()
                self.killed += 1

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
    world, chance = World(seed, versions, patch), random.Random(seed)
    actors: list[Callable[[], None]] = [
        lambda: world.push(versions[0], 2),
        lambda: world.push(versions[1], 3),
        lambda: world.push(versions[2], 4),
        lambda: world.collect(4),
        lambda: world.collect(3),
    ]
    if chance.random() < 0.3:
        actors.append(lambda: world.collect(2, restore=True))
    dying = chance.randrange(len(actors)) if chance.random() < 0.7 else None
    for number, actor in enumerate(actors):
        world.schedule.add(actor, chance.randrange(60) if number == dying else None)
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


@pytest.mark.parametrize(
    "chunk",
    [None, *(pytest.param(n, marks=pytest.mark.slow) for n in range(_CHUNKS))],
    ids=["some", *(f"{n + 1} of {_CHUNKS}" for n in range(_CHUNKS))],
)
def test_what_a_push_called_complete_is_there_in_every_order(
    versions: list[Version],
    seed: int | None,
    chunk: int | None,
    record_property: Callable[[str, object], None],
):
    numbers = range(60) if chunk is None else range(1_000 + chunk, 1_000 + _SCHEDULES, _CHUNKS)
    pushes = refused = killed = 0
    for number in numbers if seed is None else [seed]:
        with pytest.MonkeyPatch.context() as patch:
            try:
                world = play(number, versions, patch)
            except (AssertionError, DatavcError) as error:
                raise AssertionError(f"--seed {number}: {error}") from error
        pushes, refused, killed = pushes + world.pushes, refused + world.refused, killed + world.killed
    record_property("schedules", len(numbers))
    record_property("pushes", pushes)
    record_property("killed", killed)
    assert pushes > refused
