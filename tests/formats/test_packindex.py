"""The pack index: every row is found, few bytes are read for it, and readers refuse what contradicts itself."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import tracemalloc
from pathlib import Path

import pytest
import xxhash
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st
from stored import index_of

from datavc.errors import DatavcError, MalformedError, StorageError, UnsupportedFormat
from datavc.formats import codec, packindex
from datavc.formats.digest import ALGORITHMS
from datavc.formats.pack import MAX_ENTRY_BYTES, MAX_PACK_BYTES
from datavc.formats.packindex import (
    FRAME_ROWS,
    MAX_INDEX_ROWS,
    IndexColumns,
    PackIndexReader,
    encode_pack_index,
)

GOLDEN = Path(__file__).parents[1] / "golden"
PACKS = [(bytes([number]) * 16, 1_000_000 + number) for number in range(1, 4)]


def digest_of(number, length=16):
    return hashlib.sha256(b"%d" % number).digest()[:length]


def rows_of(count, length=16):
    """So many rows in the order of their digests, spread over PACKS."""
    digests = sorted(digest_of(number, length) for number in range(count))
    return [
        (digest, number % len(PACKS), 8 + number % 1000, 100, 100 + number % 2, number % 4)
        for number, digest in enumerate(digests)
    ]


class Stored:
    """An index as a backend has it, which counts the ranges that were asked for."""

    def __init__(self, data):
        self.data = data
        self.ranges = []

    def read(self, start, length):
        self.ranges.append((start, length))
        return self.data[start : start + length]

    def open(self):
        return PackIndexReader(self.read, len(self.data))


def located(reader, digests):
    """The rows found, digest first, with the ordinals of their packs."""
    return reader.locate_many(digests, range(len(reader.packs)))


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
@pytest.mark.parametrize("count", [3, 4, FRAME_ROWS, FRAME_ROWS + 1, 3 * FRAME_ROWS - 1])
def test_every_row_is_found(count, algorithm):
    length = ALGORITHMS[algorithm].length
    rows = rows_of(count, length)
    reader = Stored(index_of(PACKS, rows, algorithm)).open()

    assert (reader.algorithm, reader.packs, reader.row_count) == (algorithm, PACKS, count)
    assert list(reader.rows()) == rows
    assert [reader.find(row[0]) for row in rows] == rows
    assert located(reader, [row[0] for row in rows]) == {row[0]: row[1:] for row in rows}
    for absent in (bytes(length), b"\xff" * length, digest_of(-1, length)):
        assert reader.find(absent) is None


@pytest.mark.parametrize("share", [1, 2, 5, 50, 5000])
def test_few_and_many_are_found_alike(share):
    rows = rows_of(10_000)
    by_digest = {row[0]: row[1:] for row in rows}
    wanted = [digest_of(number) for number in range(0, 20_000, share)]

    found = located(Stored(index_of(PACKS, rows)).open(), iter(wanted))

    assert found == {digest: by_digest[digest] for digest in wanted if digest in by_digest}


def test_an_index_of_nothing_finds_nothing():
    reader = Stored(index_of([], [])).open()

    assert reader.find(bytes(16)) is None
    assert located(reader, [bytes(16)]) == {}
    assert list(reader.rows()) == []


def test_digests_that_start_alike_are_told_apart():
    digests = sorted(bytes(8) + bytes([number]) * 8 for number in range(100))
    rows = [(digest, 0, 8 + number, 5, 5, 0) for number, digest in enumerate(digests)]
    reader = Stored(index_of(PACKS[:1], rows)).open()

    assert [reader.find(digest) for digest in digests] == rows
    assert reader.find(bytes(8) + b"\xf0" * 8) is None


def test_a_small_index_is_one_read():
    stored = Stored(index_of(PACKS, rows_of(1000)))
    reader = stored.open()

    assert len(located(reader, (digest_of(number) for number in range(1000)))) == 1000
    assert stored.ranges == [(0, len(stored.data))]


def test_a_look_up_in_a_large_index_reads_the_head_and_one_frame_once():
    rows = rows_of(40 * FRAME_ROWS)
    stored = Stored(index_of(PACKS, rows))
    reader = stored.open()

    for row in rows[-3:]:
        assert reader.find(row[0]) == row

    assert len(stored.ranges) == 2
    assert sum(length for _, length in stored.ranges) < len(stored.data) / 3


def test_a_head_longer_than_the_first_read_is_read_whole(monkeypatch):
    monkeypatch.setattr(packindex, "_FIRST_READ_BYTES", 40)
    rows = rows_of(FRAME_ROWS + 1)
    stored = Stored(index_of(PACKS, rows))

    assert list(stored.open().rows()) == rows
    assert len(stored.ranges) == 4


def test_an_error_of_the_backend_passes_through():
    def read(start, length):
        raise StorageError("the bucket is away")

    with pytest.raises(StorageError, match="away"):
        PackIndexReader(read, 1000)


def test_a_short_read_is_refused():
    data = index_of(PACKS, rows_of(10))

    with pytest.raises(MalformedError, match="ends after 10 bytes"):
        PackIndexReader(lambda start, length: data[start : start + 10], len(data))


@pytest.mark.parametrize("number", [0, 1])
def test_the_golden_pack_indexes_are_readable_for_ever(number):
    golden = bytes.fromhex((GOLDEN / f"packindex-format{number}-xxh128.hex").read_text())
    reader = Stored(golden).open()

    assert reader.algorithm == "xxh128"
    assert reader.packs == PACKS
    assert list(reader.rows()) == rows_of(5)


@pytest.mark.parametrize(
    ("packs", "rows", "says"),
    [
        (PACKS, rows_of(3)[::-1], "not sorted"),
        (PACKS[:1], [rows_of(1)[0]] * 2, "twice"),
        (PACKS, rows_of(2), "2 rows for 3 packs"),
        (PACKS[:1], rows_of(3), "no pack can hold"),
        (PACKS[:1], [(bytes(15), 0, 8, 5, 5, 0)], "not 16 bytes"),
        (PACKS[:1], [(bytes(16), 0, 8, 5, 5, 4)], "form or codec"),
        (PACKS[:1], [(bytes(16), 0, MAX_PACK_BYTES + 1, 5, 5, 0)], "no pack can hold"),
        (PACKS[:1], [(bytes(16), 0, 8, 5, MAX_ENTRY_BYTES + 1, 0)], "no pack can hold"),
        (PACKS[:1], [(bytes(16), 0, 8, 5, 5, 256)], "out of range"),
        (PACKS[:1], [(bytes(16), 0, -1, 5, 5, 0)], "out of range"),
        (PACKS[:1], [(bytes(16), 0, 2**32, 5, 5, 0)], "out of range"),
        ([(bytes(15), 5)], rows_of(1), "no store"),
        ([(bytes(16), MAX_PACK_BYTES + 1)], rows_of(1), "no store"),
        ([(bytes(16), -1)], rows_of(1), "no store"),
    ],
)
def test_no_such_index_is_written(packs, rows, says):
    with pytest.raises(MalformedError, match=says):
        index_of(packs, rows)


def test_an_index_of_too_many_rows_is_not_written():
    column = range(MAX_INDEX_ROWS + 1)
    with pytest.raises(MalformedError, match="1,048,577 rows"):
        encode_pack_index("xxh128", PACKS, IndexColumns(*[column] * 6))


def test_rows_out_of_order_across_frames_are_not_written():
    rows = rows_of(FRAME_ROWS + 1)
    with pytest.raises(MalformedError, match="not sorted"):
        index_of(PACKS, rows[:FRAME_ROWS] + rows[FRAME_ROWS - 1 : FRAME_ROWS])


def careless(rows, packs=PACKS, *, counts=None, fence=None, lengths=None, columns=None):
    """A pack index of one frame, by a writer that checks nothing; each part may be given as it should not be."""
    if columns is None:
        digests, *numbers, flags = zip(*rows, strict=True)
        columns = b"".join(
            [*digests, *(struct.pack(f"<{len(rows)}I", *column) for column in numbers), bytes(flags)]
        )
    frame = codec.encode_frame(columns)
    counts = (len(packs), len(rows), FRAME_ROWS) if counts is None else counts
    head = codec.encode_frame(
        struct.pack("<3I", *counts)
        + b"".join(name for name, _ in packs)
        + struct.pack(f"<{len(packs)}I", *(size for _, size in packs))
        + (rows[0][0] if fence is None else fence)
        + struct.pack("<I", len(frame) if lengths is None else lengths)
    )
    return b"".join(
        [b"dvIX\0\1\0\0", struct.pack("<I", len(head)), xxhash.xxh3_128_digest(head), head, frame]
    )


def test_a_careful_and_a_careless_writer_agree_on_what_is_valid():
    assert list(Stored(careless(rows_of(5))).open().rows()) == rows_of(5)


@pytest.mark.parametrize(
    "index",
    [
        careless(rows_of(5), counts=(3, 5, 255)),
        careless(rows_of(5), counts=(3, 5, 4097)),
        careless(rows_of(5), counts=(3, 5, 0)),
        careless(rows_of(5), counts=(3, 4, FRAME_ROWS)),
        careless(rows_of(5), counts=(3, 2**32 - 1, FRAME_ROWS)),
        careless(rows_of(5), counts=(2**32 - 1, 5, FRAME_ROWS)),
        careless(rows_of(5), counts=(2, 5, FRAME_ROWS)),
        careless(rows_of(2)),
        careless(rows_of(5), fence=bytes(16)),
        careless(rows_of(5), lengths=1),
        careless(rows_of(5), lengths=2**32 - 1),
        careless(rows_of(5), packs=[*PACKS[:2], (bytes(16), MAX_PACK_BYTES + 1)]),
        careless(rows_of(5), columns=b""),
        careless(rows_of(5)[::-1]),
        careless([*rows_of(5)[:4], (b"\xff" * 16, 3, 8, 5, 5, 0)]),
        careless([*rows_of(5)[:4], (b"\xff" * 16, 0, MAX_PACK_BYTES + 1, 5, 5, 0)]),
        careless([*rows_of(5)[:4], (b"\xff" * 16, 0, 8, MAX_ENTRY_BYTES + 1, 5, 0)]),
        careless([*rows_of(5)[:4], (b"\xff" * 16, 0, 8, 5, MAX_ENTRY_BYTES + 1, 0)]),
        careless([*rows_of(5)[:4], (b"\xff" * 16, 0, 8, 5, 5, 4)]),
        careless(rows_of(5)) + b"\0",
        careless(rows_of(5))[:-1],
        b"",
        b"dvIX\0\1\0\0",
    ],
)
def test_readers_refuse(index):
    with pytest.raises(MalformedError):
        list(Stored(index).open().rows())


def test_later_formats_are_refused_by_name():
    with pytest.raises(UnsupportedFormat, match="pack index has format 2"):
        Stored(b"dvIX\2" + careless(rows_of(5))[5:]).open()


def use(data):
    """All that a reader can be asked for."""
    reader = Stored(data).open()
    rows = list(reader.rows())
    assert len(rows) == reader.row_count
    assert all(row[1] < len(reader.packs) and row[4] <= MAX_ENTRY_BYTES for row in rows)
    reader.find(bytes(16))
    located(reader, [digest_of(1)])


@given(st.binary(max_size=200))
def test_any_bytes_give_an_index_or_an_error_of_datavc(data):
    for index in (data, b"dvIX\0\1\0\0" + data):
        with contextlib.suppress(DatavcError):
            use(index)


@given(damaged(index_of(PACKS, rows_of(20))))
def test_a_damaged_index_is_noticed(data):
    with contextlib.suppress(DatavcError):
        use(data)
        assert list(Stored(data).open().rows()) == rows_of(20)


@given(st.data())
def test_an_index_that_was_sealed_with_nonsense_in_it_is_refused_or_makes_sense(data):
    head = struct.pack("<3I", 1, 2, FRAME_ROWS) + bytes(16) + struct.pack("<I", 1000) + bytes(16)
    rows = b"".join([bytes(16), bytes([1]) * 16, struct.pack("<8I", 0, 0, 8, 20, 5, 5, 5, 5), bytes(2)])
    frame = codec.encode_frame(data.draw(damaged(rows)))
    packed = codec.encode_frame(data.draw(damaged(head + struct.pack("<I", len(frame)))))
    sealed = struct.pack("<I", len(packed)) + xxhash.xxh3_128_digest(packed)

    with contextlib.suppress(DatavcError):
        use(b"dvIX\0\1\0\0" + sealed + packed + frame)


@pytest.mark.parametrize(
    "content", [bytes(256 << 20), struct.pack("<3I", 2**20, 2**20, 4096) + bytes(21 << 20)]
)
def test_a_head_that_is_a_bomb_is_not_unpacked(content):
    head = codec.encode_frame(content)
    index = b"dvIX\0\1\0\0" + struct.pack("<I", len(head)) + xxhash.xxh3_128_digest(head) + head

    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            Stored(index).open()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50 << 20
