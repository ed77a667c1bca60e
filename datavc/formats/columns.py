"""Columns of little-endian integers and of digests, which trees, chunk lists, packs and pack indexes are made of.

Hot path: everything here is one C-level loop, 75 ns a digest and 3 ns an integer (``tests/benchmarks/formats.py``).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from struct import Struct, iter_unpack

_SWAP = sys.byteorder == "big"
_BATCH = 64  # digests that one unpack call cuts: one at a time takes twice as long, more are no faster


def encode_integers(typecode: str, values: Sequence[int]) -> bytes:
    """``values`` as little-endian integers of ``typecode``: I for 32 bits, Q for 64.

    Raises:
        OverflowError: one does not fit.
    """
    column = array(typecode, values)
    if _SWAP:
        column.byteswap()
    return column.tobytes()


def decode_integers(typecode: str, data: bytes | memoryview) -> array[int]:
    """What :func:`encode_integers` wrote; the length of ``data`` must be right."""
    column = array(typecode)
    column.frombytes(data)
    if _SWAP:
        column.byteswap()
    return column


def decode_digests(data: memoryview, length: int) -> list[bytes]:
    """The raw digests of ``length`` bytes each that stand back to back in ``data``."""
    whole = len(data) - len(data) % (length * _BATCH)
    digests = list(chain.from_iterable(iter_unpack(f"{length}s" * _BATCH, data[:whole])))
    digests += Struct(f"{length}s" * ((len(data) - whole) // length)).unpack(data[whole:])
    return digests


def decode_prefixes(digests: memoryview, length: int) -> array[int]:
    """The first eight bytes of each digest of ``length`` bytes, as numbers that sort as the digests do."""
    column = array("Q")
    column.frombytes(digests)
    column = column[:: length // 8]
    if not _SWAP:
        column.byteswap()
    return column


def are_digests(digests: Sequence[bytes], joined: bytes, length: int) -> bool:
    """Whether each of ``digests``, which ``joined`` holds back to back, has ``length`` bytes."""
    return len(joined) == len(digests) * length and max(map(len, digests), default=length) == length
