"""Rewriting packs: what is kept is found by every root all the time, also when it is cut off; the rest is nowhere."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killing import Killed, Stopping
from schedules import Inline
from stored import REPO_ID, XXH, contents, open_reader, overwrite, write_index, write_packs, write_root

from datavc.backends.base import Backend
from datavc.backends.memory import MemoryBackend
from datavc.errors import IntegrityError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.pack import META
from datavc.store import layout
from datavc.store.census import packs_named, take_census
from datavc.store.garbage import find_garbage
from datavc.store.index import ObjectIndex
from datavc.store.repointing import Rewriting, reindex
from datavc.store.rewriting import begin_rewriting, repoint_roots, rewrite_packs
from datavc.store.roots import read_root

THREADS: Executor = Inline()


class Store:
    """Three versions: two that share a pack, one with two indexes; a pack that no index names."""

    def __init__(self, backend: Backend, scratch: Path) -> None:
        self.backend = backend
        one, two, three, four, alone = (contents(4, first=10 * number) for number in range(5))
        packs = [write_packs(backend, scratch, objects)[0] for objects in (one, two, three)]
        trees = write_packs(backend, scratch, four, content=META)[0]
        write_packs(backend, scratch, alone)
        indexes = [
            write_index(backend, group) for group in ([packs[0], packs[1]], [packs[1], trees], [packs[2]])
        ]
        self.versions = {
            self._root(b"a", indexes[:1]): one + two,
            self._root(b"b", indexes[1:2]): two + four,
            self._root(b"c", [indexes[0], indexes[2]]): one + two + three,
        }
        self.alone = alone
        self.dropped = {XXH(raw) for raw in (one[1], two[0], two[3], three[2], four[2], alone[1])}

    def _root(self, name: bytes, indexes: list[str]) -> Digest:
        digest = Digest.of("xxh128", name)
        write_root(self.backend, digest, indexes)
        return digest

    def rewrite(self, backend: Backend, scratch: Path, *, go: bool = False) -> Rewriting:
        """All three steps; without ``go`` nothing is deleted."""
        guard = begin_rewriting(backend)
        census = take_census(backend, THREADS)
        done = rewrite_packs(
            backend, scratch, census.packs, census.named, lambda digest: digest not in self.dropped
        )
        repoint_roots(backend, done, THREADS, guard)
        if go:
            for name in done.indexes:
                backend.delete(layout.index_path(name))
            for pack in done.packs:
                backend.delete(layout.pack_path(pack))
        return done

    def assert_readable(self) -> None:
        """Every root finds what it always found, but for what was to be dropped."""
        for digest, objects in self.versions.items():
            root = read_root(self.backend, REPO_ID, digest)
            assert root is not None and root.complete
            reader = open_reader(self.backend, *root.indexes)
            for raw in objects:
                if XXH(raw) not in self.dropped:
                    assert reader.read(XXH(raw), limit=1 << 20) == raw

    def assert_dropped(self) -> None:
        names = [file.name.removeprefix(layout.INDEXES) for file in self.backend.list(layout.INDEXES)]
        for digest in self.dropped:
            with pytest.raises(ObjectNotFound):
                open_reader(self.backend, *names).read(digest, limit=1 << 20)
        stored = b"".join(self.backend.read(file.name) for file in self.backend.list(layout.PACKS))
        for raw in (raw for objects in (*self.versions.values(), self.alone) for raw in objects):
            assert (raw in stored) is (XXH(raw) not in self.dropped)


def test_what_is_kept_is_found_and_what_is_not_is_nowhere(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    store.rewrite(backend, scratch, go=True)
    backend.close()

    store.assert_readable()
    store.assert_dropped()
    assert open_reader(
        backend, *[file.name.removeprefix(layout.INDEXES) for file in backend.list(layout.INDEXES)]
    ).read(XXH(store.alone[0]), limit=1 << 20)


def test_until_something_is_deleted_the_old_indexes_find_everything(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    before = {digest: read_root(backend, REPO_ID, digest) for digest in store.versions}
    done = store.rewrite(backend, scratch)

    store.assert_readable()
    for digest, objects in store.versions.items():
        old, new = before[digest], read_root(backend, REPO_ID, digest)
        assert old is not None and new is not None and new.nonce != old.nonce
        assert new == replace(old, indexes=new.indexes, nonce=new.nonce)
        assert new.indexes == tuple(done.indexes[name] for name in old.indexes)
        reader = open_reader(backend, *old.indexes)
        assert [reader.read(XXH(raw), limit=1 << 20) for raw in objects] == objects


def test_killed_at_any_change_it_loses_nothing_and_the_next_run_finishes(scratch: Path):
    limit = 0
    while True:
        memory = MemoryBackend()
        store = Store(memory, scratch)
        try:
            store.rewrite(Stopping(memory, limit), scratch, go=True)
        except Killed:
            store.assert_readable()
            take_census(memory, THREADS)
        else:
            break
        finally:
            limit += 1
        store.rewrite(memory, scratch, go=True)
        store.assert_readable()
        store.assert_dropped()
    assert limit > 12


def test_a_second_run_writes_the_same_names(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    census = take_census(backend, THREADS)
    first, second = (
        rewrite_packs(
            backend, scratch, census.packs, census.named, lambda digest: digest not in store.dropped
        )
        for _ in range(2)
    )
    assert first == second


def test_gc_dooms_what_was_replaced_and_nothing_else(backend: Backend, scratch: Path):
    store = Store(backend, scratch)
    done = store.rewrite(backend, scratch)
    census = take_census(backend, THREADS)
    garbage = find_garbage(census, census.roots, [], lambda roots: set())

    assert set(garbage.indexes) == done.indexes.keys() | set(done.added)
    (orphan,) = {pack for name in done.added for pack in census.named[name]} & garbage.packs.keys() or {None}
    assert garbage.packs.keys() - {orphan} == done.packs.keys()


def test_packs_of_which_all_is_kept_may_stay_as_they_are(backend: Backend, scratch: Path):
    (pack,) = write_packs(backend, scratch, contents(3))
    name = write_index(backend, [pack])
    done = rewrite_packs(backend, scratch, {pack.name: pack.size}, {name: [pack.name]}, lambda digest: True)

    assert done == Rewriting()
    assert open_reader(backend, name).read(XXH(contents(3)[0]), limit=100)


def test_an_index_of_which_nothing_is_kept_has_an_empty_one_in_its_place(backend: Backend, scratch: Path):
    (pack,) = write_packs(backend, scratch, contents(3))
    name = write_index(backend, [pack])
    done = rewrite_packs(backend, scratch, {pack.name: pack.size}, {name: [pack.name]}, lambda digest: False)

    assert done.packs == {pack.name: pack.size}
    assert packs_named(backend, [done.indexes[name]], THREADS) == {done.indexes[name]: {}}


def test_an_index_that_came_later_is_rewritten_too(backend: Backend, scratch: Path):
    """Beside somebody who adds: its index names objects that it found in packs which are rewritten meanwhile."""
    objects, others = contents(3), contents(2, first=10)
    (pack,) = write_packs(backend, scratch, objects)
    (other,) = write_packs(backend, scratch, others)
    first = write_index(backend, [pack])
    dropped = XXH(objects[1])
    done = rewrite_packs(
        backend, scratch, {pack.name: pack.size}, {first: [pack.name]}, lambda digest: digest != dropped
    )
    later = write_index(backend, [pack, other])
    fresh = write_index(backend, [other])

    new = reindex(backend, later, done)
    assert reindex(backend, first, done) == done.indexes[first]
    assert reindex(backend, fresh, done) == fresh
    backend.delete(layout.pack_path(pack.name))
    backend.close()
    index = ObjectIndex(backend, "xxh128", [new])
    assert {digest for digest, _ in index.locations()} == {
        XXH(raw) for raw in (objects[0], objects[2], *others)
    }
    assert not index.missing_packs()
    assert open_reader(backend, new).read(XXH(objects[2]), limit=100) == objects[2]


def test_a_damaged_pack_is_not_rewritten(backend: Backend, scratch: Path):
    (pack,) = write_packs(backend, scratch, contents(3))
    name, path = write_index(backend, [pack]), layout.pack_path(pack.name)
    data = bytearray(backend.read(path))
    data[12] ^= 1
    overwrite(backend, path, bytes(data))

    with pytest.raises(IntegrityError, match="cannot be rewritten"):
        rewrite_packs(backend, scratch, {pack.name: pack.size}, {name: [pack.name]}, lambda digest: True)
    assert not list(scratch.iterdir())


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.integers(0, 15), min_size=1, max_size=6, unique=True), min_size=1, max_size=5),
    st.sets(st.integers(0, 15)),
    st.data(),
)
def test_whatever_lies_where_exactly_the_kept_rows_are_left(
    tmp_path_factory: pytest.TempPathFactory, packed: list[list[int]], kept: set[int], data: st.DataObject
):
    backend, scratch = MemoryBackend(), tmp_path_factory.mktemp("scratch")
    packs = [write_packs(backend, scratch, [b"%d" % number for number in numbers])[0] for numbers in packed]
    groups = data.draw(
        st.lists(st.lists(st.sampled_from(packs), min_size=1, max_size=3), min_size=1, max_size=3)
    )
    names = {write_index(backend, group): [pack.name for pack in group] for group in groups}
    chosen = data.draw(st.lists(st.sampled_from(packs), min_size=1))
    keep = {XXH(b"%d" % number) for number in kept}
    done = rewrite_packs(
        backend, scratch, {pack.name: pack.size for pack in chosen}, names, keep.__contains__
    )

    for name in names:
        old = dict(ObjectIndex(backend, "xxh128", [name]).locations())
        new = ObjectIndex(backend, "xxh128", done.names([name]))
        expected = {digest for digest, row in old.items() if digest in keep or row[0] not in done.packs}
        assert {digest for digest, _ in new.locations()} == expected
        assert done.packs.keys().isdisjoint(new.packs())
        reader = open_reader(backend, *done.names([name]))
        assert all(XXH(reader.read(digest, limit=100)) == digest for digest in expected)
