"""The pack index: which objects lie where in a group of packs, searchable through a few ranges of the stored file.

Rows are sorted by digest and cut into frames of 1,024; the fence in the head holds each frame's first digest. A row is
a hint: what it names is verified when it is read. Looking into several indexes is ``datavc/store/index.py``.

Hot path: decoding takes 0.2 microseconds a row; after that a look-up takes 3.4 alone, 1.6 among many, 1.3 where the digest
is absent. Decoded frames stay columns, 42 bytes a row, so that all of a full index may be kept: 43 MB. A dict in each
makes a look-up 1.5 times as fast, but decoding 5 times and memory 4 times as dear (``tests/benchmarks/formats.py``).
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Iterator, Sequence, Set
from itertools import accumulate, compress, islice
from operator import le, lt
from typing import NamedTuple, TypeVar

import xxhash

from datavc.errors import MalformedError
from datavc.formats import codec
from datavc.formats.columns import (
    are_digests,
    decode_digests,
    decode_integers,
    decode_prefixes,
    encode_integers,
)
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import FORMAT, HEADER_BYTES, KNOWN_FORMATS, FileType, decode_header, encode_header
from datavc.formats.pack import MAX_ENTRY_BYTES, MAX_PACK_BYTES

PACK_INDEX = FileType(b"dvIX", FORMAT, "pack index", KNOWN_FORMATS)

MAX_INDEX_ROWS = 1 << 20
FRAME_ROWS = 1024
"""Rows in a frame as it is written. A look-up from afar costs one frame: 27 KB, where one of 4,096 rows has 99; frames of 512
make going through all rows a third slower (docs/decisions/0005-smaller-frames.md)."""

MAX_FRAME_ROWS = 4096
"""Rows in a frame as it is read, at the most."""
_MIN_FRAME_ROWS = 256

# digest, ordinal of the pack, offset in it, stored length, raw length, form | codec << 1
IndexRow = tuple[bytes, int, int, int, int, int]
P = TypeVar("P")
# pack, offset, stored length, raw length, form | codec << 1
LocatedRow = tuple[P, int, int, int, int]

_FIXED = struct.Struct("<I16s")  # stored length of the head, its xxh128
_HEAD_AT = HEADER_BYTES + _FIXED.size
_COUNTS = struct.Struct("<3I")  # packs, rows, rows per frame
_NAME_BYTES = 16
_ROW_BYTES = 4 * 4 + 1  # ordinal, offset, stored, raw, flags; the digest comes on top
_FLAGS = b"\0\1\2\3"
_LONGEST = max(algorithm.length for algorithm in ALGORITHMS.values())
_MAX_HEAD_BYTES = (
    _COUNTS.size + MAX_INDEX_ROWS * (_NAME_BYTES + 4) + MAX_INDEX_ROWS // _MIN_FRAME_ROWS * (_LONGEST + 4)
)
# zstd adds less than one byte in 256 to what it cannot compress.
_MAX_STORED_HEAD_BYTES = _MAX_HEAD_BYTES + (_MAX_HEAD_BYTES >> 8) + 64
# Looking for more than one row in so many, going through all of them in C is faster than as many searches.
_SCAN_FROM_ONE_IN = 8
_decode_prefix = struct.Struct(">Q").unpack_from
# The first read: all of a small index, the head of any other (6 KiB for a full one of 100 packs), and one request.
_FIRST_READ_BYTES = 64 << 10


class IndexColumns(NamedTuple):
    """Rows of a pack index as columns, which cost a tenth of as many tuples."""

    digests: Sequence[bytes]
    ordinals: Sequence[int]
    offsets: Sequence[int]
    stored: Sequence[int]
    raw: Sequence[int]
    flags: Sequence[int]

    def part(self, start: int) -> IndexColumns:
        """The rows of the frame that begins with row ``start``."""
        digests, *numbers = (column[start : start + FRAME_ROWS] for column in self)
        return IndexColumns(digests, *numbers)  # type: ignore[arg-type]


def encode_pack_index(algorithm: str, packs: Sequence[tuple[bytes, int]], columns: IndexColumns) -> bytes:
    """The pack index of ``packs`` (raw name and bytes of each) and of rows that are sorted by digest, none twice.

    Raises:
        MalformedError: no reader would take it, for instance because it has too many rows.
    """
    rows = len(columns.digests)
    if rows > MAX_INDEX_ROWS or len(packs) > rows:
        raise MalformedError(f"a pack index cannot have {rows:,} rows for {len(packs):,} packs")
    names, sizes = [name for name, _ in packs], [size for _, size in packs]
    joined_names = b"".join(names)
    if not are_digests(names, joined_names, _NAME_BYTES) or not all(
        0 <= size <= MAX_PACK_BYTES for size in sizes
    ):
        raise MalformedError("a pack index names a pack that no store can hold")
    if not all(map(lt, columns.digests, islice(columns.digests, 1, None))):
        raise MalformedError("a pack index's rows are not sorted by digest, or one is there twice")
    frames, fence = [], []
    for start in range(0, rows, FRAME_ROWS):
        frame = _encode_frame(columns.part(start), ALGORITHMS[algorithm].length, len(packs))
        frames.append(frame)
        fence.append(columns.digests[start] + encode_integers("I", (len(frame),)))
    counts = _COUNTS.pack(len(packs), rows, FRAME_ROWS)
    head = codec.encode_frame(
        b"".join((counts, joined_names, encode_integers("I", sizes), *fence)), hashed=False
    )
    fixed = _FIXED.pack(len(head), xxhash.xxh3_128_digest(head))
    return b"".join((encode_header(PACK_INDEX, algorithm), fixed, head, *frames))


def _encode_frame(columns: IndexColumns, length: int, packs: int) -> bytes:
    """The frame of up to 1,024 rows. Raises MalformedError."""
    digests, ordinals, offsets, stored, raw, flags = columns
    joined = b"".join(digests)
    if not are_digests(digests, joined, length):
        raise MalformedError(f"a pack index has a digest that is not {length} bytes long")
    try:
        numbers = [encode_integers("I", column) for column in (ordinals, offsets, stored, raw)]
        packed_flags = bytes(flags)
    except (OverflowError, ValueError):
        raise MalformedError("a pack index has a row with a number out of range") from None
    if (
        packed_flags.translate(None, _FLAGS)
        or max(ordinals) >= packs
        or max(offsets) > MAX_PACK_BYTES
        or max(stored) > MAX_ENTRY_BYTES
        or max(raw) > MAX_ENTRY_BYTES
    ):
        raise MalformedError("a pack index has a row that no pack can hold, or of an unknown form or codec")
    return codec.encode_frame(b"".join((joined, *numbers, packed_flags)))


class PackIndexReader:
    """Looks digests up in one pack index of ``size`` bytes, of which ``read(start, length)`` gives a range.

    The head is read at once, each frame when it is first needed; all that is read is kept. Threads may share it: at
    worst they decode a frame twice. Every method raises what ``read`` raises, and MalformedError, which begins with
    ``where`` and has the ``hint``.

    Raises:
        UnsupportedFormat: a format number or algorithm that this version does not know.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        where: str = "a pack index",
        hint: str | None = None,
    ) -> None:
        self._read, self._where, self._hint = read, where, hint
        try:
            self._open(size)
        except MalformedError as error:
            raise type(error)(f"{where}: {error.message}", hint) from error

    def _open(self, size: int) -> None:
        start = self._range(0, min(size, _FIRST_READ_BYTES))
        self.algorithm, _ = decode_header(start, PACK_INDEX)
        self._length = ALGORITHMS[self.algorithm].length
        if len(start) < _HEAD_AT:
            raise MalformedError("it is cut off in its header")
        head_length, head_xxh = _FIXED.unpack_from(start, HEADER_BYTES)
        frames_at = _HEAD_AT + head_length
        if frames_at > size or head_length > _MAX_STORED_HEAD_BYTES:
            raise MalformedError(f"{size:,} bytes cannot have a head of {head_length:,}")
        head = start[_HEAD_AT:frames_at] if frames_at <= len(start) else self._range(_HEAD_AT, head_length)
        if xxhash.xxh3_128_digest(head) != head_xxh:
            raise MalformedError("it is damaged: its head does not have the xxh128 that it gives")
        self._start = start
        self.packs: list[tuple[bytes, int]] = []
        self._decode_head(codec.decode_frame(head, _MAX_HEAD_BYTES), frames_at, size)
        self._frames: list[_Frame | None] = [None] * len(self._fence)

    def _decode_head(self, head: bytes, frames_at: int, size: int) -> None:
        counts = _COUNTS.unpack_from(head) if len(head) >= _COUNTS.size else (0, 0, 0)
        packs, self.row_count, self._frame_rows = counts
        if not _MIN_FRAME_ROWS <= self._frame_rows <= MAX_FRAME_ROWS:
            raise MalformedError(f"it cannot have frames of {self._frame_rows:,} rows")
        frames = -(-self.row_count // self._frame_rows)
        sizes_at = _COUNTS.size + _NAME_BYTES * packs
        fence_at = sizes_at + 4 * packs
        if self.row_count > MAX_INDEX_ROWS or packs > self.row_count:
            raise MalformedError(f"it cannot have {self.row_count:,} rows for {packs:,} packs")
        if len(head) != fence_at + frames * (self._length + 4):
            raise MalformedError(f"its head of {len(head):,} bytes is no list of {packs:,} packs")
        view = memoryview(head)
        sizes = decode_integers("I", view[sizes_at:fence_at])
        self.packs = list(zip(decode_digests(view[_COUNTS.size : sizes_at], _NAME_BYTES), sizes, strict=True))
        steps = [head[at : at + self._length + 4] for at in range(fence_at, len(head), self._length + 4)]
        self._fence = [step[: self._length] for step in steps]
        lengths = [int.from_bytes(step[self._length :], "little") for step in steps]
        self._ends = list(accumulate(lengths, initial=frames_at))
        if self._ends[-1] != size or not all(map(le, self._fence, islice(self._fence, 1, None))):
            raise MalformedError("its frames do not fill it, or are not sorted")
        if (
            max(lengths, default=0) > 2 * self._frame_rows * (self._length + _ROW_BYTES)
            or max(sizes, default=0) > MAX_PACK_BYTES
        ):
            raise MalformedError("it declares a frame or a pack that is longer than any")

    @property
    def first(self) -> bytes:
        """The first digest: none that is smaller is here."""
        return self._fence[0] if self._fence else b"\xff" * self._length

    def find(self, digest: bytes) -> IndexRow | None:
        """The row of ``digest``, or None."""
        number = bisect_right(self._fence, digest) - 1
        if number < 0:
            return None
        return (self._frames[number] or self._frame(number)).find(digest)

    def locate_many(self, digests: Iterable[bytes], packs: Sequence[P]) -> dict[bytes, LocatedRow[P]]:
        """The rows of those of ``digests`` that are here, with ``packs[ordinal]`` in place of digest and ordinal."""
        wanted = digests if isinstance(digests, Set) else set(digests)
        found: dict[bytes, LocatedRow[P]] = {}
        if len(wanted) * _SCAN_FROM_ONE_IN < self.row_count:
            find = self.find
            for digest in wanted:
                row = find(digest)
                if row is not None:
                    found[digest] = (packs[row[1]], *row[2:])
        else:
            for number in range(len(self._fence)):
                found.update(self._frame(number).intersection(wanted, packs))
        return found

    def rows(self) -> Iterator[IndexRow]:
        """Every row, by digest. Frames are decoded as they come, and not kept."""
        for number in range(len(self._fence)):
            yield from (self._frames[number] or self._read_frame(number)).rows()

    def _frame(self, number: int) -> _Frame:
        frame = self._frames[number]
        if frame is None:
            frame = self._frames[number] = self._read_frame(number)
        return frame

    def _read_frame(self, number: int) -> _Frame:
        try:
            return self._decode_frame(number)
        except MalformedError as error:
            raise type(error)(f"{self._where}: {error.message}", self._hint) from error

    def _decode_frame(self, number: int) -> _Frame:
        start, end = self._ends[number], self._ends[number + 1]
        stored = self._start[start:end] if end <= len(self._start) else self._range(start, end - start)
        count = min(self._frame_rows, self.row_count - number * self._frame_rows)
        content = codec.decompress(stored, count * (self._length + _ROW_BYTES))
        if not content.startswith(self._fence[number]):
            raise MalformedError(f"frame {number} does not start with the digest that its head gives")
        return _Frame(content, count, self._length, len(self.packs))

    def _range(self, start: int, length: int) -> bytes:
        data = self._read(start, length)
        if len(data) != length:
            raise MalformedError(f"it ends after {start + len(data):,} bytes, which it should not")
        return data


class _Frame:
    """Up to 4,096 rows as columns, found by the first eight bytes of their digests."""

    __slots__ = ("_columns", "_digests", "_length", "_prefixes")

    def __init__(self, content: bytes, count: int, length: int, packs: int) -> None:
        at = count * length
        view = memoryview(content)
        ordinals, offsets, stored, raw = (
            decode_integers("I", view[start : start + 4 * count])
            for start in range(at, at + 16 * count, 4 * count)
        )
        flags = content[at + 16 * count :]
        self._columns = ordinals, offsets, stored, raw, flags
        self._digests = content[:at]
        self._length = length
        self._prefixes = decode_prefixes(view[:at], length)
        prefixes = self._prefixes.tolist()
        if (
            flags.translate(None, _FLAGS)
            or max(ordinals) >= packs
            or max(offsets) > MAX_PACK_BYTES
            or max(stored) > MAX_ENTRY_BYTES
            or max(raw) > MAX_ENTRY_BYTES
            or prefixes != sorted(prefixes)
        ):
            raise MalformedError("a pack index has rows that are not sorted, or that no pack can hold")

    def find(self, digest: bytes) -> IndexRow | None:
        """The row of ``digest``, or None."""
        prefixes, length = self._prefixes, self._length
        (prefix,) = _decode_prefix(digest)
        number = bisect_left(prefixes, prefix)
        while number < len(prefixes) and prefixes[number] == prefix:
            if self._digests[number * length : (number + 1) * length] == digest:
                ordinals, offsets, stored, raw, flags = self._columns
                return digest, ordinals[number], offsets[number], stored[number], raw[number], flags[number]
            number += 1
        return None

    def intersection(
        self, wanted: Container[bytes], packs: Sequence[P]
    ) -> Iterator[tuple[bytes, LocatedRow[P]]]:
        """The rows whose digests are ``wanted``, each behind its digest, with its pack in place of the ordinal."""
        digests = decode_digests(memoryview(self._digests), self._length)
        hits = list(map(wanted.__contains__, digests))
        ordinals, *columns = (compress(column, hits) for column in self._columns)
        rows = zip(map(packs.__getitem__, ordinals), *columns, strict=True)
        return zip(compress(digests, hits), rows, strict=True)

    def rows(self) -> Iterator[IndexRow]:
        """Every row."""
        return zip(decode_digests(memoryview(self._digests), self._length), *self._columns, strict=True)
