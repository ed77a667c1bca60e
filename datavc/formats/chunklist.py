"""The chunk list: which chunks, in which order, make up a large object. Specified in ``docs/reference/formats.md``."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass

from datavc.errors import MalformedError
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import FORMAT, HEADER_BYTES, FileType, decode_header, encode_header, require_algorithm

MAX_CHUNK_BYTES = 1 << 20
MAX_LEVEL = 3

CHUNK_LIST = FileType(b"dvCL", FORMAT, "chunk list")
_FIXED = struct.Struct("<B3xQI")
_BODY = HEADER_BYTES + _FIXED.size
_BIG_ENDIAN = sys.byteorder == "big"


@dataclass(slots=True)
class ChunkList:
    """The chunks of an object of ``total`` bytes, or, at a ``level`` above 0, of its chunk list one level below."""

    algorithm: str
    level: int
    total: int
    lengths: array[int]
    digests: list[bytes]


def encode_chunk_list(listed: ChunkList) -> bytes:
    """The encoding of ``listed``."""
    lengths = listed.lengths
    if _BIG_ENDIAN:
        lengths = array("I", lengths)
        lengths.byteswap()
    fixed = _FIXED.pack(listed.level, listed.total, len(listed.digests))
    return b"".join((encode_header(CHUNK_LIST, listed.algorithm), fixed, lengths.tobytes(), *listed.digests))


def decode_chunk_list(data: bytes, algorithm: str) -> ChunkList:
    """Read a chunk list whose digests are of ``algorithm``.

    Raises:
        UnsupportedFormat: of a format number or algorithm that is unknown.
        MalformedError: cut short, or its lengths do not add up.
    """
    found, _ = decode_header(data, CHUNK_LIST)
    require_algorithm(found, algorithm, CHUNK_LIST)
    if len(data) < _BODY or data[HEADER_BYTES + 1 : HEADER_BYTES + 4] != bytes(3):
        raise MalformedError("a chunk list is cut short")
    level, total, count = _FIXED.unpack_from(data, HEADER_BYTES)
    length = ALGORITHMS[algorithm].length
    if level > MAX_LEVEL or len(data) != _BODY + (4 + length) * count:
        raise MalformedError(f"a chunk list of {len(data)} bytes cannot hold the {count} chunks that it declares")
    lengths = array("I")
    lengths.frombytes(data[_BODY : _BODY + 4 * count])
    if _BIG_ENDIAN:
        lengths.byteswap()
    if count and not (0 < min(lengths) and max(lengths) <= MAX_CHUNK_BYTES):
        raise MalformedError("a chunk list has a chunk of no bytes, or of more than 1 MiB")
    if sum(lengths) != total:
        raise MalformedError("a chunk list's lengths do not add up to its total")
    digests = [data[at : at + length] for at in range(_BODY + 4 * count, len(data), length)]
    return ChunkList(algorithm, level, total, lengths, digests)
