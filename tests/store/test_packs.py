"""Objects in, packs out, and back: what is written is what is read, once, and in packs that hold their limits."""

from __future__ import annotations

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import xxhash
from damage import damaged
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import XXH, contents, pack_file, write_packs

from datavc.backends.base import Backend
from datavc.backends.counting import CountingBackend
from datavc.backends.memory import MemoryBackend
from datavc.errors import DatavcError, DigestMismatch, IntegrityError, OutOfSpace, StoredFileNotFound
from datavc.formats import codec
from datavc.formats.pack import DATA, LIST, MAX_ENTRY_BYTES, MAX_PACK_ENTRIES, META, NONE, WHOLE, ZSTD
from datavc.store import layout, packwriter
from datavc.store.packreader import decode_entry, locations, open_pack, read_footer
from datavc.store.packstream import PackStream
from datavc.store.packwriter import PackWriter

_objects = st.lists(st.tuples(st.binary(max_size=300), st.booleans()), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_objects)
def test_every_entry_of_a_pack_comes_back_as_it_went_in(scratch: Path, objects: list[tuple[bytes, bool]]):
    writer = PackWriter(scratch, "xxh128", DATA)
    wanted = {}
    for raw, compressed in objects:
        if XXH(raw) not in wanted:
            packed = codec.compress(raw) if compressed else None
            assert writer.add(XXH(raw), raw, WHOLE, packed) == len(raw if packed is None else packed)
            wanted[XXH(raw)] = raw
    assert len(writer) == len(wanted)
    pack = writer.seal()
    data = pack.path.read_bytes()
    pack.path.unlink()

    assert (pack.size, pack.name) == (len(data), xxhash.xxh3_128_digest(data))
    footer = open_pack(pack.name, data)
    assert footer == pack.footer
    rows = list(locations(pack.name, footer))
    assert [digest for digest, _ in rows] == list(wanted)
    for digest, place in rows:
        entry = decode_entry("xxh128", digest, place, data[place[1] : place[1] + place[2]])
        assert (entry.raw, entry.form) == (wanted[digest], WHOLE)
        assert (entry.packed is None) == (place[4] >> 1 == NONE)


def test_large_entries_and_views_are_written_in_their_order(scratch: Path):
    large, small = b"l" * 200_000, b"small"
    writer = PackWriter(scratch, "xxh128", META)
    for raw in (small, memoryview(large), b"last"):
        writer.add(XXH(raw), raw, WHOLE)
    pack = writer.seal()

    assert small + large + b"last" in pack.path.read_bytes()


def test_an_abandoned_writer_leaves_no_file(scratch: Path):
    for sealed in (False, True):
        writer = PackWriter(scratch, "xxh128", DATA)
        writer.add(XXH(b"x"), b"x", WHOLE)
        if sealed:
            writer.seal()
        writer.abandon()

        assert list(scratch.iterdir()) == []


def test_an_entry_that_no_reader_takes_is_refused_when_the_pack_is_sealed(backend: Backend, scratch: Path):
    stream = PackStream(backend, scratch, "xxh128", DATA, published=pytest.fail)
    raw = b"x" * (MAX_ENTRY_BYTES + 1)
    stream.add(XXH(raw), raw)

    with pytest.raises(IntegrityError, match="entry of more than"):
        stream.close()
    stream.abandon()

    assert list(scratch.iterdir()) == []
    assert list(backend.list("packs/")) == []


def test_a_pack_is_in_the_store_before_anybody_hears_of_it(backend: Backend, scratch: Path):
    heard = []
    stream = PackStream(
        backend,
        scratch,
        "xxh128",
        DATA,
        published=lambda pack: heard.append(backend.head(pack_file(pack)).size == pack.size),
        limit=300,
    )
    for raw in contents(100):
        stream.add(XXH(raw), raw)
    stream.close()

    assert len(heard) > 3
    assert all(heard)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("limit", [100, 1000, 4096])
def test_packs_stay_below_the_limit_but_for_a_single_longer_entry(
    backend: Backend, scratch: Path, limit: int
):
    packs = write_packs(backend, scratch, [*contents(50), b"longer than any limit " * 1000], limit=limit)

    for pack in packs:
        assert 8 + sum(pack.footer.stored) <= limit or len(pack.footer.digests) == 1


def test_a_pack_has_at_most_65536_entries(scratch: Path):
    packs = write_packs(MemoryBackend(), scratch, (b"%d" % number for number in range(MAX_PACK_ENTRIES + 5)))

    assert [len(pack.footer.digests) for pack in packs] == [MAX_PACK_ENTRIES, 5]


def test_an_object_is_stored_once(backend: Backend, scratch: Path):
    packs = []
    stream = PackStream(backend, scratch, "xxh128", DATA, published=packs.append)

    assert not stream.holds(XXH(b"twice"))
    assert stream.add(XXH(b"twice"), b"twice") == 5
    assert stream.holds(XXH(b"twice"))
    assert stream.add(XXH(b"twice"), b"twice") == 0
    stream.close()
    assert stream.add(XXH(b"twice"), b"twice") == 0
    stream.close()

    assert len(packs) == 1


def test_the_same_objects_make_the_same_packs_whatever_publishes_them(backend: Backend, scratch: Path):
    objects = contents(300)
    alone = write_packs(MemoryBackend(), scratch, objects, limit=1000)
    packs = []
    with ThreadPoolExecutor(3) as threads:
        stream = PackStream(
            backend, scratch, "xxh128", DATA, published=packs.append, executor=threads, limit=1000
        )
        for raw in objects:
            stream.add(XXH(raw), raw)
        stream.close()

    assert [pack.name for pack in packs] == [pack.name for pack in alone]
    assert {file.name for file in backend.list("packs/")} == {pack_file(pack) for pack in alone}


class _Full(MemoryBackend):
    """Takes so many files, then none."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write_file(self, name: str, source: Path) -> bool:
        if self.room <= 0:
            raise OutOfSpace("no space is left in the test")
        self.room -= 1
        return super().write_file(name, source)


@pytest.mark.parametrize("threads", [0, 2])
def test_a_pack_that_could_not_be_published_is_an_error_and_nobody_hears_of_it(scratch: Path, threads: int):
    heard = []
    executor = ThreadPoolExecutor(threads) if threads else None
    stream = PackStream(
        _Full(2), scratch, "xxh128", DATA, published=heard.append, executor=executor, limit=100
    )

    def add_all() -> None:
        for raw in contents(100):
            stream.add(XXH(raw), raw)

    with pytest.raises(OutOfSpace):
        add_all()
    stream.abandon()
    if executor is not None:
        executor.shutdown()

    assert len(heard) <= 2


def test_abandoning_a_stream_keeps_what_was_published_and_drops_the_rest(backend: Backend, scratch: Path):
    packs = []
    stream = PackStream(backend, scratch, "xxh128", DATA, published=packs.append, limit=100)
    for raw in contents(11):
        stream.add(XXH(raw), raw)
    stream.abandon()
    stream.abandon()

    assert list(scratch.iterdir()) == []
    assert {file.name for file in backend.list("packs/")} == {pack_file(pack) for pack in packs}


def test_a_pack_that_a_full_disk_cut_off_is_never_published(
    backend: Backend, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    # The disk is full for one write, and has room again when an interrupted fetch keeps what it has verified.
    stream = PackStream(backend, scratch, "xxh128", DATA, published=lambda pack: None)
    stream.add(XXH(b"a"), b"a")
    with monkeypatch.context() as full:
        full.setattr(packwriter, "write_all", _full)
        with pytest.raises(OutOfSpace):
            stream.close()

    stream.close_at_once()

    assert list(backend.list("packs/")) == []
    assert list(scratch.iterdir()) == []


def test_what_a_disk_does_not_let_go_hides_no_error_that_came_first(
    backend: Backend, scratch: Path, monkeypatch: pytest.MonkeyPatch
):
    stream = PackStream(backend, scratch, "xxh128", DATA, published=lambda pack: None)
    stream.add(XXH(b"a"), b"a")
    monkeypatch.setattr(packwriter, "write_all", _full)
    monkeypatch.setattr(Path, "unlink", _stuck)

    with pytest.raises(OutOfSpace, match=r"no space is left where .*pack") as caught:
        stream.close()
    stream.abandon()

    assert "run the same command again" in (caught.value.hint or "")


def _stuck(path: Path, missing_ok: bool = False) -> None:
    raise OSError(errno.EIO, "stuck")


def _full(fd: int, data: bytes) -> None:
    raise OSError(errno.ENOSPC, "no room")


def test_a_footer_is_read_from_afar_in_three_small_reads(scratch: Path):
    backend = CountingBackend(MemoryBackend())
    (pack,) = write_packs(backend, scratch, contents(500, 4000))

    assert read_footer(backend, pack.name, pack.size) == pack.footer
    assert backend.requests["read"] == 3
    assert backend.read_bytes < pack.size / 10


def test_the_footer_of_a_pack_that_is_not_there_or_shorter_is_an_error(backend: Backend, scratch: Path):
    (pack,) = write_packs(backend, scratch, contents(50))

    for size in (0, 1, 23, 24, pack.size - 1, pack.size + 1, 1 << 40):
        with pytest.raises(DatavcError):
            read_footer(backend, pack.name, size)
    with pytest.raises(StoredFileNotFound):
        read_footer(backend, bytes(16), pack.size)


def test_a_pack_under_another_packs_name_is_not_taken_for_it(backend: Backend, scratch: Path):
    one, other = write_packs(backend, scratch, contents(12), limit=300)[:2]

    with pytest.raises(DigestMismatch, match=layout.sealed_name(one.name)):
        open_pack(one.name, backend.read(pack_file(other)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_pack_is_refused_whole_and_its_entries_one_by_one(scratch: Path, data: st.DataObject):
    backend = MemoryBackend()
    (pack,) = write_packs(backend, scratch, contents(5))
    sound = backend.read(pack_file(pack))
    bad = data.draw(damaged(sound))

    if bad != sound:
        with pytest.raises(DigestMismatch):
            open_pack(pack.name, bad)
    for digest, place in locations(pack.name, pack.footer):
        stored = bad[place[1] : place[1] + place[2]]
        try:
            assert XXH(decode_entry("xxh128", digest, place, stored).raw) == digest
        except IntegrityError:
            assert stored != sound[place[1] : place[1] + place[2]]


def test_an_entry_is_refused_by_what_its_row_says_of_it():
    raw = b"some bytes that compress, some bytes that compress, some bytes that compress"
    packed = codec.compress(raw)
    assert packed is not None
    name, digest = bytes(16), XXH(raw)

    for stored, place in (
        (raw, (name, 8, len(raw) + 1, len(raw), WHOLE)),
        (raw, (name, 8, len(raw), len(raw) + 1, WHOLE)),
        (raw, (name, 8, len(raw), len(raw), ZSTD << 1)),
        (raw, (name, 8, len(raw), len(raw), LIST)),
        (packed, (name, 8, len(packed), len(raw) - 1, ZSTD << 1)),
        (packed[:-1], (name, 8, len(packed) - 1, len(raw), ZSTD << 1)),
        (packed, (name, 8, len(packed), len(raw), LIST | ZSTD << 1)),
    ):
        with pytest.raises(IntegrityError):
            decode_entry("xxh128", digest, place, stored)
