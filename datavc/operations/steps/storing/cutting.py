"""Cutting the small files of an add into units that make one pack each, in path order, whatever the number of workers."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from datavc.workspace.listing import Folder, Part

# A unit makes one pack: at most 60 MiB, and about 24 units an add, so that 4 workers finish together and a dataset of
# 0.8 GB makes 24 packs (30 PUTs at most to push it). A file weighs 8 KiB more than its bytes: that is what it costs to open.
# By weight a unit is bounded too: a pack holds 65,536 files.
_UNITS, _SMALLEST_UNIT, _LARGEST_UNIT = 24, 8 << 20, 256 << 20
_PACK_BYTES = 60 << 20
_FILE_WEIGHT = 8 << 10

# Per folder its path, entry numbers, names and kinds.
Cut = tuple[bytes, list[int], list[bytes], bytes]


def cut_units(small: Sequence[Part]) -> Iterator[list[Cut]]:
    """Cut the files, in path order, into units that make one pack each, whatever the number of workers."""
    weight = sum(sum(folder.sizes(numbers)) + len(numbers) * _FILE_WEIGHT for folder, numbers in small)
    limit = min(_LARGEST_UNIT, max(_SMALLEST_UNIT, weight // _UNITS + 1))
    unit: list[Cut] = []
    room, pack_room = limit, _PACK_BYTES
    for folder, numbers in small:
        # What the files up to and with each one weigh, and their bytes: a search finds where a unit is full.
        sizes = folder.sizes(numbers)
        weights = array("Q", accumulate(map(_FILE_WEIGHT.__add__, sizes)))
        reached = array("Q", accumulate(sizes))
        start = weight = size = 0
        while (
            last := min(bisect_left(weights, weight + room), bisect_left(reached, size + pack_room))
        ) < len(numbers):
            unit.append(_slice(folder, numbers[start : last + 1]))
            yield unit
            unit, room, pack_room = [], limit, _PACK_BYTES
            start, weight, size = last + 1, weights[last], reached[last]
        if start < len(numbers):
            unit.append(_slice(folder, numbers[start:]))
            room -= weights[-1] - weight
            pack_room -= reached[-1] - size
    if unit:
        yield unit


def _slice(folder: Folder, numbers: list[int]) -> Cut:
    first, last = numbers[0], numbers[-1]
    if last - first == len(numbers) - 1:
        return folder.path, numbers, folder.names[first : last + 1], bytes(folder.kinds[first : last + 1])
    names, kinds = folder.names, folder.kinds
    return (
        folder.path,
        numbers,
        [names[number] for number in numbers],
        bytes(kinds[number] for number in numbers),
    )
