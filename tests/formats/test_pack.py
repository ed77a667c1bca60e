"""The pack: round trips of its footer, what readers refuse, and a whole pack of format 0 that must stay readable."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
from array import array
from itertools import pairwise
from pathlib import Path

import pytest
import xxhash
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat
from datavc.formats import codec
from datavc.formats.digest import ALGORITHMS, hash_function
from datavc.formats.pack import (
    DATA,
    LIST,
    MAX_ENTRY_BYTES,
    MAX_PACK_BYTES,
    MAX_PACK_ENTRIES,
    META,
    NONE,
    TAIL_BYTES,
    WHOLE,
    ZSTD,
    PackFooter,
    decode_pack_footer,
    decode_pack_header,
    decode_pack_tail,
    encode_pack_footer,
    encode_pack_header,
    format_number,
)

GOLDEN = Path(__file__).parents[1] / "golden"


def footer_of(*entries, algorithm="xxh128", content=DATA):
    """The footer for rows (form, codec, stored, raw); each digest is made of its row's number."""
    length = ALGORITHMS[algorithm].length
    forms, codecs, stored, raw = zip(*entries, strict=True) if entries else ((), (), (), ())
    digests = [number.to_bytes(length, "big") for number in range(len(entries))]
    return PackFooter(
        algorithm, content, digests, bytes(forms), bytes(codecs), array("I", stored), array("I", raw)
    )


def read_ending(ending, footer, *, header=None, offset=None):
    """What a reader makes of ``ending`` at the place where the entries of ``footer`` end."""
    size = 8 + sum(footer.stored) + len(ending)
    start, length, footer_xxh = decode_pack_tail(ending[-TAIL_BYTES:], size)
    frame = ending[:length]
    header = encode_pack_header(footer.algorithm, footer.content) if header is None else header
    return decode_pack_footer(header, frame, footer_xxh, start if offset is None else offset)


ROWS = ((WHOLE, NONE, 100, 100), (WHOLE, ZSTD, 50, MAX_ENTRY_BYTES), (LIST, NONE, 0, 0), (LIST, ZSTD, 7, 8))


@st.composite
def footers(draw):
    entries = []
    for _ in range(draw(st.integers(0, 12))):
        raw = draw(st.integers(0, MAX_ENTRY_BYTES))
        number = draw(st.sampled_from([NONE, ZSTD]))
        stored = raw if number == NONE else draw(st.integers(0, raw))
        entries.append((draw(st.sampled_from([WHOLE, LIST])), number, stored, raw))
    algorithm = draw(st.sampled_from(sorted(ALGORITHMS)))
    return footer_of(*entries, algorithm=algorithm, content=draw(st.sampled_from([DATA, META])))


@given(footers())
def test_what_is_written_reads_back(footer):
    assert read_ending(encode_pack_footer(footer), footer) == footer


def test_entries_lie_back_to_back_behind_the_header():
    assert list(footer_of(*ROWS).offsets()) == [8, 108, 158, 158, 165]


@pytest.mark.parametrize(
    ("number", "name"), [(0, "29be784ce82a9bae377732181e714c71"), (1, "2fdbe12eb2ba3645280e8ad8d957ca65")]
)
def test_the_golden_packs_are_readable_for_ever(number, name):
    pack = bytes.fromhex((GOLDEN / f"pack-format{number}-data.hex").read_text())
    assert xxhash.xxh3_128_hexdigest(pack) == name
    assert format_number(pack[:8]) == number

    start, length, footer_xxh = decode_pack_tail(pack[-24:], len(pack))
    footer = decode_pack_footer(pack[:8], pack[start : start + length], footer_xxh, start)

    assert (footer.algorithm, footer.content) == ("xxh128", DATA)
    assert (footer.forms, footer.codecs) == (bytes([WHOLE, WHOLE, WHOLE]), bytes([NONE, ZSTD, NONE]))
    contents = []
    for (begin, end), number, raw in zip(pairwise(footer.offsets()), footer.codecs, footer.raw, strict=True):
        stored = pack[begin:end]
        contents.append(codec.decompress(stored, raw) if number == ZSTD else stored)
    assert contents == [b"hello, pack\n", b"again and " * 40, b""]
    assert list(map(hash_function("xxh128"), contents)) == footer.digests


@given(st.binary(max_size=64), st.integers(0, 2**32))
def test_any_bytes_give_a_tail_or_an_error_of_datavc(tail, size):
    for ending in (tail, tail[:20].ljust(20, b"\0") + b"dvPE"):
        try:
            start, length, footer_xxh = decode_pack_tail(ending, size)
        except DatavcError:
            continue
        assert start + length + TAIL_BYTES == size
        assert (start >= 8, len(footer_xxh)) == (True, 16)


@given(st.binary(max_size=100))
def test_any_bytes_give_a_footer_or_an_error_of_datavc(columns):
    for content in (columns, struct.pack("<I", len(columns) // 26) + columns):
        frame = codec.encode_frame(content)
        with contextlib.suppress(DatavcError):
            footer = decode_pack_footer(b"dvPK\0\1\0\0", frame, xxhash.xxh3_128_digest(frame), 8)
            assert sum(footer.stored) == 0


@given(damaged(encode_pack_footer(footer_of(*ROWS))))
def test_a_damaged_ending_is_noticed(ending):
    footer = footer_of(*ROWS)
    with contextlib.suppress(DatavcError):
        assert read_ending(ending, footer) == footer


@given(
    damaged(
        b"".join([struct.pack("<I", 2), bytes(16), bytes([1]) * 16, bytes(4), struct.pack("<4I", 3, 4, 3, 4)])
    )
)
def test_a_footer_that_was_sealed_with_nonsense_in_it_is_refused_or_makes_sense(columns):
    frame = codec.encode_frame(columns, hashed=False)
    try:
        footer = decode_pack_footer(b"dvPK\0\1\0\0", frame, xxhash.xxh3_128_digest(frame), 15)
    except DatavcError:
        return
    assert sum(footer.stored) == 7
    assert len(footer.digests) == len(footer.raw) == len(footer.forms) == len(footer.codecs)


@pytest.mark.parametrize(
    "size",
    [0, 31, 32, MAX_PACK_BYTES + 1, 2**63],
    ids=["none", "too small", "no footer", "too large", "absurd"],
)
def test_a_pack_of_such_a_size_is_refused(size):
    with pytest.raises(MalformedError):
        decode_pack_tail(struct.pack("<I16s4s", 0, bytes(16), b"dvPE"), size)


def test_a_pack_that_was_cut_off_or_overwritten_is_refused():
    with pytest.raises(MalformedError, match="does not end as one"):
        decode_pack_tail(bytes(24), 1000)
    with pytest.raises(MalformedError, match="no room for a footer of 4,294,967,295"):
        decode_pack_tail(struct.pack("<I16s4s", 2**32 - 1, bytes(16), b"dvPE"), 1000)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((2, NONE, 5, 5), "form or codec"),
        ((WHOLE, 2, 5, 5), "form or codec"),
        ((WHOLE, NONE, 5, 6), "another length"),
        ((WHOLE, NONE, 6, 5), "another length"),
        ((WHOLE, ZSTD, 6, 5), "another length"),
        ((WHOLE, NONE, MAX_ENTRY_BYTES + 1, MAX_ENTRY_BYTES + 1), "more than 1,048,576"),
        ((WHOLE, ZSTD, 5, 2**32 - 1), "more than 1,048,576"),
    ],
)
def test_no_such_entry_is_written_or_read(row, says):
    footer = footer_of(ROWS[0], row)
    with pytest.raises(MalformedError, match=says):
        encode_pack_footer(footer)

    form, number, stored, raw = row
    columns = struct.pack(
        "<I16s16sBBBB4I", 2, bytes(16), b"x" * 16, 0, form, 0, number, 100, stored, 100, raw
    )
    frame = codec.encode_frame(columns)
    with pytest.raises(MalformedError, match=says):
        decode_pack_footer(b"dvPK\0\1\0\0", frame, xxhash.xxh3_128_digest(frame), 108 + stored)


def test_a_footer_for_other_bytes_than_those_before_it_is_refused():
    footer = footer_of(*ROWS)
    ending = encode_pack_footer(footer)

    with pytest.raises(MalformedError, match="add up"):
        read_ending(ending, footer, offset=164)
    with pytest.raises(MalformedError, match="cannot have 4 entries"):
        read_ending(ending, footer, header=encode_pack_header("sha256", DATA))


def test_a_footer_whose_frame_changed_is_refused():
    footer = footer_of(*ROWS)
    ending = encode_pack_footer(footer)

    with pytest.raises(MalformedError, match="does not have the xxh128"):
        read_ending(bytes([ending[0] ^ 1]) + ending[1:], footer)


def test_an_object_is_never_written_twice_but_read_where_it_is():
    footer = footer_of(ROWS[0], ROWS[0])
    footer.digests[1] = footer.digests[0]
    with pytest.raises(MalformedError, match="twice"):
        encode_pack_footer(footer)

    columns = struct.pack("<I16s16s4x4I", 2, bytes(16), bytes(16), 100, 100, 100, 100)
    frame = codec.encode_frame(columns)
    assert decode_pack_footer(b"dvPK\0\1\0\0", frame, xxhash.xxh3_128_digest(frame), 208) == footer


@pytest.mark.parametrize(
    "spoil",
    [
        lambda footer: footer.digests.append(b"x" * 16),
        lambda footer: footer.digests.__setitem__(0, b"short"),
        lambda footer: setattr(footer, "content", 2),
    ],
    ids=["a digest more", "a short digest", "an unknown content"],
)
def test_columns_that_contradict_each_other_are_not_written(spoil):
    footer = footer_of(*ROWS)
    spoil(footer)

    with pytest.raises(MalformedError):
        encode_pack_footer(footer)


def test_a_full_pack_is_written_and_a_fuller_one_is_not():
    full = footer_of(*[(WHOLE, NONE, 900, 900)] * MAX_PACK_ENTRIES, algorithm="sha256")
    assert read_ending(encode_pack_footer(full), full) == full

    with pytest.raises(MalformedError, match="cannot have 65,537 entries"):
        encode_pack_footer(footer_of(*[(WHOLE, NONE, 1, 1)] * (MAX_PACK_ENTRIES + 1)))
    with pytest.raises(MalformedError, match="more than 67,108,864 bytes"):
        encode_pack_footer(footer_of(*[(WHOLE, NONE, MAX_ENTRY_BYTES, MAX_ENTRY_BYTES)] * 64))


def test_a_footer_that_is_a_bomb_is_not_unpacked():
    bomb = codec.encode_frame(bytes(256 << 20))

    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="declares 268435456 bytes"):
            decode_pack_footer(b"dvPK\0\1\0\0", bomb, xxhash.xxh3_128_digest(bomb), 8)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


def test_headers_of_packs_say_what_is_in_them():
    assert decode_pack_header(encode_pack_header("blake3", META)) == ("blake3", META)
    with pytest.raises(MalformedError):
        decode_pack_header(b"dvPK\0\1\2\0")
    with pytest.raises(UnsupportedFormat, match="pack has format 2"):
        decode_pack_header(b"dvPK\2\1\0\0")
