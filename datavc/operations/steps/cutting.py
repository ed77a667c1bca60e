"""Cutting the small files of an add into units that make one pack each, in path order, whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datavc.workspace.listing import Folder

Wanted = list[tuple[Folder, int]]

# A unit makes one pack: at most 60 MiB, and about 24 units an add, so that 4 workers finish together and a dataset of
# 0.8 GB makes 24 packs (30 PUTs at most to push it). A file weighs 8 KiB more than its bytes: that is what it costs to open.
_UNITS, _SMALLEST_UNIT, _LARGEST_UNIT = 24, 8 << 20, 60 << 20
_UNIT_FILES = 60_000
_FILE_WEIGHT = 8 << 10


def cut_units(small: Wanted, total: int) -> Iterator[list[tuple[bytes, list[int], list[bytes], bytes]]]:
    """Cut the files, in path order, into units that make one pack each, whatever the number of workers."""
    weight = total + len(small) * _FILE_WEIGHT
    limit = min(_LARGEST_UNIT, max(_SMALLEST_UNIT, weight // _UNITS + 1))
    unit: list[tuple[bytes, list[int], list[bytes], bytes]] = []
    files = heavy = size = 0
    for folder, numbers in _by_folder(small):
        start = 0
        for place, number in enumerate(numbers):
            heavy += folder.size(number) + _FILE_WEIGHT
            size += folder.size(number)
            files += 1
            if heavy >= limit or size >= _LARGEST_UNIT or files >= _UNIT_FILES:
                unit.append(_slice(folder, numbers[start : place + 1]))
                yield unit
                unit, start, files, heavy, size = [], place + 1, 0, 0, 0
        if start < len(numbers):
            unit.append(_slice(folder, numbers[start:]))
    if unit:
        yield unit


def _by_folder(items: Iterable[tuple[Folder, int]]) -> Iterator[tuple[Folder, list[int]]]:
    current: Folder | None = None
    numbers: list[int] = []
    for folder, number in items:
        if folder is not current:
            if current is not None:
                yield current, numbers
            current, numbers = folder, []
        numbers.append(number)
    if current is not None:
        yield current, numbers


def _slice(folder: Folder, numbers: list[int]) -> tuple[bytes, list[int], list[bytes], bytes]:
    names, kinds = folder.names, folder.kinds
    return (
        folder.path,
        numbers,
        [names[number] for number in numbers],
        bytes(kinds[number] for number in numbers),
    )
