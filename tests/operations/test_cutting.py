"""Units of an add: every file in exactly one, in path order, and no unit more than a pack holds."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from datavc.operations.steps.storing.cutting import cut_units
from datavc.workspace.listing import Folder

PACK_BYTES, LARGEST_FILE, PACK_ENTRIES = 60 << 20, 1 << 20, 65_536
sizes = st.lists(st.sampled_from([0, 1, 8192, 300_000, LARGEST_FILE]), min_size=1, max_size=400)


def folder(number: int, lengths: list[int]) -> Folder:
    stats = array("q")
    for length in lengths:
        stats.extend((length, 0, 0, 0))
    names = [b"%06d" % place for place in range(len(lengths))]
    return Folder(b"data/%d" % number, names, bytearray(len(lengths)), stats, [None] * len(lengths))


@given(st.lists(sizes, max_size=4), st.integers(1, 60))
def test_each_file_is_in_one_unit_in_order_and_a_unit_fits_into_a_pack(folders: list[list[int]], times: int):
    made = [folder(number, lengths * times) for number, lengths in enumerate(folders)]
    small = [(one, list(range(len(one.names)))) for one in made]
    by_path = {one.path: one for one in made}
    cut = []
    for unit in cut_units(small):
        lengths = [by_path[path].size(number) for path, numbers, _, _ in unit for number in numbers]
        assert sum(lengths[:-1]) < PACK_BYTES
        assert len(lengths) <= PACK_ENTRIES
        cut += [(path, number) for path, numbers, _, _ in unit for number in numbers]
    assert cut == [(one.path, number) for one, numbers in small for number in numbers]


def test_a_hundred_thousand_files_of_8_kib_make_24_units():
    small = [(one, list(range(1000))) for one in (folder(number, [8192] * 1000) for number in range(100))]
    assert len(list(cut_units(small))) == 24


def test_files_of_a_million_bytes_make_units_of_a_whole_pack():
    small = [(folder(0, [1_000_000] * 3000), list(range(3000)))]
    assert {len(unit[0][1]) for unit in cut_units(small)} <= {63, 3000 % 63}
