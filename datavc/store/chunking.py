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


def iter_chunks(read: Callable[[int], bytes], sizes: CutSizes) -> Iterator[tuple[bytes, list[memoryview]]]:
    """Cut a stream: yields blocks as read, each with the chunks that are complete with it.

    ``read(n)`` gives at most ``n`` bytes, and none at the end. The chunks are those that :func:`cut_points` finds in the
    whole, whatever the sizes of the reads. At most one block and one chunk are held.
    """
    rest = b""
    while block := read(_READ_BYTES):
        joined = rest + block if rest else block
        # A cut is final only where the longest chunk would have fitted: what is behind it may still move the last ones.
        ends = cut_points(joined, sizes)
        final = [
            end for start, end in zip([0, *ends], ends, strict=False) if start + sizes.largest <= len(joined)
        ]
        view = memoryview(joined)
        starts = [0, *final[:-1]] if final else []
        yield block, [view[start:end] for start, end in zip(starts, final, strict=True)]
        rest = joined[final[-1] :] if final else joined
    if rest:
        view = memoryview(rest)
        ends = cut_points(rest, sizes)
        yield b"", [view[start:end] for start, end in zip([0, *ends], ends, strict=False)]
