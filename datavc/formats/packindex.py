"""The pack index: which objects lie where in a group of packs of one digest algorithm, searchable by a few ranges of it.

Rows are sorted by digest and cut into frames of 4,096; a fence table in the head holds each frame's first digest.
Specified in ``docs/reference/formats.md``.
"""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import le

import xxhash

from datavc.errors import MalformedError
from datavc.formats import codec
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import FORMAT, HEADER_BYTES, FileType, decode_header, encode_header
from datavc.formats.pack import MAX_ENTRY_BYTES, MAX_PACK_BYTES

MAX_INDEX_ROWS = 1 << 20
FRAME_ROWS = 4096
_MAX_PACKS = 1 << 20
# Frames kept decoded: 256 hold a full index, about 120 bytes a row.
_FRAMES_KEPT = 256

PACK_INDEX = FileType(b"dvIX", FORMAT, "pack index")
_FIXED = struct.Struct("<I16s")
_HEAD = struct.Struct("<III")
_BIG_ENDIAN = sys.byteorder == "big"

# digest, number of the pack in the index, offset, stored length, raw length, form | codec << 1
IndexRow = tuple[bytes, int, int, int, int, int]


def encode_pack_index(algorithm: str, packs: Sequence[tuple[bytes, int]], rows: Sequence[IndexRow]) -> bytes:
    """The encoding of ``rows``, sorted by digest, at most 2^20 of them; ``packs`` are raw names and lengths in bytes."""
    frames, fence = [], []
    for start in range(0, len(rows), FRAME_ROWS):
        part = rows[start : start + FRAME_ROWS]
        digests, ordinals, offsets, stored, raw, flags = zip(*part, strict=True)
        numbers = b"".join(_u32(column) for column in (ordinals, offsets, stored, raw))
        frames.append(codec.encode_frame(b"".join(digests) + numbers + bytes(flags)))
        fence.append(digests[0] + _u32((len(frames[-1]),)))
    head = b"".join(
        (
            _HEAD.pack(len(packs), len(rows), FRAME_ROWS),
            *(name for name, _ in packs),
            _u32([size for _, size in packs]),
            *fence,
        )
    )
    frame = codec.encode_frame(head)
    fixed = _FIXED.pack(len(frame), xxhash.xxh3_128_digest(frame))
    return b"".join((encode_header(PACK_INDEX, algorithm), fixed, frame, *frames))


class PackIndexReader:
    """Searches one pack index. ``read(start, length)`` gives that range of its ``size`` bytes.

    Raises UnsupportedFormat, MalformedError, from every method.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        fixed_end = HEADER_BYTES + _FIXED.size
        if size < fixed_end:
            raise MalformedError("a pack index is cut short")
        start = read(0, min(size, 64 << 10))
        self.algorithm, _ = decode_header(start, PACK_INDEX)
        head_length, digest = _FIXED.unpack_from(start, HEADER_BYTES)
        if fixed_end + head_length > size:
            raise MalformedError("a pack index is cut short")
        head = start[fixed_end : fixed_end + head_length]
        if len(head) < head_length:
            head = read(fixed_end, head_length)
        if xxhash.xxh3_128_digest(head) != digest:
            raise MalformedError("a pack index is damaged at its head")
        self._digest_length = ALGORITHMS[self.algorithm].length
        self.packs: list[tuple[bytes, int]] = []
        self._parse_head(head, fixed_end + head_length, size)
        self._frames: OrderedDict[int, _Frame] = OrderedDict()

    def _parse_head(self, frame: bytes, frames_start: int, size: int) -> None:
        length = self._digest_length
        largest = _HEAD.size + 20 * _MAX_PACKS + (length + 4) * (MAX_INDEX_ROWS // FRAME_ROWS + 1)
        head = codec.decode_frame(frame, largest)
        if len(head) < _HEAD.size:
            raise MalformedError("a pack index's head is cut short")
        packs, self.row_count, frame_rows = _HEAD.unpack_from(head)
        frames = -(-self.row_count // FRAME_ROWS)
        fence_at = _HEAD.size + 20 * packs
        if (
            frame_rows != FRAME_ROWS
            or self.row_count > MAX_INDEX_ROWS
            or len(head) != fence_at + (length + 4) * frames
        ):
            raise MalformedError("a pack index's head does not add up")
        names_end = _HEAD.size + 16 * packs
        sizes = _from_u32(head[names_end:fence_at])
        names = [head[at : at + 16] for at in range(_HEAD.size, names_end, 16)]
        self.packs = list(zip(names, sizes, strict=True))
        entries = [head[at : at + length + 4] for at in range(fence_at, len(head), length + 4)]
        self._fence = [entry[:length] for entry in entries]
        self._starts = [frames_start]
        for entry in entries:
            self._starts.append(self._starts[-1] + int.from_bytes(entry[length:], "little"))
        if self._starts[-1] != size or not all(map(le, self._fence, islice(self._fence, 1, None))):
            raise MalformedError("a pack index's frames do not fill it, or are not sorted")

    def find(self, digest: bytes) -> IndexRow | None:
        """The row of ``digest``, or None."""
        number = bisect_right(self._fence, digest) - 1
        # Equal digests may straddle a fence: the first row wins, as in encoding order.
        return self._frame(number).row(digest) if number >= 0 else None

    def find_many(self, digests: Iterable[bytes]) -> dict[bytes, IndexRow]:
        """The rows of those of ``digests`` that are here, each frame being decoded once."""
        found = {}
        for digest in sorted(digests):
            row = self.find(digest)
            if row is not None:
                found[digest] = row
        return found

    def rows(self) -> Iterator[IndexRow]:
        """Every row, by digest."""
        for number in range(len(self._fence)):
            yield from self._frame(number).rows()

    def _frame(self, number: int) -> _Frame:
        frame = self._frames.get(number)
        if frame is None:
            start, end = self._starts[number], self._starts[number + 1]
            frame = self._decode_frame(number, self._read(start, end - start))
            self._frames[number] = frame
            if len(self._frames) > _FRAMES_KEPT:
                self._frames.popitem(last=False)
        return frame

    def _decode_frame(self, number: int, packed: bytes) -> _Frame:
        count = min(FRAME_ROWS, self.row_count - number * FRAME_ROWS)
        length = self._digest_length
        body = codec.decompress(packed, count * (length + 17))
        digests = [body[at : at + length] for at in range(0, length * count, length)]
        at = length * count
        columns = [_from_u32(body[at + 4 * count * i : at + 4 * count * (i + 1)]) for i in range(4)]
        flags = body[at + 16 * count :]
        frame = _Frame(digests, columns[0], columns[1], columns[2], columns[3], flags)
        ordinals, offsets, stored, raw = columns
        if (
            digests[0] != self._fence[number]
            or max(ordinals) >= len(self.packs)
            or max(offsets) > MAX_PACK_BYTES
            or max(stored) > MAX_PACK_BYTES
            or max(raw) > MAX_ENTRY_BYTES
            or flags.translate(None, b"\0\1\2\3")
            or not all(map(le, digests, islice(digests, 1, None)))
        ):
            raise MalformedError("a pack index has rows that contradict it")
        return frame


class _Frame:
    """Decoded columns, and the number of each digest's first row."""

    __slots__ = ("_columns", "_numbers", "_digests")

    def __init__(self, digests: list[bytes], *columns: Sequence[int]) -> None:
        self._digests = digests
        self._columns = columns
        self._numbers = dict(zip(reversed(digests), range(len(digests) - 1, -1, -1), strict=True))

    def row(self, digest: bytes) -> IndexRow | None:
        number = self._numbers.get(digest)
        if number is None:
            return None
        ordinals, offsets, stored, raw, flags = self._columns
        return digest, ordinals[number], offsets[number], stored[number], raw[number], flags[number]

    def rows(self) -> Iterator[IndexRow]:
        ordinals, offsets, stored, raw, flags = self._columns
        return zip(self._digests, ordinals, offsets, stored, raw, flags, strict=True)


def _u32(values: Iterable[int]) -> bytes:
    column = array("I", values)
    if _BIG_ENDIAN:
        column.byteswap()
    return column.tobytes()


def _from_u32(data: bytes) -> array[int]:
    column = array("I")
    column.frombytes(data)
    if _BIG_ENDIAN:
        column.byteswap()
    return column
