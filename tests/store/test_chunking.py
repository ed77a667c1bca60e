"""Where large objects are cut: the pieces join to the whole, lie within their bounds, and survive an edit elsewhere."""

from __future__ import annotations

import io
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.store import chunking
from datavc.store.chunking import BLOB_CUTS, TREE_CUTS, CutSizes, cut_blocks, cut_points, new_buffer

# The smallest that the library takes, so that short data has many chunks.
SMALL = CutSizes(64, 256, 1024)


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def pieces(data: bytes, sizes: CutSizes) -> list[bytes]:
    ends = cut_points(data, sizes)
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


_data = st.one_of(
    st.binary(max_size=5000),
    st.integers(0, 20_000).map(bytes),
    st.tuples(st.integers(0, 20_000), st.integers()).map(lambda drawn: noise(*drawn)),
)


@given(_data)
def test_the_pieces_join_to_the_content_and_keep_their_bounds(data: bytes):
    cut = pieces(data, SMALL)

    assert b"".join(cut) == data
    assert all(len(piece) >= SMALL.smallest for piece in cut[:-1])
    assert all(0 < len(piece) <= SMALL.largest for piece in cut)


@pytest.mark.parametrize("sizes", [BLOB_CUTS, TREE_CUTS])
def test_the_sizes_in_use_have_the_average_that_they_promise(sizes: CutSizes):
    cut = pieces(noise(40 * sizes.average), sizes)

    assert sizes.average / 2 < 40 * sizes.average / len(cut) < sizes.average * 2


def test_zeros_are_cut_at_the_longest_chunk():
    assert cut_points(bytes(5000), SMALL)[:4] == [1024, 2048, 3072, 4096]


def test_no_data_has_no_chunk():
    assert cut_points(b"", SMALL) == []


@given(st.integers(0, 60_000), st.binary(min_size=1, max_size=50), st.integers(0, 10))
def test_an_insert_changes_the_few_chunks_around_it(place: int, inserted: bytes, removed: int):
    data = noise(60_000)
    edited = data[:place] + inserted + data[place + removed :]

    new = set(pieces(edited, SMALL)) - set(pieces(data, SMALL))

    # 234 chunks in all. Most edits change one or two, until the next cut falls where it was.
    assert len(new) <= 12


class Reader(io.BytesIO):
    """Reads that are as short as the test says."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data)
        self.most = most

    def read_into(self, view: memoryview) -> int:
        return self.readinto(view[: self.most])


@given(_data, st.integers(1, 3000), st.integers(0, 3000))
def test_a_stream_is_cut_where_the_whole_is_whatever_the_reads(data: bytes, most: int, room: int):
    joined, ends, end = b"", [], 0
    for block in cut_blocks(Reader(data, most).read_into, SMALL, lambda: bytearray(SMALL.largest + 1 + room)):
        joined += block.read
        for chunk in block.chunks:
            end += len(chunk)
            ends.append(end)

    assert joined == data
    assert ends == cut_points(data, SMALL)


def test_a_buffer_may_be_given_to_the_next_block_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunking, "_READ_BYTES", 4096)
    data, buffer = noise(50_000), new_buffer(SMALL)

    chunks = [
        bytes(chunk)
        for block in cut_blocks(Reader(data, 1 << 20).read_into, SMALL, lambda: buffer)
        for chunk in block.chunks
    ]

    assert chunks == pieces(data, SMALL)
