"""gc --repack beside writers that build on what is there, request by request in any order that a seed gives.

As ``test_gc_schedules.py``, but here a push takes over the pack indexes of another version and sends the rest, and every gc
rewrites all packs that it may. What a push called complete is found through its root's pack indexes for a grace.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from schedules import Clock, ClockedBackend, Inline, Killed, Schedule, ScheduledBackend, at_random
from stored import REPO_ID, XXH, contents, write_index, write_packs

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.errors import ConflictError, DatavcError, IntegrityError, StorageError, StoredFileNotFound
from datavc.formats import times
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations import gc as operation
from datavc.operations.steps.cleaning import collecting, repacking
from datavc.operations.steps.cleaning.marking import Marks
from datavc.progress import SILENT
from datavc.store import claim, garbage, layout, tombstones
from datavc.store.index import ObjectIndex
from datavc.store.remote import RemoteStore
from datavc.store.roots import new_root, read_root
from datavc.store.tombstones import GRACE_SECONDS

_SCHEDULES = 1_000
OBJECTS = {name: contents(4, first=first) for name, first in (("a", 0), ("b", 2), ("c", 4), ("d", 1))}
DIGESTS = {Digest.of("xxh128", name.encode()): {XXH(raw) for raw in kept} for name, kept in OBJECTS.items()}


class World:
    """A store, its clock, and what pushes have promised, since when."""

    def __init__(self, seed: int, scratch: Path, patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.scratch = scratch
        for module in (times, tombstones, claim, garbage, collecting):
            patch.setattr(module, "time", self.clock.module())
        patch.setattr(operation, "mark", lambda repo, shared: Marks())
        patch.setattr(repacking, "Live", self.live)
        patch.setattr(repacking, "_FEW_TINY", 0)
        patch.setattr(repacking, "MAX_INDEXES", 1)
        self.plain = ClockedBackend(self.clock)
        self.schedule = Schedule(at_random(seed))
        self.backend = ScheduledBackend(self.plain, self.schedule)
        self.promised: dict[Digest, float] = {}
        self.pushes = self.repacked = 0

    @staticmethod
    def live(backend: Backend, roots: list[Root]) -> set[bytes]:
        return {digest for root in roots for digest in DIGESTS[root.digest]}

    def push(self, name: str, times: int) -> None:
        digest = Digest.of("xxh128", name.encode())
        for _ in range(times):
            try:
                self._push(name, digest)
            except (ConflictError, StoredFileNotFound, IntegrityError):
                continue
            except Killed:
                self.schedule.revive()
                continue
            self.pushes += 1
            with contextlib.suppress(StoredFileNotFound):
                self.promised[digest] = self.plain.head(layout.root_path(REPO_ID, digest)).modified

    def _push(self, name: str, digest: Digest) -> None:
        store = RemoteStore("r", self.backend, REPO_ID, "xxh128")
        if store.root(digest) is not None:
            return
        store.begin_writing()
        base = next((root for other in DIGESTS if other != digest and (root := store.root(other))), None)
        inherited = list(base.indexes) if base is not None else []
        there = store.index(inherited).find_many(DIGESTS[digest])
        memory = MemoryBackend()
        rest = [raw for raw in OBJECTS[name] if XXH(raw) not in there]
        if rest:
            inherited.append(write_index(memory, write_packs(memory, self.scratch, rest)))
        for prefix in (layout.PACKS, layout.INDEXES):
            for file in sorted(memory.list(prefix)):
                self.backend.write(file.name, memory.read(file.name))
        make = new_root(REPO_ID, digest, kind="folder", size=1, files=1, path=b"data", commit=None)
        store.publish_root(make, inherited)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[Path]:
        yield self.scratch

    def collect(self, times: int) -> None:
        repo = SimpleNamespace(
            config=SimpleNamespace(repo_id=REPO_ID),
            shared=Path("/nowhere"),
            algorithm="xxh128",
            cache=SimpleNamespace(scratch=self._folder),
        )
        for _ in range(times):
            try:
                work = operation._Gc(repo, self.backend, Inline(), SILENT, is_remote=True)  # type: ignore[arg-type]
                done = work.run(
                    GRACE_SECONDS, GRACE_SECONDS, repack=True, most=True, dry_run=False, confirm=None
                )
                self.repacked += done.repacked
            except (ConflictError, StorageError, IntegrityError, StoredFileNotFound):
                continue
            except Killed:
                self.schedule.revive()

    def forget(self, chance: random.Random, times: int) -> None:
        """Some root is gone, as after an earlier gc: what only its version needed lies dead in packs and pack indexes."""
        for _ in range(times):
            for _ in range(chance.randrange(40)):
                self.schedule.pause()
            digest = chance.choice(list(DIGESTS))
            self.plain.delete(layout.root_path(REPO_ID, digest))
            self.promised.pop(digest, None)

    def age(self, times: int) -> None:
        for _ in range(times):
            self.schedule.pause()
            while self.backend.deleting:
                self.schedule.pause()
            self.clock.seconds += 15 * 86_400

    def check(self) -> None:
        for digest, since in self.promised.items():
            if self.clock.seconds - since < GRACE_SECONDS:
                root = read_root(self.plain, REPO_ID, digest)
                assert root is not None and root.complete
                found = ObjectIndex(self.plain, "xxh128", root.indexes).find_many(DIGESTS[digest])
                assert found.keys() == DIGESTS[digest]


def play(seed: int, scratch: Path, patch: pytest.MonkeyPatch) -> World:
    world, chance = World(seed, scratch, patch), random.Random(seed)
    actors = [
        *(lambda name=name: world.push(name, 6) for name in OBJECTS),
        lambda: world.collect(6),
        lambda: world.collect(5),
    ]
    dying = chance.randrange(len(actors)) if chance.random() < 0.5 else None
    for number, actor in enumerate(actors):
        world.schedule.add(actor, chance.randrange(60) if number == dying else None)
    world.schedule.add(lambda: world.age(5))
    world.schedule.add(lambda: world.forget(chance, 12))
    world.schedule.run(world.check)
    assert not world.schedule.failures, world.schedule.failures
    return world


@pytest.mark.parametrize("count", [60, pytest.param(_SCHEDULES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_what_a_push_called_complete_is_found_while_packs_are_rewritten(
    tmp_path: Path, seed: int | None, count: int
):
    pushes = repacked = 0
    for number in range(count) if seed is None else [seed]:
        with pytest.MonkeyPatch.context() as patch:
            try:
                world = play(number, tmp_path, patch)
            except (AssertionError, DatavcError) as error:
                raise AssertionError(f"--seed {number}: {error}") from error
        pushes, repacked = pushes + world.pushes, repacked + world.repacked
    assert pushes > 0 < repacked
