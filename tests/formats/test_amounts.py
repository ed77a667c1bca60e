"""Amounts as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.formats import amounts


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2**63 - 1, "8.0 EiB"),
    ],
)
def test_sizes_are_told_in_the_unit_that_fits(size: int, text: str):
    assert amounts.human_size(size) == text


@given(st.integers(0, 2**63 - 1))
def test_a_size_is_never_longer_than_a_column(size: int):
    assert len(amounts.human_size(size)) <= len("1023.9 KiB")


def test_counts_agree_with_their_noun():
    assert amounts.count(1, "file") == "1 file"
    assert amounts.count(0, "file") == "0 files"
    assert amounts.count(12345, "file") == "12,345 files"
    assert amounts.count(2, "copy", "copies") == "2 copies"
