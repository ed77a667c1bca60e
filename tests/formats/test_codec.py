"""Compression: round trips, and that no frame decodes to more than was announced."""

from __future__ import annotations

import contextlib
import random
import threading
import tracemalloc

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import MalformedError
from datavc.formats.codec import MAX_WINDOW_LOG, compress, decode_frame, decompress, encode_frame, zstd

TEXT = b"the same words again and again, " * 300
NOISE = random.Random(1).randbytes(300_000)
SKIPPABLE = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"


@given(st.binary(max_size=2000), st.integers(1, 50), st.booleans(), st.integers(1, 5))
def test_what_is_compressed_comes_back(piece, times, hashed, level):
    data = piece * times
    packed = compress(data, level)

    assert packed is None or (len(packed) < len(data) and decompress(packed, len(data)) == data)
    assert decode_frame(encode_frame(data, level=level, hashed=hashed), len(data)) == data


def test_what_does_not_shrink_is_left_alone():
    assert compress(b"") is None
    assert compress(NOISE) is None
    assert compress(memoryview(TEXT)) == compress(TEXT)


def test_a_used_compressor_writes_what_a_new_one_would():
    pieces = [random.Random(n).choice([TEXT, NOISE, TEXT + NOISE])[: 997 * n] for n in range(200)]
    here = [encode_frame(piece) for piece in pieces]
    elsewhere = []

    def encode_backwards():
        elsewhere.extend(encode_frame(piece) for piece in reversed(pieces))

    thread = threading.Thread(target=encode_backwards)
    thread.start()
    thread.join()

    assert here == elsewhere[::-1]


@pytest.mark.parametrize("off_by", [-len(TEXT), -1, 1, 1_000_000])
def test_another_length_than_announced_is_refused(off_by):
    with pytest.raises(MalformedError, match="not one whole zstd frame"):
        decompress(encode_frame(TEXT), len(TEXT) + off_by)


def empty_last_block(data):
    """A frame whose end stands in a block of its own, behind all of its content."""
    compressor = zstd.ZstdCompressor()
    return compressor.compress(data, compressor.FLUSH_BLOCK) + compressor.flush()


def test_a_frame_whose_last_block_is_empty_is_read():
    assert decompress(empty_last_block(TEXT), len(TEXT)) == TEXT
    assert decompress(empty_last_block(b""), 0) == b""


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        TEXT,
        encode_frame(TEXT)[:-1],
        encode_frame(TEXT) + b"\0",
        encode_frame(TEXT) + encode_frame(b""),
        SKIPPABLE + encode_frame(TEXT),
        encode_frame(TEXT[:100]) + encode_frame(TEXT[100:]),
    ],
    ids=["nothing", "plain", "cut", "one byte more", "two frames", "skippable first", "in two frames"],
)
def test_anything_but_one_whole_frame_is_refused(stored):
    with pytest.raises(MalformedError):
        decompress(stored, len(TEXT))


def test_a_skippable_frame_is_no_encoding_of_nothing():
    with pytest.raises(MalformedError):
        decompress(SKIPPABLE, 0)
    assert decompress(encode_frame(b""), 0) == b""


def test_a_changed_byte_of_a_hashed_frame_is_noticed():
    packed = encode_frame(NOISE)
    changed = packed[:1000] + bytes([packed[1000] ^ 1]) + packed[1001:]

    with pytest.raises(MalformedError, match="damaged"):
        decompress(changed, len(NOISE))


def test_a_window_of_more_than_2_mib_is_refused():
    options = {zstd.CompressionParameter.window_log: MAX_WINDOW_LOG + 3}
    data = NOISE * 20

    with pytest.raises(MalformedError, match="too much memory"):
        decompress(zstd.compress(data, options=options), len(data))
    assert decompress(encode_frame(data), len(data)) == data


def test_a_bomb_costs_no_more_than_what_was_announced():
    bomb = zstd.compress(bytes(256 << 20), level=19, options=None)
    assert len(bomb) < 64 << 10

    tracemalloc.start()
    try:
        for announced in (0, 1, 1 << 16):
            with pytest.raises(MalformedError):
                decompress(bomb, announced)
        with pytest.raises(MalformedError):
            decode_frame(bomb, 1 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 18


def test_a_frame_that_declares_no_length_is_no_frame_of_ours():
    with pytest.raises(MalformedError, match="declares None bytes"):
        decode_frame(empty_last_block(TEXT), 1 << 20)


@given(st.binary(max_size=100), st.integers(0, 1000))
def test_any_bytes_give_content_or_an_error_of_datavc(stored, length):
    for data in (stored, encode_frame(TEXT)[:5] + stored):
        with contextlib.suppress(MalformedError):
            assert len(decompress(data, length)) == length
        with contextlib.suppress(MalformedError):
            assert len(decode_frame(data, length)) <= length


@given(damaged(encode_frame(TEXT)))
def test_a_damaged_frame_gives_the_content_or_an_error_of_datavc(stored):
    with contextlib.suppress(MalformedError):
        assert decompress(stored, len(TEXT)) == TEXT
