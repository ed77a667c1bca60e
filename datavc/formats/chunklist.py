"""The chunk list: which chunks, in which order, make up an object that is too long for one pack entry.

Where the cuts fall is decided in ``datavc/store/chunking.py``; ``datavc/store/reader.py`` puts the chunks together.
"""

from __future__ import annotations

import struct
from array import array
from dataclasses import dataclass

from datavc.errors import MalformedError
from datavc.formats.columns import are_digests, decode_digests, decode_integers, encode_integers
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import (
    FORMAT,
    HEADER_BYTES,
    KNOWN_FORMATS,
    FileType,
    decode_header,
    encode_header,
    require_algorithm,
)

CHUNK_LIST = FileType(b"dvCL", FORMAT, "chunk list", KNOWN_FORMATS)

MAX_CHUNK_BYTES = 1 << 20
MAX_LEVEL = 3
"""Four levels list more than any disk holds: each is at least a thousand times shorter than what it lists."""

_FIXED = struct.Struct("<B3sQI")  # level, zeros, bytes listed, chunks
_BODY = HEADER_BYTES + _FIXED.size


@dataclass(slots=True)
class ChunkList:
    """The chunks of something of ``total`` bytes: an object at ``level`` 0, else its chunk list of the level below."""

    algorithm: str
    level: int
    total: int
    lengths: array[int]
    digests: list[bytes]


def encode_chunk_list(listed: ChunkList) -> bytes:
    """The encoding of ``listed``.

    Raises:
        MalformedError: no reader would take it, for instance because its lengths do not add up.
    """
    _check(listed)
    digests = b"".join(listed.digests)
    if not are_digests(listed.digests, digests, ALGORITHMS[listed.algorithm].length):
        raise MalformedError(f"a chunk list has a digest that is none of {listed.algorithm}")
    fixed = _FIXED.pack(listed.level, bytes(3), listed.total, len(listed.digests))
    header = encode_header(CHUNK_LIST, listed.algorithm)
    return b"".join((header, fixed, encode_integers("I", listed.lengths), digests))


def decode_chunk_list(data: bytes, algorithm: str) -> ChunkList:
    """The chunk list that ``data`` encodes, whose digests must be of ``algorithm``.

    Raises:
        UnsupportedFormat: a format number or algorithm that this version of datavc does not know.
        MalformedError: it is no chunk list.
    """
    found, _ = decode_header(data, CHUNK_LIST)
    require_algorithm(found, algorithm, CHUNK_LIST)
    if len(data) < _BODY:
        raise MalformedError("a chunk list is cut off in its header")
    level, zeros, total, count = _FIXED.unpack_from(data, HEADER_BYTES)
    length = ALGORITHMS[algorithm].length
    if zeros != bytes(3) or len(data) != _BODY + count * (4 + length):
        raise MalformedError(f"a chunk list of {len(data):,} bytes cannot have {count:,} chunks")
    view = memoryview(data)
    digests_at = _BODY + 4 * count
    listed = ChunkList(
        algorithm,
        level,
        total,
        decode_integers("I", view[_BODY:digests_at]),
        decode_digests(view[digests_at:], length),
    )
    _check(listed)
    return listed


def _check(listed: ChunkList) -> None:
    """What holds for every chunk list, besides the lengths of its digests.

    Raises:
        MalformedError: it does not hold.
    """
    if not 0 <= listed.level <= MAX_LEVEL:
        raise MalformedError(f"a chunk list cannot have level {listed.level}, {MAX_LEVEL} being the highest")
    if not listed.digests or len(listed.digests) != len(listed.lengths):
        raise MalformedError("a chunk list has no chunks, or columns of different lengths")
    if min(listed.lengths) < 1 or max(listed.lengths) > MAX_CHUNK_BYTES:
        raise MalformedError(f"a chunk list has a chunk of no bytes, or of more than {MAX_CHUNK_BYTES:,}")
    if sum(listed.lengths) != listed.total:
        raise MalformedError(f"a chunk list does not add up to the {listed.total:,} bytes that it declares")
