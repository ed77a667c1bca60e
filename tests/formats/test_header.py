"""The header of binary files: round trips, and what readers refuse by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import MalformedError, UnsupportedFormat
from datavc.formats.chunklist import CHUNK_LIST
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import HEADER_BYTES, decode_header, encode_header, require_algorithm
from datavc.formats.pack import PACK
from datavc.formats.packindex import PACK_INDEX
from datavc.formats.tree import TREE

FILE_TYPES = [TREE, PACK, CHUNK_LIST, PACK_INDEX]


@given(st.sampled_from(FILE_TYPES), st.sampled_from(sorted(ALGORITHMS)), st.integers(0, 255), st.binary())
def test_what_is_written_reads_back(file_type, algorithm, extra, rest):
    data = encode_header(file_type, algorithm, extra)

    assert len(data) == HEADER_BYTES
    assert decode_header(data + rest, file_type, extras=256) == (algorithm, extra)


def test_the_headers_of_every_file_type_stand():
    assert {file_type.name: encode_header(file_type, "xxh128").hex() for file_type in FILE_TYPES} == {
        "tree": "6476545201010000",
        "pack": "6476504b01010000",
        "chunk list": "6476434c01010000",
        "pack index": "6476495801010000",
    }
    assert [encode_header(TREE, name)[5] for name in ("xxh128", "blake3", "sha256")] == [1, 2, 3]


@given(st.binary(max_size=12), st.sampled_from(FILE_TYPES))
def test_any_bytes_give_a_header_or_an_error_of_datavc(data, file_type):
    try:
        algorithm, extra = decode_header(data, file_type)
    except MalformedError:
        return
    header = encode_header(file_type, algorithm, extra)
    assert header[:4] + header[5:] == data[:4] + data[5:HEADER_BYTES]
    assert data[4] in file_type.known


@pytest.mark.parametrize("file_type", FILE_TYPES, ids=lambda file_type: file_type.name)
def test_a_later_format_is_refused_by_its_number(file_type):
    data = file_type.magic + bytes([7, 1, 0, 0])

    with pytest.raises(UnsupportedFormat, match=f"{file_type.name} has format 7") as refused:
        decode_header(data, file_type)

    assert refused.value.hint == "pip install -U datavc"


def test_an_unknown_algorithm_is_refused_by_its_number():
    with pytest.raises(UnsupportedFormat, match="this tree: digest algorithm number 9"):
        decode_header(TREE.magic + bytes([1, 9, 0, 0]), TREE)


@pytest.mark.parametrize(
    "data", [b"", b"dvTR", b"dvPK\1\1\0\0", b"dvTR\1\1\0", b"dvTR\1\1\1\0", b"dvTR\1\1\0\1"]
)
def test_no_header_of_a_tree_is_refused(data):
    with pytest.raises(MalformedError):
        decode_header(data, TREE)


def test_a_file_of_another_algorithm_is_refused():
    require_algorithm("sha256", "sha256", TREE)
    with pytest.raises(MalformedError, match="this tree has digests of sha256 where xxh128 is in use"):
        require_algorithm("sha256", "xxh128", TREE)
