"""Where objects lie: several pack indexes are one table, whose rows count only while their packs are there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import XXH, contents, index_of, open_reader, overwrite, pack_file, write_index, write_packs

from datavc.backends.base import Backend
from datavc.backends.counting import CountingBackend
from datavc.backends.memory import MemoryBackend
from datavc.errors import DatavcError, IntegrityError, MalformedError, StoredFileNotFound
from datavc.formats.packindex import FRAME_ROWS
from datavc.store import index as index_module
from datavc.store import layout
from datavc.store.index import IndexBuilder, ObjectIndex, merge_indexes
from datavc.store.packreader import locations

# What a few packs hold: numbers of objects, some in more than one pack; the packs are indexed in groups.
_groups = st.lists(
    st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8, unique=True), min_size=1, max_size=3),
    min_size=1,
    max_size=4,
)


def _write(backend: Backend, groups: list[list[list[int]]]):
    """The names of the indexes, and a plain model of them: for each, what it finds, the first pack that has it first."""
    names, models = [], []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as scratch:
        for group in groups:
            packs = [
                write_packs(backend, Path(scratch), [b"%d" % number for number in numbers])[0]
                for numbers in group
            ]
            names.append(write_index(backend, packs))
            model = {}
            for pack in packs:
                for digest, location in locations(pack.name, pack.footer):
                    model.setdefault(digest, location)
            models.append(model)
    return names, models


def _digests(groups) -> set[bytes]:
    return {XXH(b"%d" % number) for group in groups for numbers in group for number in numbers}


@settings(max_examples=40)
@given(_groups, st.sets(st.integers(0, 40)))
def test_indexes_together_are_a_dict_in_which_the_first_one_counts(groups, asked: set[int]):
    backend = MemoryBackend()
    names, models = _write(backend, groups)
    model = {digest: place for one in reversed(models) for digest, place in one.items()}
    index = ObjectIndex(backend, "xxh128", names)
    wanted = {XXH(b"%d" % number) for number in asked}

    assert index.find_many(wanted) == {digest: model[digest] for digest in wanted & model.keys()}
    assert {digest: index.find(digest) for digest in wanted} == {
        digest: model.get(digest) for digest in wanted
    }
    assert {digest for digest, _ in index.locations()} == _digests(groups)
    assert {location[0] for location in model.values()} <= index.packs().keys()
    assert index.missing_packs() == []


@settings(max_examples=40)
@given(_groups, st.data())
def test_a_row_counts_only_while_its_pack_is_there_in_its_length(groups, data: st.DataObject):
    backend = MemoryBackend()
    names, models = _write(backend, groups)
    packs = sorted({place[0] for model in models for place in model.values()})
    lost = set(data.draw(st.lists(st.sampled_from(packs), unique=True)))
    for pack in lost:
        path = layout.pack_path(pack)
        if data.draw(st.booleans()):
            backend.delete(path)
        else:
            backend.replace(path, backend.read(path)[:-1])
    # Of an index that has an object in several packs, only the first row is kept.
    model = {}
    for one in models:
        for digest, place in one.items():
            if place[0] not in lost:
                model.setdefault(digest, place)
    index = ObjectIndex(backend, "xxh128", names)

    assert index.find_many(_digests(groups)) == model
    assert {digest: index.find(digest) for digest in _digests(groups)} == {
        digest: model.get(digest) for digest in _digests(groups)
    }
    assert set(index.missing_packs()) == lost & set(index.packs())


@settings(max_examples=40)
@given(_groups, st.data())
def test_packs_that_are_dropped_are_looked_at_no_more(groups, data: st.DataObject):
    backend = MemoryBackend()
    names, models = _write(backend, groups)
    packs = sorted({place[0] for model in models for place in model.values()})
    dropped = set(data.draw(st.lists(st.sampled_from(packs), unique=True)))
    index = ObjectIndex(backend, "xxh128", names, look=False)
    index.drop(dropped)

    for digest in _digests(groups):
        place = index.find(digest)
        assert place is None or place[0] not in dropped
    assert all(place[0] not in dropped for place in index.find_many(_digests(groups)).values())


@settings(max_examples=40)
@given(_groups)
def test_a_merged_index_finds_what_its_parts_find_in_the_same_places(groups):
    backend = MemoryBackend()
    names, _ = _write(backend, groups)

    (merged,) = merge_indexes(backend, "xxh128", names)

    parts = ObjectIndex(backend, "xxh128", names)
    whole = ObjectIndex(backend, "xxh128", [merged])
    assert whole.find_many(_digests(groups)) == parts.find_many(_digests(groups))
    assert merge_indexes(backend, "xxh128", [merged]) == [merged]
    assert set(names) <= {file.name.removeprefix("indexes/") for file in backend.list("indexes/")}


@settings(max_examples=40)
@given(_groups, st.randoms(use_true_random=False))
def test_an_index_has_the_same_bytes_in_whatever_order_its_packs_came(groups, random):
    # Of an object in two packs the first row counts, so objects differ here.
    backend = MemoryBackend()
    numbered = [[[number * 100 + n for n in numbers] for numbers in groups[0]] for number in range(3)]
    with tempfile.TemporaryDirectory() as scratch:
        packs = [
            write_packs(backend, Path(scratch), [b"%d-%d" % (at, n) for n in numbers])[0]
            for group in numbered
            for at, numbers in enumerate(group)
        ]
    shuffled = packs.copy()
    random.shuffle(shuffled)

    assert write_index(backend, packs) == write_index(backend, shuffled)


def test_rows_found_elsewhere_are_indexed_beside_those_of_new_packs(backend: Backend, scratch: Path):
    old, new = (write_packs(backend, scratch, contents(10, first=first))[0] for first in (0, 5))
    builder = IndexBuilder("xxh128")
    builder.add_pack(new)
    for digest, place in locations(old.name, old.footer):
        builder.add(digest, place, old.size)
    assert len(builder) == 15
    assert XXH(contents(1)[0]) in builder
    (name,) = builder.publish(backend)

    assert len(builder) == 0
    index = ObjectIndex(backend, "xxh128", [name])
    found = index.find_many(map(XXH, contents(15)))
    assert [found[XXH(raw)][0] for raw in contents(15)] == [old.name] * 5 + [new.name] * 10
    assert index.packs() == {old.name: old.size, new.name: new.size}


def test_nothing_gathered_publishes_nothing(backend: Backend):
    assert IndexBuilder("xxh128").publish(backend) == []
    assert list(backend.list("indexes/")) == []


def test_more_rows_than_an_index_may_have_make_several(
    backend: Backend, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(index_module, "MAX_INDEX_ROWS", 40)
    packs = write_packs(backend, scratch, contents(100), limit=500)
    builder = IndexBuilder("xxh128")
    for pack in packs:
        builder.add_pack(pack)
    names = builder.publish(backend)

    assert len(names) == 3
    reader = open_reader(backend, *names)
    assert [reader.read(XXH(raw), limit=100) for raw in contents(100)] == contents(100)
    # Each names only the packs of its own rows.
    assert ObjectIndex(backend, "xxh128", names[:1]).packs().keys() <= {pack.name for pack in packs}


def test_a_large_index_is_looked_into_by_ranges(scratch: Path):
    backend = CountingBackend(MemoryBackend())
    objects = [b"%d" % number for number in range(20 * FRAME_ROWS)]
    name = write_index(backend, write_packs(backend, scratch, objects))
    size = backend.head(layout.index_path(name)).size
    backend.requests.clear()
    backend.read_bytes = 0

    index = ObjectIndex(backend, "xxh128", [name])
    assert index.find(XXH(objects[7])) is not None
    assert index.find(XXH(b"none")) is None

    assert backend.requests == {"head": 2, "read": 3}
    assert backend.read_bytes < 0.8 * size


def test_an_index_of_another_algorithm_finds_nothing_and_does_no_harm(backend: Backend, scratch: Path):
    packs = write_packs(backend, scratch, [b"x"], algorithm="sha256")
    other = write_index(backend, packs, "sha256")
    name = write_index(backend, write_packs(backend, scratch, [b"x"]))

    index = ObjectIndex(backend, "xxh128", [other, name])
    assert index.find(XXH(b"x")) is not None
    assert len(index.packs()) == 1
    assert open_reader(backend, other, name, algorithm="sha256").read(packs[0].footer.digests[0], limit=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_index_finds_what_is_true_or_is_an_error(scratch: Path, data: st.DataObject):
    backend = MemoryBackend()
    (pack,) = write_packs(backend, scratch, contents(50))
    name = write_index(backend, [pack])
    model = dict(locations(pack.name, pack.footer))
    sound = backend.read(layout.index_path(name))
    backend.replace(layout.index_path(name), data.draw(damaged(sound)))
    index = ObjectIndex(backend, "xxh128", [name])

    for ask in (lambda: index.find_many(model), lambda: dict(index.locations())):
        try:
            assert ask() == model
        except IntegrityError:
            pass


def test_an_index_that_is_lost_or_damaged_stays_an_error_however_often_it_is_asked(
    backend: Backend, scratch: Path
):
    (pack,) = write_packs(backend, scratch, contents(10))
    good = write_index(backend, [pack])
    path = layout.index_path(f"xxh128-{'ab' * 16}")
    absent = path.removeprefix("indexes/")

    for broken, expected in ((None, StoredFileNotFound), (b"no index at all", MalformedError)):
        if broken is not None:
            overwrite(backend, path, broken)
        index = ObjectIndex(backend, "xxh128", [good, absent])
        for _ in range(3):
            with pytest.raises(expected):
                index.find(XXH(b"something else"))
            with pytest.raises(expected):
                index.find_many([XXH(b"something else")])
            with pytest.raises(expected):
                index.missing_packs()


def test_a_failure_that_passes_leaves_an_index_as_good_as_new(scratch: Path):
    class Failing(MemoryBackend):
        failures = 1

        def read(self, name, start=0, length=None):
            if name == layout.index_path(second) and self.failures:
                self.failures -= 1
                raise MalformedError("a bad transfer")
            return super().read(name, start, length)

    backend, second = Failing(), ""
    first = write_index(backend, write_packs(backend, scratch, contents(5)))
    second = write_index(backend, write_packs(backend, scratch, contents(5, first=5)))
    index = ObjectIndex(backend, "xxh128", [first, second])

    with pytest.raises(MalformedError):
        index.find(XXH(contents(1, first=7)[0]))
    assert index.find(XXH(contents(1, first=7)[0])) is not None
    assert len(index.packs()) == 2


def test_two_indexes_swapped_on_disk_still_lead_to_their_objects(backend: Backend, scratch: Path):
    names = [
        write_index(backend, write_packs(backend, scratch, contents(5, first=first))) for first in (0, 5)
    ]
    one, other = (backend.read(layout.index_path(name)) for name in names)
    overwrite(backend, layout.index_path(names[0]), other)
    overwrite(backend, layout.index_path(names[1]), one)

    reader = open_reader(backend, *names)
    assert [reader.read(XXH(raw), limit=100) for raw in contents(10)] == contents(10)


def test_an_index_that_names_no_pack_of_the_store_finds_nothing(backend: Backend):
    encoded = index_of([(b"\1" * 16, 100)], [(XXH(b"x"), 0, 8, 1, 1, 0)])
    name = layout.sealed_name(XXH(encoded))
    backend.write(layout.index_path(name), encoded)
    index = ObjectIndex(backend, "xxh128", [name])

    assert index.find(XXH(b"x")) is None
    assert index.missing_packs() == [b"\1" * 16]
    with pytest.raises(DatavcError):
        open_reader(backend, name).read(XXH(b"x"), limit=1)


def test_whether_a_pack_is_there_is_asked_once(scratch: Path):
    backend = CountingBackend(MemoryBackend())
    packs = write_packs(backend, scratch, contents(40), limit=300)
    name = write_index(backend, packs)
    backend.requests.clear()
    index = ObjectIndex(backend, "xxh128", [name])
    for _ in range(2):
        for raw in contents(40):
            index.find(XXH(raw))
        index.find_many(map(XXH, contents(40)))

    assert backend.requests["head"] == len(packs) + 1
    believed = ObjectIndex(backend, "xxh128", [name], look=False)
    backend.delete(pack_file(packs[0]))
    backend.requests.clear()
    assert len(believed.find_many(map(XXH, contents(40)))) == 40
    assert backend.requests["head"] == 1


def test_only_packs_are_looked_at_in_which_something_was_found(scratch: Path):
    backend = CountingBackend(MemoryBackend())
    packs = write_packs(backend, scratch, contents(200), limit=300)
    index = ObjectIndex(backend, "xxh128", [write_index(backend, packs)])
    wanted = XXH(contents(200)[90])
    backend.requests.clear()

    assert len(packs) > 10
    assert set(index.find_many([wanted, XXH(b"nowhere")])) == {wanted}
    assert backend.requests["head"] == 2  # the index, and one pack


def test_an_index_without_rows_is_made_when_it_is_asked_for(backend: Backend):
    (name,) = IndexBuilder("xxh128").publish(backend, empty=True)
    index = ObjectIndex(backend, "xxh128", [name])

    assert index.find(XXH(b"x")) is None
    assert (index.packs(), index.missing_packs(), list(index.locations())) == ({}, [], [])
    assert merge_indexes(backend, "xxh128", [name, name]) == []
