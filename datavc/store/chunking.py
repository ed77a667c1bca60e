"""Cutting large objects at content-defined places (FastCDC), so that an edit changes the chunks around it and no others.

Where the cuts fall affects deduplication only, never correctness: the list of chunks says where they are.
Y. Hu et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems", TPDS 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyfastcdc import FastCDC


class CutSizes(NamedTuple):
    """Bytes: no chunk but the last is shorter than ``smallest``, none is longer than ``largest``."""

    smallest: int
    average: int
    largest: int


# Ten edited rows of a 721 MB CSV make 2.6 MB of new chunks with these (design section 3).
BLOB_CUTS = CutSizes(64 << 10, 256 << 10, 1 << 20)
# Trees and chunk lists: ten changes in a folder of a million entries store 0.6 MB.
TREE_CUTS = CutSizes(8 << 10, 32 << 10, 128 << 10)
_READ_BYTES = 8 << 20


@cache
def _cutter(sizes: CutSizes) -> FastCDC:
    from pyfastcdc import FastCDC

    return FastCDC(min_size=sizes.smallest, avg_size=sizes.average, max_size=sizes.largest)


def cut_points(data: bytes | memoryview, sizes: CutSizes) -> list[int]:
    """The end of each chunk of ``data``, the last being its length; empty for no data."""
    if not data:
        return []
    return [chunk.offset + chunk.length for chunk in _cutter(sizes).cut_buf(data)]


class CutBlock(NamedTuple):
    """A stretch of a stream: ``read`` are the bytes that were new, ``chunks`` those chunks that are complete with it.

    Both are views of ``buffer``, which may be used again when nobody needs them any more.
    """

    buffer: bytearray
    read: memoryview
    chunks: list[memoryview]


def new_buffer(sizes: CutSizes) -> bytearray:
    """A buffer for :func:`cut_blocks`: what is read at once, behind the unfinished chunk of the block before."""
    return bytearray(_READ_BYTES + sizes.largest)


def cut_blocks(
    read_into: Callable[[memoryview], int], sizes: CutSizes, take_buffer: Callable[[], bytearray]
) -> Iterator[CutBlock]:
    """Cut a stream into blocks, each in a buffer from ``take_buffer`` (see :func:`new_buffer`).

    ``read_into(view)`` reads at most as many bytes as fit into the view, tells how many, and 0 at the end. The chunks
    are those that :func:`cut_points` finds in the whole, whatever the sizes of the reads.
    """
    rest = memoryview(b"")
    ended = False
    while not ended:
        buffer = take_buffer()
        view = memoryview(buffer)
        start = end = len(rest)
        view[:start] = rest
        while end < len(view) and not ended:
            count = read_into(view[end:])
            end += count
            ended = count == 0
        # A cut is final only where the longest chunk would have fitted: what is behind it may still move the last ones.
        chunks, begin = [], 0
        for stop in cut_points(view[:end], sizes):
            if not ended and begin + sizes.largest > end:
                break
            chunks.append(view[begin:stop])
            begin = stop
        # Out of this buffer, which the consumer may give to the next block.
        rest = memoryview(bytes(view[begin:end]))
        yield CutBlock(buffer, view[start:end], chunks)
