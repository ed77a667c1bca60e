"""Two clones, their caches (or one that they share) and a remote, all in folders, where commands meet request by request.

The commands are the true ones. What they ask of a folder, the cache or the remote, waits for its turn; the clock is the
test's. What each store promised is written down here, and looked at after each request.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from projects import Project, environment_of
from schedules import Choose, Clock, Inline, Killed, Schedule

import datavc
from datavc.backends import opening
from datavc.backends.base import StoredFile
from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.packindex import PackIndexReader
from datavc.formats.pointer import parse_pointer
from datavc.formats.root import Root, decode_root
from datavc.formats.tree import TREE, decode_tree
from datavc.operations.add import add
from datavc.operations.checkout import checkout
from datavc.operations.evict import evict
from datavc.operations.fetch import FetchResult, fetch
from datavc.operations.gc import gc
from datavc.operations.pull import pull
from datavc.operations.push import push
from datavc.operations.run import Order, run
from datavc.operations.steps.delivering import deliver
from datavc.operations.steps.naming.chosen import Revisions
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.storing import units
from datavc.operations.steps.transfers import transfer
from datavc.repo import Repo
from datavc.store import cache as stored
from datavc.store import layout
from datavc.store.cachefolder import CacheFolder
from datavc.store.reader import ObjectReader
from datavc.store.tombstones import GRACE_SECONDS

DAY = 86_400.0
_open_cache = Repo.__dict__["cache"].func
_LOADED = ("datavc.formats.times", "datavc.operations", "datavc.store", "datavc.repo")
_DROPPED = {"data/a": "to be dropped " * 300, "data/c": "and this " * 99}


class ScheduledFolder(CacheFolder):
    """A folder of which every request waits for its turn; files are stamped by the world's clock."""

    world: World

    def _pause(self) -> None:
        self.world.schedule.pause()

    def _stamp(self, name: str) -> None:
        os.utime(self.root / name, (self.world.clock.seconds,) * 2)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._pause()
        return super().read(name, start, length)

    def head(self, name: str) -> StoredFile:
        self._pause()
        return super().head(name)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self._pause()
        return iter(list(super().list(prefix)))

    def write_file(self, name: str, source: Path) -> bool:
        self._pause()
        is_new = super().write_file(name, source)
        if is_new:
            self._stamp(name)
        return is_new

    def replace(self, name: str, data: bytes) -> None:
        before = self.world.clock.seconds
        self._pause()
        if self.world.clock.seconds - before > DAY / 2:
            self.world.late.add(str(self.root / name))
        super().replace(name, data)
        self._stamp(name)

    def delete(self, name: str) -> None:
        self.world.deleting += 1
        try:
            self._pause()
        finally:
            self.world.deleting -= 1
        super().delete(name)

    def now(self) -> float:
        self._pause()
        return self.world.clock.seconds


@dataclass
class World:
    """Everything there is at ``top``. ``shares`` where both clones use one cache.

    ``promised`` is by store and digest: when the root was written that a command ended well with. ``late`` are roots that
    somebody wrote who had slept at that very moment, and may have to take back.
    """

    top: Path
    shares: bool
    clock: Clock = field(default_factory=Clock)
    schedule: Schedule = field(default_factory=lambda: Schedule(lambda living, last: living[0]))
    deleting: int = 0
    promised: dict[tuple[Path, Digest], float] = field(default_factory=dict)
    refused: list[DatavcError] = field(default_factory=list)
    done: int = 0
    dropped: str = ""
    late: set[str] = field(default_factory=set)
    _evictions: int = 0
    _seen: dict[tuple[str, int], Any] = field(default_factory=dict)

    @property
    def remote(self) -> Path:
        return self.top / "remote"

    def project(self, name: str) -> Project:
        return Project(self.top / name, environment_of(self.top / "home"))

    def repo(self, name: str) -> Repo:
        return Repo.find(self.top / name)

    def cache(self, name: str) -> Path:
        return self.top / "shared" if self.shares else self.top / name / ".git/datavc/cache"

    # What parties do

    def attempt(self, command: Callable[[], None], *, times: int = 1) -> Callable[[], None]:
        """An actor that runs a command. What is refused is counted; who is killed comes back, and runs it again."""

        def act() -> None:
            for _ in range(times):
                try:
                    command()
                except Killed:
                    self.schedule.revive()
                    self._tried(command)
                except DatavcError as error:
                    self.refused.append(error)
                else:
                    self.done += 1

        return act

    def _tried(self, command: Callable[[], None]) -> None:
        try:
            command()
        except DatavcError as error:
            self.refused.append(error)

    def write(self, name: str, files: dict[str, str]) -> None:
        project = self.project(name)
        for path in files:
            (project.root / path).unlink(missing_ok=True)
        project.write(dict(files))

    def add(self, name: str, files: dict[str, str]) -> None:
        """Edit, add, commit."""
        self.write(name, files)
        for row in add(self.repo(name), [os.fsencode(self.top / name / "data")]).datasets:
            self._promise(name, Digest.parse(row.digest))
        self.project(name).commit("more")

    def add_and_push(self, name: str, files: dict[str, str]) -> None:
        self.add(name, files)
        self.push(name)

    def _promise(self, name: str, digest: Digest) -> None:
        """The version is in the cache of that clone now."""
        self.promised[self.cache(name), digest] = self.clock.seconds

    def push(self, name: str) -> None:
        pushed = push(self.repo(name), [])
        for row in pushed.datasets + pushed.records:
            if row.outcome not in ("complete", "sent"):
                continue
            file = self.remote / layout.root_path(self.repo(name).config.repo_id, row.digest)
            # A writer that was asleep since it wrote its root knows no better than its root.
            if file.exists():
                self.promised[self.remote, row.digest] = file.stat().st_mtime

    def fetch_dropped(self, name: str) -> None:
        """What another clone has dropped is named by git here, and fetched."""
        project = self.project(name)
        project.git("fetch", "-q", str(self.top / "a"), self.dropped)
        project.git("update-ref", "refs/heads/again", self.dropped)
        before = self._evictions
        self._fetched(name, fetch(self.repo(name), [], revisions=Revisions((self.dropped,))), before)

    def _fetched(self, name: str, result: FetchResult, evictions: int) -> None:
        """What was fetched is in the cache, unless somebody has evicted meanwhile."""
        for row in result.datasets:
            if row.outcome != "failed" and evictions == self._evictions:
                self._promise(name, row.digest)

    def pull(self, name: str) -> None:
        before = self._evictions
        self._fetched(name, pull(self.repo(name), [], force=True).fetched, before)

    def checkout(self, name: str) -> None:
        checkout(self.repo(name), [], revision="HEAD~1", force=True)
        checkout(self.repo(name), [], revision="HEAD", force=True)

    def evict(self, name: str) -> None:
        self._evictions += 1
        for row in evict(self.repo(name), []).dropped:
            self.promised.pop((self.cache(name), row.digest), None)
        self._evictions += 1

    def collect(self, name: str, remote: str | None = None, *, restore: bool = False) -> None:
        gc(self.repo(name), remote=remote, most=True, restore=restore)

    def run(self, name: str) -> None:
        """A run that writes no data; its record is pushed."""
        here = os.fsencode(self.top / name)
        order = Order(("true",), here, inputs=(here + b"/data",), trace="off")
        run(self.repo(name), order, environment=self.project(name).environment)
        self.push(name)

    def drop(self, name: str) -> None:
        """Nothing of git names the newest version any more."""
        project = self.project(name)
        if int(project.git("rev-list", "--count", "HEAD")) < 3:
            return
        project.git("reset", "-q", "--hard", "HEAD~1")
        project.git("reflog", "expire", "--expire=now", "--all")
        (project.root / ".git/ORIG_HEAD").unlink(missing_ok=True)
        named = self._named("a") | self._named("b")
        for store, digest in list(self.promised):
            if store != self.remote and digest not in named:
                del self.promised[store, digest]
        checkout(self.repo(name), [], force=True)

    def pass_time(self, days: float) -> None:
        self.schedule.pause()
        # Nobody sleeps for half an hour between looking at the clock and the deletion that this is for.
        for _ in range(100):
            if not self.deleting:
                self.clock.seconds += days * DAY
                return
            self.schedule.pause()

    # What must hold

    def check(self) -> None:
        """Each complete root names what is there; what a push called complete has its root for a grace."""
        for store in {self.remote, self.cache("a"), self.cache("b")}:
            for path, _, names in os.walk(store / "roots"):
                for name in names:
                    if os.path.join(path, name) not in self.late:
                        self._whole(store, os.path.join(path, name))
        for (store, digest), since in self.promised.items():
            if store == self.remote and self.clock.seconds - since < GRACE_SECONDS:
                root = self._root(str(store / layout.root_path(self._repo_id(), digest)))
                assert root is not None and root.complete, f"{digest} was pushed"

    def _whole(self, store: Path, path: str) -> None:
        root = self._root(path)
        if root is None or not root.complete:
            return
        for name in root.indexes:
            for pack, size in self._packs(store / layout.index_path(name)).items():
                assert os.stat(store / layout.pack_path(pack)).st_size == size

    def _root(self, path: str) -> Root | None:
        try:
            inode = os.stat(path).st_ino
        except FileNotFoundError:
            return None
        if (path, inode) not in self._seen:
            self._seen[path, inode] = decode_root(Path(path).read_bytes())
        root: Root = self._seen[path, inode]
        return root

    def _packs(self, path: Path) -> dict[bytes, int]:
        inode = os.stat(path).st_ino
        if (str(path), inode) not in self._seen:
            data = path.read_bytes()
            self._seen[str(path), inode] = dict(
                PackIndexReader(lambda start, length: data[start : start + length], len(data)).packs
            )
        packs: dict[bytes, int] = self._seen[str(path), inode]
        return packs

    def _repo_id(self) -> str:
        return next((self.remote / "roots").iterdir()).name

    def check_contents(self) -> None:
        """Everything promised, and named by git or younger than a grace, can be read."""
        self.late.clear()
        self.check()
        named = {name: self._named(name) for name in ("a", "b")}
        for (store, digest), since in self.promised.items():
            is_young = self.clock.seconds - since < GRACE_SECONDS
            if store == self.remote and is_young:
                far = open_remote(self.repo("a"), None)
                root = far.root(digest)
                assert root is not None
                self._read(digest, far.reader(far.index(root.indexes)))
            for name in ("a", "b"):
                if store == self.cache(name) and digest in named[name]:
                    self._read(digest, self.repo(name).cache.reader(digest))

    def _read(self, digest: Digest, reader: ObjectReader) -> None:
        """Read all of it; each object is hashed by the reader. A record is one object, whatever it names."""
        pending = [digest.raw]
        while pending:
            content = reader.read(pending.pop(), limit=1 << 20)
            if content.startswith(TREE.magic):
                tree = decode_tree(content, "xxh128")
                pending += [tree.entry(number).digest for number in range(len(tree.names))]

    def _named(self, name: str) -> set[Digest]:
        """The versions that git names in a clone, and that its pointer does."""
        project = self.project(name)
        if not project.root.exists():
            return set()
        said = project.git("log", "--all", "--reflog", "-p", "--format=", "--", "data.datavc")
        found = {
            line.split('"')[1] for line in said.splitlines() if line.startswith("+") and "digest" in line
        }
        pointer = parse_pointer(project.read("data.datavc"), "it").digest
        return {Digest.parse(text) for text in found} | {pointer}

    def settle(self) -> None:
        """In the end nothing hinders anybody: each command ends well, and fsck finds nothing."""
        self.clock.seconds += 2 * 3600.0
        for name in ("a", "b"):
            self.collect(name)
            self.collect(name, "origin")
            self.add(name, {"data/last": name})
            self.push(name)
            self.project(name).run("fsck")
        self.collect("b", "origin")
        self.pull("b")
        self.check()
        self.check_contents()
        self.project("a").run("fsck", "-r", "origin")


PARTIES: dict[str, Callable[[World], None]] = {
    "a adds and pushes": lambda world: world.add_and_push("a", {"data/a": "of a " * 80}),
    "b adds and pushes": lambda world: world.add_and_push("b", {"data/d": "of b " * 80}),
    "a adds again what was dropped": lambda world: world.add_and_push("a", _DROPPED),
    "b adds what a has dropped": lambda world: world.add_and_push("b", _DROPPED),
    "a pushes": lambda world: world.push("a"),
    "b pulls": lambda world: world.pull("b"),
    "b fetches what a has dropped": lambda world: world.fetch_dropped("b"),
    "b checks out": lambda world: world.checkout("b"),
    "a runs": lambda world: world.run("a"),
    "b evicts": lambda world: world.evict("b"),
    "a drops a version": lambda world: world.drop("a"),
    "gc of a's cache": lambda world: world.collect("a"),
    "gc of b's cache": lambda world: world.collect("b"),
    "gc of the remote by a": lambda world: world.collect("a", "origin"),
    "gc of the remote by b": lambda world: world.collect("b", "origin"),
    "restore in a's cache": lambda world: world.collect("a", restore=True),
    "restore on the remote": lambda world: world.collect("a", "origin", restore=True),
    "a week": lambda world: world.pass_time(8),
    "a grace": lambda world: world.pass_time(15),
}


class Worlds:
    """Makes worlds, as they were at some phase of a life: nothing is old, something may go, is doomed, is due."""

    # Days that pass; where there are none, gc of a's cache and of the remote.
    PHASES: ClassVar[dict[str, tuple[int, ...]]] = {
        "young": (),
        "old": (15,),
        "doomed": (15, 0, 5),
        "due": (15, 0, 15),
    }

    def __init__(self, top: Path) -> None:
        self._place = top / "world"
        self._kept = top / "kept"
        self._kept.mkdir()
        self._clocks: dict[tuple[str, bool], float] = {}
        self._worlds: dict[tuple[str, bool], World] = {}

    @contextmanager
    def at(self, phase: str, choose: Choose, *, shares: bool) -> Iterator[World]:
        """A world, in which time is the test's."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment_of(self._place / "home").items():
                patch.setenv(name, value)
            kept = self._kept / f"{phase}-{shares}"
            if not kept.exists():
                self._make(phase, shares, kept, patch)
            else:
                shutil.rmtree(self._place, ignore_errors=True)
            subprocess.run(["cp", "-a", "--", str(kept), str(self._place)], check=True)
            world = World(self._place, shares)
            made = self._worlds[phase, shares]
            world.clock.seconds = made.clock.seconds
            world.promised, world.dropped = dict(made.promised), made.dropped
            self._enter(world, patch)
            world.schedule = Schedule(choose)
            world.clock.waiting = world.schedule.pause
            yield world

    def _enter(self, world: World, patch: pytest.MonkeyPatch) -> None:
        for kept in (deliver._open_reader, units._open_store, units._open_claims):
            kept.cache_clear()
        patch.setattr(ScheduledFolder, "world", world, raising=False)
        patch.setattr(opening, "FolderBackend", ScheduledFolder)
        for module in (stored, units):
            patch.setattr(module, "CacheFolder", ScheduledFolder)
        patch.setattr(transfer, "TransferThreads", lambda threads: Inline())
        # Before Python 3.12 a cached property keeps all threads out of itself while one is in it, whatever it is of.
        patch.setattr(Repo, "cache", property(cache(_open_cache)))
        for module in _timed():
            patch.setattr(module, "time", world.clock.module())

    def _make(self, phase: str, shares: bool, kept: Path, patch: pytest.MonkeyPatch) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir()
        world = World(self._place, shares)
        self._enter(world, patch)
        world.clock.seconds = time.time()
        (world.top / "home").mkdir()
        a = world.project("a")
        a.root.mkdir()
        a.git("init", "-q")
        a.run("init")
        a.run("remote", "add", "--default", "origin", str(world.remote), "--no-probe")
        if shares:
            a.run("config", "--local", "cache.dir", str(world.top / "shared"))
        a.commit("init")
        world.add("a", {"data/a": "first " * 200, "data/sub/b": "b " * 500})
        world.push("a")
        world.add("a", {"data/a": "second " * 200})
        world.push("a")
        a.clone("b")
        if shares:
            world.project("b").run("config", "--local", "cache.dir", str(world.top / "shared"))
        world.project("b").run("config", "--local", "remote.origin.allow", str(world.remote))
        world.pull("b")
        world.add("a", _DROPPED)
        world.push("a")
        a.git("config", "uploadpack.allowAnySHA1InWant", "true")
        world.dropped = a.git("rev-parse", "HEAD").strip()
        world.drop("a")
        for step in self.PHASES[phase]:
            if step:
                world.clock.seconds += step * DAY
            else:
                world.collect("a")
                world.collect("a", "origin")
        self._worlds[phase, shares] = world
        self._place.rename(kept)


@cache
def _timed() -> list[ModuleType]:
    """The modules that ask what time it is."""
    found = pkgutil.walk_packages(datavc.__path__, "datavc.")
    names = [row.name for row in found if row.name.startswith(_LOADED)]
    loaded = [importlib.import_module(name) for name in names]
    return [module for module in loaded if getattr(module, "time", None) is time]
