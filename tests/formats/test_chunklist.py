"""The chunk list: round trips, what readers refuse, and the bytes of format 0."""

from __future__ import annotations

import struct
from array import array
from pathlib import Path

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat
from datavc.formats.chunklist import (
    CHUNK_LIST,
    MAX_CHUNK_BYTES,
    MAX_LEVEL,
    ChunkList,
    decode_chunk_list,
    encode_chunk_list,
)
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import encode_header

GOLDEN = Path(__file__).parents[1] / "golden"


def list_of(*lengths, level=0, algorithm="xxh128"):
    digests = [bytes([number + 1]) * ALGORITHMS[algorithm].length for number in range(len(lengths))]
    return ChunkList(algorithm, level, sum(lengths), array("I", lengths), digests)


@st.composite
def chunk_lists(draw):
    lengths = draw(st.lists(st.integers(1, MAX_CHUNK_BYTES), min_size=1, max_size=20))
    return list_of(
        *lengths, level=draw(st.integers(0, MAX_LEVEL)), algorithm=draw(st.sampled_from(sorted(ALGORITHMS)))
    )


@given(chunk_lists())
def test_what_is_written_reads_back(listed):
    assert decode_chunk_list(encode_chunk_list(listed), listed.algorithm) == listed


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("chunklist-format{}-xxh128.hex", list_of(262_144, 1_048_576, 65_536, 1)),
        ("chunklist-format{}-blake3-level2.hex", list_of(8192, 131_072, level=2, algorithm="blake3")),
    ],
)
def test_the_golden_chunk_lists_stand_for_ever(name, listed):
    for number in (0, 1):
        golden = bytes.fromhex((GOLDEN / name.format(number)).read_text())
        assert decode_chunk_list(golden, listed.algorithm) == listed
    assert encode_chunk_list(listed) == golden


@given(st.binary(max_size=100))
def test_any_bytes_give_a_chunk_list_or_an_error_of_datavc(data):
    for encoded in (data, encode_header(CHUNK_LIST, "xxh128") + data):
        try:
            listed = decode_chunk_list(encoded, "xxh128")
        except DatavcError:
            continue
        assert encode_chunk_list(listed)[5:] == encoded[5:]


@given(damaged(encode_chunk_list(list_of(100_000, 200_000, 5))))
def test_a_damaged_chunk_list_is_another_one_or_an_error_of_datavc(encoded):
    try:
        listed = decode_chunk_list(encoded, "xxh128")
    except DatavcError:
        return
    assert encode_chunk_list(listed) == encoded


def test_a_chunk_list_cut_off_anywhere_is_refused():
    encoded = encode_chunk_list(list_of(1, 2, 3))

    for length in range(len(encoded)):
        with pytest.raises(MalformedError):
            decode_chunk_list(encoded[:length], "xxh128")


@pytest.mark.parametrize(
    ("level", "total", "lengths", "says"),
    [
        (0, 0, [], "no chunks"),
        (0, 5, [5, 0], "no bytes"),
        (0, MAX_CHUNK_BYTES + 1, [MAX_CHUNK_BYTES + 1], "more than 1,048,576"),
        (0, 6, [5], "add up"),
        (0, 2**64 - 1, [5], "add up"),
        (MAX_LEVEL + 1, 5, [5], "level 4"),
        (255, 5, [5], "level 255"),
    ],
)
def test_no_such_chunk_list_is_written_or_read(level, total, lengths, says):
    digests = [bytes(16)] * len(lengths)
    fixed = struct.pack("<B3xQI", level, total, len(lengths))
    careless = encode_header(CHUNK_LIST, "xxh128") + fixed + struct.pack(f"<{len(lengths)}I", *lengths)

    with pytest.raises(MalformedError, match=says):
        decode_chunk_list(careless + b"".join(digests), "xxh128")
    with pytest.raises(MalformedError, match=says):
        encode_chunk_list(ChunkList("xxh128", level, total, array("I", lengths), digests))


def test_columns_that_contradict_each_other_are_not_written():
    listed = list_of(1, 2)
    listed.digests[0] = b"short"
    with pytest.raises(MalformedError, match="digest"):
        encode_chunk_list(listed)

    listed.digests.pop()
    with pytest.raises(MalformedError, match="different lengths"):
        encode_chunk_list(listed)


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_a_declared_count_is_not_believed(count):
    encoded = bytearray(encode_chunk_list(list_of(5)))
    encoded[20:24] = struct.pack("<I", count)

    with pytest.raises(MalformedError, match="cannot have"):
        decode_chunk_list(bytes(encoded), "xxh128")


@pytest.mark.parametrize("at", [6, 7, 9, 10, 11])
def test_bytes_that_must_be_zero_are(at):
    encoded = bytearray(encode_chunk_list(list_of(5)))
    encoded[at] = 1

    with pytest.raises(MalformedError):
        decode_chunk_list(bytes(encoded), "xxh128")


def test_other_algorithms_and_later_formats_are_refused():
    encoded = encode_chunk_list(list_of(5, algorithm="sha256"))

    with pytest.raises(MalformedError, match="sha256 where xxh128"):
        decode_chunk_list(encoded, "xxh128")
    with pytest.raises(UnsupportedFormat, match="chunk list has format 2"):
        decode_chunk_list(encoded[:4] + b"\2" + encoded[5:], "sha256")
