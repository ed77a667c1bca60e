"""What of an object is wanted, and which of the pieces that it consists of that is."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple


class Part(NamedTuple):
    """Bytes ``start`` to ``stop`` of the object ``digest`` of ``size`` bytes (None: all of it, however long it is)."""

    digest: bytes
    size: int | None
    start: int
    stop: int


class Pieces(NamedTuple):
    """What an object consists of, and where each piece begins; behind a chunk list, the last of ``starts`` is its length."""

    digests: list[bytes]
    starts: list[int]


def span_of(part: Part, pieces: Pieces) -> slice:
    """Which pieces of its object a part lies in."""
    if len(pieces.digests) == 1:
        return slice(0, 1)
    first = max(bisect_right(pieces.starts, part.start) - 1, 0)
    return slice(first, max(bisect_left(pieces.starts, part.stop), first))
