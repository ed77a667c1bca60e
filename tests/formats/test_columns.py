"""Columns of integers and digests: round trips, and that prefixes sort as digests do."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.formats import columns
from datavc.formats.columns import (
    are_digests,
    decode_digests,
    decode_integers,
    decode_prefixes,
    encode_integers,
)


@given(st.lists(st.integers(0, 2**32 - 1)), st.lists(st.integers(0, 2**64 - 1)))
def test_integers_read_back(short, long):
    assert decode_integers("I", encode_integers("I", short)).tolist() == short
    assert decode_integers("Q", encode_integers("Q", long)).tolist() == long


def test_integers_are_little_endian_whatever_the_machine(monkeypatch):
    assert encode_integers("I", [1, 2**24]) == bytes([1, 0, 0, 0, 0, 0, 0, 1])
    monkeypatch.setattr(columns, "_SWAP", not columns._SWAP)
    assert encode_integers("I", [1]) == bytes([0, 0, 0, 1])
    assert decode_integers("Q", bytes([0] * 7 + [5])) == array("Q", [5])


@pytest.mark.parametrize("value", [-1, 2**32])
def test_a_number_that_does_not_fit_is_refused(value):
    with pytest.raises(OverflowError):
        encode_integers("I", [value])


@pytest.mark.parametrize("length", [16, 32])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 200])
def test_digests_read_back(count, length):
    digests = [bytes([n]) * length for n in range(count)]
    joined = b"".join(digests)

    assert decode_digests(memoryview(joined), length) == digests
    assert are_digests(digests, joined, length)


def test_digests_of_other_lengths_are_noticed_even_where_the_sum_is_right():
    assert not are_digests([b"a" * 15, b"b" * 17], b"a" * 15 + b"b" * 17, 16)
    assert not are_digests([b"a" * 15], b"a" * 15, 16)


@given(st.sampled_from([16, 32]), st.lists(st.binary(min_size=32, max_size=32), max_size=20))
def test_prefixes_sort_as_the_digests_do(length, long):
    digests = sorted(digest[:length] for digest in long)
    prefixes = decode_prefixes(memoryview(b"".join(digests)), length).tolist()

    assert prefixes == sorted(prefixes)
    assert prefixes == [int.from_bytes(digest[:8], "big") for digest in digests]
