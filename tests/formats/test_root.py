"""The root: round trips, what readers refuse, and the bytes of format 0."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat, UsageError
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.root import MAX_ROOT_BYTES, ROOT_KINDS, Root, decode_root, encode_root
from datavc.formats.sealed import seal

GOLDEN = Path(__file__).parents[1] / "golden"
INDEX = "xxh128-99aa06d3014798d86001c324468d497f"
DATASET = Root(
    digest=Digest.parse("xxh128:33119477ede5dcd5e9716427681d5860"),
    kind="folder",
    size=812_345_678,
    files=100_000,
    path=b"data/tr\xe4in \xc3\xa9",
    repo="0123456789abcdef0123456789abcdef",
    commit="8b137891791fe96927ad78e64b0aad7bded08bdc",
    who="Zoë <zoe@example.org>",
    when="2026-01-31T12:00:00Z",
    nonce="00112233445566778899aabbccddeeff",
    indexes=(INDEX, "xxh128-33119477ede5dcd5e9716427681d5860"),
    client="datavc 0.1.0",
)
RECORD = dataclasses.replace(
    DATASET,
    digest=Digest("sha256", bytes(range(32))),
    kind="record",
    files=3,
    path=b"",
    commit=None,
    complete=False,
    saved=True,
)

digests = st.sampled_from(sorted(ALGORITHMS)).flatmap(
    lambda name: st.binary(min_size=ALGORITHMS[name].length, max_size=ALGORITHMS[name].length).map(
        lambda raw: Digest(name, raw)
    )
)
names = st.binary(min_size=1, max_size=6).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
counts = st.integers(0, 2**63 - 1)


def hex_digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=least, max_size=most).map(bytes.hex)


roots = st.builds(
    Root,
    digest=digests,
    kind=st.sampled_from(ROOT_KINDS),
    size=counts,
    files=counts,
    path=st.lists(names, min_size=1, max_size=4).map(b"/".join),
    repo=hex_digits(16, 16),
    commit=st.none() | hex_digits(20, 20) | hex_digits(32, 32),
    who=texts,
    when=st.just("2026-01-31T12:00:00.123456Z"),
    nonce=hex_digits(8, 32),
    indexes=st.lists(hex_digits(16, 16).map("xxh128-{}".format), min_size=1, max_size=16, unique=True).map(
        tuple
    ),
    complete=st.booleans(),
    saved=st.booleans(),
    client=texts,
)


@given(roots)
def test_what_is_written_reads_back_as_the_same_root(root: Root) -> None:
    data = encode_root(root)

    assert decode_root(data) == root
    assert data.isascii()


@pytest.mark.parametrize(
    ("name", "root"), [("root-format{}-dataset.txt", DATASET), ("root-format{}-record.txt", RECORD)]
)
def test_the_golden_roots_stand_for_ever(name: str, root: Root) -> None:
    for number in (0, 1):
        golden = (GOLDEN / name.format(number)).read_bytes()
        assert decode_root(golden, name) == root
    assert encode_root(root) == golden


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    data = bytearray(encode_root(DATASET))
    data[position % len(data)] ^= change

    with pytest.raises(MalformedError):
        decode_root(bytes(data))


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error_of_datavc(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_root(data)


def fields() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(encode_root(DATASET).splitlines()[0])
    return values


def changed(**values: Any) -> bytes:
    return seal({**fields(), **values}, "root", MAX_ROOT_BYTES)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(INDEX),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(fields())), json_values)
def test_any_sealed_field_gives_a_root_or_an_error_of_datavc(field: str, value: Any) -> None:
    with contextlib.suppress(DatavcError):
        root = decode_root(changed(**{field: value}))
        assert decode_root(encode_root(root)) == root


@given(st.sampled_from(sorted(fields())))
def test_a_missing_field_is_named_unless_it_may_be_null(field: str) -> None:
    values = fields()
    del values[field]
    data = seal(values, "root", MAX_ROOT_BYTES)

    if field == "commit":
        assert decode_root(data).commit is None
    else:
        with pytest.raises(MalformedError, match=f"the root has no '{field}'"):
            decode_root(data)


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode_root(changed(later={"x": 1})) == DATASET


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"kind": "tree"}, "'kind' must be one of file, executable, symlink, folder, record"),
        ({"size": -1}, "'size' must be a whole number"),
        ({"size": 2**63}, "'size' must be a whole number"),
        ({"files": True}, "'files' must be a whole number"),
        ({"path": ""}, "'path' must be a relative path"),
        ({"path": "../train"}, "'path' must be a relative path"),
        ({"repo": "../../etc"}, "'repo' must be a repo id"),
        ({"commit": "main"}, "'commit' must be a commit id"),
        ({"who": "\udcff"}, "'who' must be a text"),
        ({"when": "2026-01-31 12:00"}, "'when' must be a time in UTC"),
        ({"when": "2026-13-31T12:00:00Z"}, "'when' must be a time in UTC"),
        ({"nonce": "xyz"}, "'nonce' must be 16 to 64 hex digits"),
        ({"indexes": []}, "'indexes' must be a list of 1 to 16"),
        (
            {"indexes": [f"xxh128-{number:032x}" for number in range(17)]},
            "'indexes' must be a list of 1 to 16",
        ),
        ({"indexes": [INDEX, INDEX]}, "'indexes' must be a list"),
        ({"indexes": ["../" + INDEX]}, "'indexes' must be a list"),
        ({"indexes": [[]]}, "'indexes' must be a list"),
        ({"indexes": INDEX}, "'indexes' must be a list"),
        ({"complete": 1}, "'complete' must be true or false"),
        ({"saved": None}, "'saved' must be true or false"),
    ],
)
def test_readers_refuse(values: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedError) as refused:
        decode_root(changed(**values), "roots/x")

    assert refused.value.message.startswith("roots/x")
    assert says in refused.value.message


@pytest.mark.parametrize("values", [{"format": 3}, {"digest": "md5:" + "0" * 32}])
def test_unknown_formats_and_algorithms_are_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedFormat, match=r"format 3|'md5'"):
        decode_root(changed(**values))


def test_longer_than_64_kib_is_neither_written_nor_read() -> None:
    with pytest.raises(UsageError, match="more than 65,536"):
        encode_root(dataclasses.replace(DATASET, who="x" * MAX_ROOT_BYTES))
    with pytest.raises(MalformedError, match="longer than 65,536 bytes"):
        decode_root(b"x" * (MAX_ROOT_BYTES + 1))


@pytest.mark.parametrize(
    "changes", [{"path": b"/etc"}, {"indexes": ()}, {"nonce": ""}, {"size": -1}, {"who": "\udcff"}]
)
def test_what_no_reader_would_take_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="the root"):
        encode_root(dataclasses.replace(DATASET, **changes))
