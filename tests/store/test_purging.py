"""Purging objects from a store: their bytes are nowhere, all else is found all the time, and writers are not misled."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

import pytest
from killing import Killed, Stopping
from schedules import Clock, Inline, Schedule, ScheduledBackend, at_random
from stored import REPO_ID, XXH, contents, open_reader, unpacked, write_index, write_packs, write_root

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import ConflictError, DatavcError, IntegrityError, StorageError
from datavc.formats.digest import Digest
from datavc.formats.pack import DATA, META
from datavc.formats.tree import FILE, Tree, encode_tree
from datavc.store import layout, purging
from datavc.store.blobwriter import BlobWriter, pack_chunks
from datavc.store.chunking import BLOB_CUTS, cut_points
from datavc.store.index import IndexBuilder, ObjectIndex
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack
from datavc.store.purging import StorePurge
from datavc.store.roots import begin_writing, new_root, publish_root, read_root
from datavc.store.tombstones import REWRITTEN

THREADS: Executor = Inline()
_LIMIT = 64 << 20


def write_large(
    backend: Backend, scratch: Path, *files: bytes, known: set[bytes] = frozenset()
) -> list[SealedPack]:
    """Files that are kept as chunk lists, apart from chunks that are ``known``."""
    packs: list[SealedPack] = []
    data, meta = (
        PackStream(backend, scratch, "xxh128", content, published=packs.append) for content in (DATA, META)
    )
    writer = BlobWriter("xxh128", data, meta, known.__contains__)
    for content in files:
        view, start = memoryview(content), 0
        for end in cut_points(content, BLOB_CUTS):
            writer.add(view[start:end], pack_chunks("xxh128", [view[start:end]], known.__contains__))
            start = end
        writer.finish()
    data.close()
    meta.close()
    return packs


def tree_of(*files: bytes) -> bytes:
    names = [b"%d" % number for number in range(len(files))]
    return encode_tree(
        Tree(
            "xxh128",
            names,
            bytes([FILE] * len(files)),
            [len(f) for f in files],
            [1] * len(files),
            [XXH(f) for f in files],
        )
    )


def everything(backend: Backend) -> bytes:
    """All that is in packs, blobs and quarantine, decompressed where it is compressed."""
    found = [backend.read(file.name) for prefix in ("blobs/", "quarantine/") for file in backend.list(prefix)]
    return b"\0".join([*found, unpacked(backend)])


def holds(found: bytes, content: bytes) -> bool:
    """Whether a stretch of the content is found, from its start, middle or end."""
    places = (0, len(content) // 2, max(0, len(content) - 200))
    return any(content[place : place + 200] in found for place in places)


class Store:
    """Small and large files in one version each, and what is purged of them."""

    def __init__(self, backend: Backend, scratch: Path) -> None:
        dice = random.Random(1)
        self.backend = backend
        large = dice.randbytes(3 << 20)
        self.purged = [b"purge me " * 50, dice.randbytes(5000), large, b"all the same " * 200_000]
        edited = large[: 2 << 20] + b"edited" + large[2 << 20 :]
        self.kept = [b"keep me " * 50, dice.randbytes(6000), edited]
        small = [*self.purged[:2], *self.kept[:2]]
        packs = write_packs(backend, scratch, small) + write_large(backend, scratch, *self.purged[2:], edited)
        self.tree = tree_of(*self.purged, *self.kept)
        packs += write_packs(backend, scratch, [self.tree], content=META)
        self.digest = Digest.of("xxh128", self.tree)
        write_root(backend, self.digest, [write_index(backend, packs)])
        self.gone = {XXH(content) for content in self.purged}
        self.only_large = large[(2 << 20) + (1 << 19) :]

    def purge(self, backend: Backend, scratch: Path) -> StorePurge:
        return StorePurge(backend, "xxh128", self.gone, scratch, THREADS, repo_id=REPO_ID)

    def assert_readable(self) -> None:
        root = read_root(self.backend, REPO_ID, self.digest)
        assert root is not None and root.complete
        reader = open_reader(self.backend, *root.indexes)
        for content in (self.tree, *self.kept):
            assert reader.read(XXH(content), limit=_LIMIT) == content

    def assert_purged(self) -> None:
        self.backend.close()
        found = everything(self.backend)
        for content in (*self.purged[:2], self.purged[3]):
            assert not holds(found, content)
        # What the edited file has in common with the purged one is still wanted; the rest of it is not there.
        assert all(holds(found, content) for content in self.kept)
        names = [file.name.removeprefix(layout.INDEXES) for file in self.backend.list(layout.INDEXES)]
        assert not ObjectIndex(self.backend, "xxh128", names).find_many(self.gone)


def test_what_is_purged_is_nowhere_and_what_is_not_is_there(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    assert all(holds(everything(backend), content) for content in store.purged)
    plan = store.purge(backend, scratch).survey()
    assert plan.shared_bytes > 1 << 20 and not plan.shared

    assert store.purge(backend, scratch).run() > 0
    store.assert_purged()
    store.assert_readable()
    assert store.purge(backend, scratch).run() == 0


def with_a_chunk(backend: Backend, scratch: Path) -> tuple[bytes, bytes, bytes]:
    """A file in chunks, the first of them, which is a file of its own too, and the folder of both."""
    large = random.Random(2).randbytes(2 << 20)
    chunk = large[: cut_points(large, BLOB_CUTS)[0]]
    tree = tree_of(large, chunk)
    packs = write_large(backend, scratch, large) + write_packs(backend, scratch, [tree], content=META)
    write_root(backend, Digest.of("xxh128", tree), [write_index(backend, packs)])
    return large, chunk, tree


def test_a_chunk_that_is_also_a_file_of_its_own_stays(backend: Backend, scratch: Path):
    large, chunk, tree = with_a_chunk(backend, scratch)
    StorePurge(backend, "xxh128", {XXH(large)}, scratch, THREADS, repo_id=REPO_ID).run()
    backend.close()

    root = read_root(backend, REPO_ID, Digest.of("xxh128", tree))
    assert root is not None
    assert open_reader(backend, *root.indexes).read(XXH(chunk), limit=_LIMIT) == chunk
    assert not holds(everything(backend), large[len(chunk) + 1000 :])


def test_a_file_that_is_a_chunk_of_another_one_stays_and_that_is_said(backend: Backend, scratch: Path):
    large, chunk, tree = with_a_chunk(backend, scratch)
    purge = StorePurge(backend, "xxh128", {XXH(chunk)}, scratch, THREADS, repo_id=REPO_ID)

    assert purge.survey().shared == {XXH(chunk)} and not purge.survey()
    assert purge.run() == 0
    root = read_root(backend, REPO_ID, Digest.of("xxh128", tree))
    assert root is not None
    assert open_reader(backend, *root.indexes).read(XXH(large), limit=_LIMIT) == large


def test_packs_that_no_index_names_and_packs_that_were_put_aside_are_purged(backend: Backend, scratch: Path):
    secret, other = b"secret " * 40, b"other " * 40
    (pack,) = write_packs(backend, scratch, [secret, other])
    data = backend.read(layout.pack_path(pack.name))
    aside = f"quarantine/packs-{layout.sealed_name(pack.name)}-0123"
    backend.write(aside, data)
    backend.write("quarantine/packs-00-xxh128-cut-4567", data[:50])
    backend.write(layout.blob_path("xxh128", XXH(secret)), secret)
    backend.write(f"quarantine/blobs-00-xxh128-{XXH(secret).hex()}-89ab", secret)
    (clean,) = write_packs(backend, scratch, contents(2))
    backend.write("quarantine/packs-clean-cdef", backend.read(layout.pack_path(clean.name)))
    StorePurge(backend, "xxh128", {XXH(secret)}, scratch, THREADS, repo_id=REPO_ID).run()
    backend.close()

    assert not holds(everything(backend), secret)
    assert holds(everything(backend), other)
    assert [file.name for file in backend.list("quarantine/")] == ["quarantine/packs-clean-cdef"]


def test_chunks_that_lie_there_without_their_list_are_purged_if_another_store_has_the_list(
    backend: Backend, scratch: Path
):
    large = random.Random(4).randbytes(2 << 20)
    elsewhere = MemoryBackend()
    write_large(elsewhere, scratch, large)
    chunks = StorePurge(elsewhere, "xxh128", {XXH(large)}, scratch, THREADS, repo_id=REPO_ID).survey().chunks
    view, start = memoryview(large), 0
    pieces = []
    for end in cut_points(large, BLOB_CUTS):
        pieces.append(bytes(view[start:end]))
        start = end
    write_packs(backend, scratch, pieces)
    StorePurge(backend, "xxh128", {XXH(large)}, scratch, THREADS, repo_id=REPO_ID, chunks=chunks).run()
    backend.close()

    assert not any(holds(everything(backend), piece) for piece in pieces)


def test_nothing_is_purged_where_it_cannot_be_known_what_a_pack_holds(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    backend.write(f"packs/00/xxh128-{0:032x}", b"no pack")

    with pytest.raises(IntegrityError, match="nobody knows what is in it"):
        store.purge(backend, scratch).run()
    store.assert_readable()


def test_killed_at_any_change_it_loses_nothing_and_the_next_run_finishes(scratch: Path):
    limit = 0
    while True:
        memory = MemoryBackend()
        store = Store(memory, scratch)
        try:
            store.purge(Stopping(memory, limit), scratch).run()
        except Killed:
            store.assert_readable()
        else:
            break
        store.purge(memory, scratch).run()
        store.assert_readable()
        store.assert_purged()
        limit += 1
    assert limit > 8


class Suspended(WrappingBackend):
    """A writer that is asleep for the time of ``meanwhile``, just before it writes its root."""

    def __init__(self, inner: Backend, meanwhile: Callable[[], None]) -> None:
        super().__init__(inner)
        self._meanwhile = meanwhile

    def replace(self, name: str, data: bytes) -> None:
        if name.startswith(layout.ROOTS):
            self._meanwhile()
        super().replace(name, data)


@pytest.mark.parametrize("inherits", [True, False], ids=["an index", "a pack"])
def test_who_relied_on_what_was_purged_meanwhile_has_no_root_and_is_told(inherits: bool, scratch: Path):
    world = Beside(0, scratch)
    slow = Suspended(world.plain, world.purge)
    guard = begin_writing(slow, "xxh128")
    names = [world.first]
    if not inherits:
        builder, index = IndexBuilder("xxh128"), ObjectIndex(world.plain, "xxh128", names)
        for digest, row in index.find_many([XXH(world.small[0])]).items():
            builder.add(digest, row, index.packs()[row[0]])
        names = builder.publish(world.plain)
    make = new_root(
        REPO_ID, Digest.of("xxh128", b"slow"), kind="folder", size=1, files=1, path=b"d", commit=None
    )
    with pytest.raises(ConflictError, match="datavc purge"):
        publish_root(slow, "xxh128", make, names, guard)
    assert guard.saw_purge
    assert read_root(world.plain, REPO_ID, Digest.of("xxh128", b"slow")) is None

    # Begun anew, it finds what took their place.
    root = read_root(world.plain, REPO_ID, Digest.of("xxh128", b"first"))
    assert root is not None
    publish_root(world.plain, "xxh128", make, list(root.indexes), begin_writing(world.plain, "xxh128"))
    world.check()


def test_who_writes_a_root_anew_while_a_purge_passes_leaves_the_one_that_the_purge_wrote(scratch: Path):
    """As gc --repack does. Whoever pushed the version was told that it is there, and so it stays (schedule 7)."""
    world = Beside(0, scratch)
    slow = Suspended(world.plain, world.purge)
    digest = Digest.of("xxh128", b"first")
    make = new_root(REPO_ID, digest, kind="folder", size=1, files=1, path=b"d", commit=None)
    with pytest.raises(ConflictError, match="datavc purge"):
        publish_root(slow, "xxh128", make, [world.first], begin_writing(slow, "xxh128"))
    root = read_root(world.plain, REPO_ID, digest)
    assert root is not None and world.first not in root.indexes
    world.check()


@pytest.mark.parametrize("order", ["12", "21"], ids=["the first is read first", "the second is read first"])
def test_of_two_purges_at_once_who_is_too_late_leaves_what_the_other_wrote(
    order: str, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    """What it wrote itself in place of a pack index goes with the other's packs (schedule 308969)."""
    memory, small = MemoryBackend(), contents(4)
    packs = write_packs(memory, scratch, small[:2]) + write_packs(memory, scratch, small[2:])
    digest = Digest.of("xxh128", b"version")
    write_root(memory, digest, [write_index(memory, packs)])

    def choose(living: Sequence[int], last: int | None) -> int:
        """The second lists the pack indexes, the first writes its note, the second does, and the first changes the root."""
        has_listed = sum(1 for _ in memory.list(layout.PACKS)) > len(packs)
        notes = sum(file.name.endswith(REWRITTEN) for file in memory.list(layout.TRASH))
        return living[0] if notes == 2 or (has_listed and notes == 0) else living[-1]

    names = iter(["purging-1", "purging-2", *(f"note-{number}" for number in order)])
    monkeypatch.setattr(purging, "new_id", lambda: next(names))
    schedule = Schedule(choose)
    for gone in ([small[1]], [small[1], small[3]]):
        backend = ScheduledBackend(memory, schedule)
        schedule.add(
            StorePurge(backend, "xxh128", set(map(XXH, gone)), scratch, THREADS, repo_id=REPO_ID).run
        )

    def assert_readable() -> None:
        root = read_root(memory, REPO_ID, digest)
        assert root is not None and root.complete
        for raw in small[::2]:
            assert open_reader(memory, *root.indexes).read(XXH(raw), limit=_LIMIT) == raw

    schedule.run(assert_readable)
    (refused,) = schedule.failures
    assert isinstance(refused, ConflictError)
    assert not any(raw in unpacked(memory) for raw in small[1::2])


def test_who_slept_for_a_day_before_deleting_gives_up_and_the_same_again_finishes(
    scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    """A gc may have tidied its note away, so that writers rely on what is about to go (schedule 201593)."""
    clock = Clock()
    monkeypatch.setattr(purging, "time", clock.module())

    class Asleep(WrappingBackend):
        def replace(self, name: str, data: bytes) -> None:
            super().replace(name, data)
            if name.startswith(layout.ROOTS):
                clock.seconds += 86_400

    memory = MemoryBackend()
    store = Store(memory, scratch)
    with pytest.raises(StorageError, match="interrupted for 24 hours"):
        store.purge(Asleep(memory), scratch).run()
    store.assert_readable()
    store.purge(memory, scratch).run()
    store.assert_purged()
    store.assert_readable()


def test_packs_that_are_written_again_after_a_purge_may_be_relied_on(scratch: Path):
    """What was purged is not, but a large file that begins as a purged one is cut into the same packs again."""
    world = Beside(0, scratch)
    world.purge()
    packs = write_large(world.plain, scratch, world.large)
    make = new_root(
        REPO_ID, Digest.of("xxh128", b"again"), kind="folder", size=1, files=1, path=b"d", commit=None
    )
    publish_root(
        world.plain, "xxh128", make, [write_index(world.plain, packs)], begin_writing(world.plain, "xxh128")
    )
    world.done.append((Digest.of("xxh128", b"again"), [world.large]))
    world.check()


class Beside:
    """A writer beside a purge: each of its versions shares packs and indexes with those that are there."""

    def __init__(self, seed: int, scratch: Path) -> None:
        self.plain = MemoryBackend()
        self.schedule = Schedule(at_random(seed))
        self.backend = ScheduledBackend(self.plain, self.schedule)
        self.scratch = scratch
        dice = random.Random(7)
        self.large = dice.randbytes(1 << 21)
        self.edited = self.large[: 1 << 20] + b"!" + self.large[1 << 20 :]
        self.small = [b"one " * 30, b"two " * 30, b"purge " * 30]
        packs = write_packs(self.plain, scratch, self.small) + write_large(self.plain, scratch, self.large)
        self.first = write_index(self.plain, packs)
        write_root(self.plain, Digest.of("xxh128", b"first"), [self.first])
        self.done: list[tuple[Digest, list[bytes]]] = [(Digest.of("xxh128", b"first"), self.small[:2])]
        self.gone = {XXH(self.small[2]), XXH(self.large)}

    def write(self, number: int) -> None:
        """A version that takes over the index of the first, and adds the edited file, without chunks that are there."""
        for _ in range(6):
            guard = begin_writing(self.backend, "xxh128")
            root = read_root(self.backend, REPO_ID, Digest.of("xxh128", b"first"))
            assert root is not None
            try:
                known = {
                    digest for digest, _ in ObjectIndex(self.backend, "xxh128", root.indexes).locations()
                }
                fresh = b"fresh %d " % number * 20
                packs = write_packs(self.backend, self.scratch, [fresh])
                packs += write_large(self.backend, self.scratch, self.edited, known=known)
                names = [*root.indexes, write_index(self.backend, packs)]
                digest = Digest.of("xxh128", b"version %d" % number)
                make = new_root(REPO_ID, digest, kind="folder", size=1, files=1, path=b"d", commit=None)
                publish_root(self.backend, "xxh128", make, names, guard)
            except (ConflictError, LookupError):
                continue
            self.done.append((digest, [*self.small[:2], fresh, self.edited]))
            return

    def purge(self) -> None:
        try:
            StorePurge(self.backend, "xxh128", self.gone, self.scratch, THREADS, repo_id=REPO_ID).run()
        except ConflictError:
            # Of two purges one may have to give up; then it is run again.
            return

    def check(self) -> None:
        for digest, objects in self.done:
            root = read_root(self.plain, REPO_ID, digest)
            assert root is not None and root.complete
            reader = open_reader(self.plain, *root.indexes)
            for content in objects:
                assert reader.read(XXH(content), limit=_LIMIT) == content


@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=pytest.mark.slow)], ids=["some", "many"])
def test_beside_writers_in_any_order_no_version_that_was_published_lacks_anything(first: int, scratch: Path):
    for seed in range(first, first + (15 if first == 0 else 600)):
        world = Beside(seed, scratch)
        for number in range(2):
            world.schedule.add(lambda number=number, world=world: world.write(number))
        for _ in range(2):
            world.schedule.add(world.purge)
        world.schedule.run(lambda: None)
        assert not world.schedule.failures, (seed, world.schedule.failures)
        try:
            world.check()
            StorePurge(world.plain, "xxh128", world.gone, scratch, THREADS, repo_id=REPO_ID).run()
            world.check()
        except (AssertionError, DatavcError) as error:
            raise AssertionError(f"seed {seed}") from error
        assert not holds(everything(world.plain), world.small[2])
