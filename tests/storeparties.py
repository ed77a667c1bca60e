"""Everybody who meets on one store: who pushes, adds, pulls, collects, repacks, restores and purges, request by request.

Here each is what it asks of the store, without a repo, and what the store has promised is looked at after each change;
``parties.py`` has the true commands, and needs a hundred times as long. Versions have files in common, some of which are
purged. A push takes over the pack indexes of another version where there is one, and sends the rest.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
from schedules import Choose, Clock, ClockedBackend, Inline, Killed, Schedule, ScheduledBackend
from stored import REPO_ID, XXH, contents, write_index, write_packs

from datavc.backends.base import Backend, is_there
from datavc.backends.memory import MemoryBackend
from datavc.errors import ConflictError, IntegrityError, NotFoundError, StorageError
from datavc.formats import times
from datavc.formats.digest import Digest
from datavc.formats.packindex import PackIndexReader
from datavc.formats.purged import Purged
from datavc.formats.root import Root, decode_root, encode_root
from datavc.operations import gc as operation
from datavc.operations.steps.cleaning import collecting, repacking
from datavc.operations.steps.cleaning.marking import Marks
from datavc.progress import SILENT
from datavc.store import claim, garbage, layout, purging, tombstones
from datavc.store.index import IndexBuilder, ObjectIndex, list_indexes
from datavc.store.packwriter import SealedPack
from datavc.store.purged import write_purged
from datavc.store.purging import StorePurge
from datavc.store.remote import RemoteStore
from datavc.store.roots import begin_writing, new_root, publish_root
from datavc.store.tombstones import GRACE_SECONDS, Guard

DAY = 86_400.0
VERSIONS = {name: contents(4, first=first) for name, first in (("a", 0), ("b", 2), ("c", 4), ("d", 1))}
DIGESTS = {name: Digest.of("xxh128", name.encode()) for name in VERSIONS}
OBJECTS = {DIGESTS[name]: {XXH(raw): raw for raw in kept} for name, kept in VERSIONS.items()}
TO_PURGE = contents(1, first=3) + contents(1, first=5)
_REFUSALS = (ConflictError, StorageError, IntegrityError, NotFoundError)


@cache
def _packed(scratch: Path, raws: tuple[bytes, ...]) -> tuple[dict[str, bytes], list[SealedPack]]:
    """The packs that these objects make, as they are stored."""
    memory = MemoryBackend()
    packs = write_packs(memory, scratch, raws)
    return {file.name: memory.read(file.name) for file in memory.list(layout.PACKS)}, packs


@cache
def _rows(index: bytes) -> tuple[frozenset[bytes], frozenset[str]]:
    """The objects that a pack index finds, and the stored names of the packs that it names."""
    reader = PackIndexReader(lambda start, length: index[start : start + length], len(index))
    packs = frozenset(layout.pack_path(pack) for pack, _ in reader.packs)
    memory = MemoryBackend()
    memory.write(layout.INDEXES + "it", index)
    found = ObjectIndex(memory, "xxh128", ["it"], look=False)
    return frozenset(digest for digest, _ in found.locations()), packs


_decoded = cache(decode_root)


class Watched(ClockedBackend):
    """Counts its changes."""

    changes = 0

    def write(self, name: str, data: bytes) -> bool:
        self.changes += 1
        return super().write(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self.changes += 1
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self.changes += 1
        super().delete(name)

    def find(self, name: str) -> bytes | None:
        """A stored file, or None."""
        file = self._files.get(name)
        return None if file is None else file[0]


class _Here(threading.local):
    """What is told of an actor: whether it makes versions, or only keeps the house."""

    writes = False


class World:
    """A store, its clock, and what was promised, since when. ``purged`` are objects of which a purge has at least begun."""

    def __init__(self, choose: Choose, scratch: Path, patch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        self.scratch = scratch
        for module in (times, tombstones, claim, garbage, collecting, purging):
            patch.setattr(module, "time", self.clock.module())
        patch.setattr(operation, "mark", lambda repo, shared: Marks())
        patch.setattr(repacking, "Live", _live)
        patch.setattr(repacking, "_FEW_TINY", 0)
        patch.setattr(repacking, "MAX_INDEXES", 1)
        patch.setattr(Guard, "_publish", self._published(Guard._publish))
        self.plain = Watched(self.clock)
        self.schedule = Schedule(choose)
        self.backend = ScheduledBackend(self.plain, self.schedule)
        self.promised: dict[Digest, float] = {}
        self.purged: set[bytes] = set()
        self.done = dict.fromkeys(("push", "add", "pull", "gc", "repacked", "restore", "purge"), 0)
        self.killed = self.refused = self.withdrawn = 0
        self._here = _Here()
        self.unseen: set[bytes] = set()
        self._suspected: set[Digest] = set()
        self._open: Counter[Digest] = Counter()
        self._forgotten: dict[Digest, int] = dict.fromkeys(OBJECTS, 0)
        self._purges = 0
        self._looked = -1

    def _published(self, publish: Callable[[Guard, Root], None]) -> Callable[[Guard, Root], None]:
        """Follows roots whose writers have not looked yet whether a purge has passed: they may name what is gone."""

        def watched(guard: Guard, root: Root) -> None:
            text = encode_root(root)
            self.unseen.add(text)
            self._open[root.digest] += 1
            is_over = True
            try:
                publish(guard, root)
            except Killed:
                # See decision 0008: whoever finds the root takes it for sound.
                is_over = False
                self._withdrawn(root.digest)
                raise
            except BaseException:
                if self._here.writes:
                    # Of two who write the same, one is told to begin again, and knows nothing of the other.
                    self._withdrawn(root.digest)
                raise
            finally:
                self._open[root.digest] -= 1
                self._looked = -1
                if is_over:
                    self.unseen.discard(text)

        return watched

    def _withdrawn(self, digest: Digest) -> None:
        if self._purges and self._stored(digest) is None:
            self.withdrawn += self.promised.pop(digest, None) is not None
            self._forgotten[digest] += 1

    # Who writes

    def push(self, name: str, times: int, chance: random.Random) -> None:
        for _ in range(times):
            self._promising("push", name, lambda: self._push(DIGESTS[name], chance))

    def add(self, name: str, times: int) -> None:
        for _ in range(times):
            self._promising("add", name, lambda: self._add(DIGESTS[name]))

    def _promising(self, what: str, name: str, write: Callable[[], None]) -> None:
        """What ends well is there from then on: until something was forgotten, or a grace has passed."""
        digest = DIGESTS[name]
        began, forgotten = self.clock.seconds, self._forgotten[digest]
        self._here.writes = True
        try:
            write()
        except Killed:
            self.schedule.revive()
            self.killed += 1
        except _REFUSALS as error:
            self.refused += 1
            if isinstance(error, ConflictError):
                self._suspected.add(digest)
        else:
            self.done[what] += 1
            if self._is_unseen(digest):
                return
            # A writer that was asleep since it wrote its root knows no better than its root.
            if is_there(self.plain, layout.root_path(REPO_ID, digest)):
                self.promised[digest] = self.plain.head(layout.root_path(REPO_ID, digest)).modified
            else:
                was_forgotten = self._forgotten[digest] > forgotten
                assert was_forgotten or self.clock.seconds - began >= GRACE_SECONDS, f"{name} is gone at once"

    def _push(self, digest: Digest, chance: random.Random) -> None:
        """As the command: what is there is believed, unless the last push was told of a conflict."""
        store = RemoteStore("r", self.backend, REPO_ID, "xxh128")
        root = store.root(digest)
        is_sound = root is not None and (digest not in self._suspected or self._is_whole(root))
        if root is not None and is_sound and (not self._is_old(root) or store.renew(digest) is not None):
            if digest in self._suspected:
                self.unseen.discard(encode_root(root))
            self._suspected.discard(digest)
            return
        guard = store.begin_writing()
        purged = store.purged()
        wanted = {key: raw for key, raw in OBJECTS[digest].items() if key not in purged}
        others = (store.root(other) for other in OBJECTS if other != digest)
        base = next((root for root in others if root is not None), None) if chance.random() < 0.8 else None
        inherited = list(base.indexes) if base is not None else []
        there = store.index(inherited).find_many(wanted)
        packs = self._send([raw for key, raw in wanted.items() if key not in there])
        names = [*inherited, *([write_index(self.backend, packs)] if packs else [])]
        if store.lost_indexes(inherited, Inline()):
            raise StorageError("it lost a pack index during the push")
        store.publish_root(_make(digest), names)
        self._suspected.discard(digest)
        self._follow_purge(guard, purged)

    def _add(self, digest: Digest) -> None:
        """As ``add`` does in a cache: whatever any pack index finds is left out."""
        guard = begin_writing(self.backend, "xxh128")
        purged = RemoteStore("r", self.backend, REPO_ID, "xxh128").purged()
        wanted = {key: raw for key, raw in OBJECTS[digest].items() if key not in purged}
        known = ObjectIndex(self.backend, "xxh128", list(list_indexes(self.backend)), may_go=True)
        found = known.find_many(wanted)
        sizes = known.packs()
        builder = IndexBuilder("xxh128")
        for key, row in found.items():
            builder.add(key, row, sizes[row[0]])
        for pack in self._send([raw for key, raw in wanted.items() if key not in found]):
            builder.add_pack(pack)
        publish_root(self.backend, "xxh128", _make(digest), builder.publish(self.backend), guard)
        self._follow_purge(guard, purged)

    def _send(self, raws: list[bytes]) -> list[SealedPack]:
        files, packs = _packed(self.scratch, tuple(raws)) if raws else ({}, [])
        for name, data in files.items():
            self.backend.write(name, data)
        return packs

    def _follow_purge(self, guard: Guard, before: set[bytes]) -> None:
        """Somebody purged meanwhile: what this has sent goes again."""
        if guard.saw_purge:
            purged = RemoteStore("r", self.backend, REPO_ID, "xxh128").purged()
            if not purged <= before:
                self._purge(purged)

    def _is_whole(self, root: Root) -> bool:
        try:
            packs = ObjectIndex(self.backend, "xxh128", root.indexes, look=False).packs()
        except NotFoundError:
            return False
        return all(is_there(self.backend, layout.pack_path(pack), size) for pack, size in packs.items())

    def _is_old(self, root: Root) -> bool:
        return self.clock.seconds - datetime.fromisoformat(root.when).timestamp() > GRACE_SECONDS / 2

    # Who reads

    def pull(self, name: str, times: int) -> None:
        """What is promised all the while can be read, unless somebody purges: then it can be read afterwards."""
        digest = DIGESTS[name]
        for _ in range(times):
            state = self._readable(digest), self._purges, self._forgotten[digest]
            until = self.promised.get(digest, 0) + GRACE_SECONDS
            try:
                self._pull(digest)
            except Killed:
                self.schedule.revive()
                self.killed += 1
            except _REFUSALS as error:
                self.refused += 1
                was = state == (True, self._purges, self._forgotten[digest])
                if was and self.clock.seconds < until:
                    raise AssertionError(f"{name} could not be read: {error}") from error
            else:
                self.done["pull"] += 1

    def _readable(self, digest: Digest) -> bool:
        return digest in self.promised and not self._is_purging

    def _pull(self, digest: Digest) -> None:
        store = RemoteStore("r", self.backend, REPO_ID, "xxh128")
        root = store.root(digest)
        if root is None:
            raise NotFoundError("it is not there")
        before = set(self.purged)
        index = store.index(root.indexes)
        reader = store.reader(index)
        found = index.find_many(OBJECTS[digest])
        assert OBJECTS[digest].keys() - self.purged <= found.keys(), "what is complete lacks something"
        for key in sorted(found.keys() - before):
            assert reader.read(key, limit=1 << 20) == OBJECTS[digest][key]

    # Who deletes

    def collect(self, times: int, *, repack: bool = False, restore: bool = False) -> None:
        for _ in range(times):
            try:
                self.collect_once(repack=repack, restore=restore)
            except _REFUSALS:
                # Another gc, a clock that was moved meanwhile, something that another gc deletes.
                self.refused += 1
            except Killed:
                self.schedule.revive()
                self.killed += 1

    def collect_once(self, *, repack: bool = False, restore: bool = False) -> None:
        repo = SimpleNamespace(
            config=SimpleNamespace(repo_id=REPO_ID),
            shared=Path("/nowhere"),
            algorithm="xxh128",
            cache=SimpleNamespace(scratch=self._folder),
        )
        work = operation._Gc(repo, self.backend, Inline(), SILENT, is_remote=True)  # type: ignore[arg-type]
        if restore:
            work.restore(dry_run=False)
            self.done["restore"] += 1
            return
        done = work.run(GRACE_SECONDS, GRACE_SECONDS, repack=repack, most=True, dry_run=False, confirm=None)
        self.done["gc"] += 1
        self.done["repacked"] += done.repacked

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        yield self.scratch

    def purge(self, raw: bytes, times: int) -> None:
        """Until it has ended well: what has come to be purged is named by no promise."""
        for _ in range(times):
            try:
                self.purge_once(raw)
                return
            except _REFUSALS:
                self.refused += 1
            except Killed:
                self.schedule.revive()
                self.killed += 1

    def purge_once(self, raw: bytes) -> None:
        self.purged.add(XXH(raw))
        note = Purged(Digest("xxh128", XXH(raw)), len(raw), "a test", "somebody", times.utc_text(), REPO_ID)
        write_purged(self.backend, [note])
        self._purge({XXH(raw)})
        self.done["purge"] += 1

    def _purge(self, digests: set[bytes]) -> None:
        self._purges += 1
        self._is_purging += 1
        try:
            StorePurge(self.backend, "xxh128", digests, self.scratch, Inline(), repo_id=REPO_ID).run()
        finally:
            self._is_purging -= 1
            self._purges += 1

    _is_purging = 0

    def forget(self, chance: random.Random, times: int) -> None:
        """Some root is gone, as after an earlier gc: what only its version needed lies dead in packs and pack indexes."""
        for _ in range(times):
            for _ in range(chance.randrange(40)):
                self.schedule.pause()
            digest = chance.choice(list(OBJECTS))
            self.plain.delete(layout.root_path(REPO_ID, digest))
            self._forgotten[digest] += 1
            self.promised.pop(digest, None)

    def age(self, times: int) -> None:
        for _ in range(times):
            self.schedule.pause()
            # Nobody sleeps for half an hour between looking at the clock and the request that this is for.
            while self.backend.deleting:
                self.schedule.pause()
            self.clock.seconds += 15 * DAY

    # What must hold

    def check(self) -> None:
        if self._looked == self.plain.changes:
            return
        self._looked = self.plain.changes
        for digest, since in self.promised.items():
            if self.clock.seconds - since < GRACE_SECONDS:
                self._require(digest)

    def _stored(self, digest: Digest) -> bytes | None:
        return self.plain.find(layout.root_path(REPO_ID, digest))

    def _is_unseen(self, digest: Digest) -> bool:
        return bool(self._purges) and (self._open[digest] > 0 or self._stored(digest) in self.unseen)

    def suspect_all(self) -> None:
        """As ``push --check`` from now on: nothing is believed."""
        self._suspected = set(OBJECTS)

    def _require(self, digest: Digest) -> None:
        find, text = self.plain.find, self._stored(digest)
        if self._is_unseen(digest):
            return
        assert text is not None, "a root is gone"
        root = _decoded(text)
        assert root.complete
        found: set[bytes] = set()
        for name in root.indexes:
            index = find(layout.index_path(name))
            assert index is not None, "a pack index is gone"
            objects, packs = _rows(index)
            assert all(find(pack) is not None for pack in packs), "a pack is gone"
            found |= objects
        assert OBJECTS[digest].keys() - self.purged <= found, "an object is gone"


def _live(backend: Backend, roots: list[Root]) -> set[bytes]:
    return {key for root in roots for key in OBJECTS[root.digest]}


def _make(digest: Digest) -> Callable[[tuple[str, ...]], Root]:
    return new_root(REPO_ID, digest, kind="folder", size=1, files=1, path=b"data", commit=None)
