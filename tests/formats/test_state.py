"""Workspace state: round trips, what readers refuse, and the bytes of format 0."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat, UsageError
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.fields import KINDS
from datavc.formats.sealed import seal
from datavc.formats.state import MAX_STATE_BYTES, Checkout, WorkspaceState, decode_state, encode_state

GOLDEN = Path(__file__).parents[1] / "golden"
BASE = Digest.parse("xxh128:33119477ede5dcd5e9716427681d5860")
TARGET = Digest.parse("xxh128:99aa06d3014798d86001c324468d497f")
FULL = WorkspaceState(
    path=b"data/tr\xe4in \xc3\xa9\n",
    base=BASE,
    kind="folder",
    partial=(b"a/b", b"c"),
    checkout=Checkout(TARGET, "folder", (b"a/b", b"\xff"), "2026-01-31T12:00:00Z"),
)

digests = st.sampled_from(sorted(ALGORITHMS)).flatmap(
    lambda name: st.binary(min_size=ALGORITHMS[name].length, max_size=ALGORITHMS[name].length).map(
        lambda raw: Digest(name, raw)
    )
)
names = st.binary(min_size=1, max_size=6).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)
paths = st.lists(names, min_size=1, max_size=4).map(b"/".join)
path_lists = st.none() | st.lists(paths, max_size=4).map(tuple)
kinds = st.sampled_from(KINDS)
checkouts = st.builds(Checkout, digests, kinds, path_lists, st.just("2026-01-31T12:00:00.25Z"))
states = st.builds(WorkspaceState, paths, digests, kinds, path_lists, st.none() | checkouts) | st.builds(
    WorkspaceState, paths, partial=path_lists, checkout=st.none() | checkouts
)


@given(states)
def test_what_is_written_reads_back_as_the_same_state(state: WorkspaceState) -> None:
    data = encode_state(state)

    assert decode_state(data, "state") == state
    assert data.isascii()
    assert data.count(b"\n") == 2


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("state-format{}-new.txt", WorkspaceState(b"train")),
        ("state-format{}-full.txt", FULL),
    ],
)
def test_the_golden_states_stand_for_ever(name: str, state: WorkspaceState) -> None:
    for number in (0, 1):
        golden = (GOLDEN / name.format(number)).read_bytes()
        assert decode_state(golden, name) == state
    assert encode_state(state) == golden


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    data = bytearray(encode_state(FULL))
    data[position % len(data)] ^= change

    with pytest.raises(MalformedError, match="state"):
        decode_state(bytes(data), "state")


@given(st.integers(0, 10_000))
def test_a_state_cut_off_anywhere_is_refused(length: int) -> None:
    data = encode_state(FULL)

    with pytest.raises(MalformedError):
        decode_state(data[: length % len(data)], "state")


@given(st.binary(max_size=200))
def test_any_bytes_give_an_error_of_datavc(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_state(data, "state")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(str(BASE)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(["format", "path", "base", "kind", "partial", "checkout"]), json_values)
def test_any_sealed_field_gives_a_state_or_an_error_of_datavc(field: str, value: Any) -> None:
    with contextlib.suppress(DatavcError):
        state = decode_state(changed(**{field: value}), "state")
        assert (state.base is None) == (state.kind is None)


@given(st.sampled_from(["target", "kind", "paths", "since"]), json_values)
def test_any_sealed_checkout_gives_a_state_or_an_error_of_datavc(field: str, value: Any) -> None:
    with contextlib.suppress(DatavcError):
        decode_state(changed(checkout={**fields()["checkout"], field: value}), "state")


def fields() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(encode_state(FULL).splitlines()[0])
    return values


def changed(**values: Any) -> bytes:
    return seal({**fields(), **values}, "state", MAX_STATE_BYTES)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"path": "/etc"}, "'path' must be a relative path"),
        ({"path": "a/../b"}, "'path' must be a relative path"),
        ({"path": ""}, "'path' must be a relative path"),
        ({"path": "a\0"}, "'path' must be a relative path"),
        ({"path": "\ud800"}, "'path' must be a relative path"),
        ({"path": "\udcc3\udca9"}, "'path' must be a relative path"),  # é has another spelling
        ({"base": None}, "'kind' must be null where there is no base"),
        ({"base": 5}, "'base' must be a text"),
        ({"kind": None}, "'kind' must be one of"),
        ({"partial": "a"}, "'partial' must be a list of paths"),
        ({"partial": ["a", 5]}, "'partial' must be a relative path"),
        ({"checkout": []}, "'checkout' must be a table"),
        ({"checkout": {}}, "'checkout' has no 'target'"),
    ],
)
def test_readers_refuse(values: dict[str, Any], says: str) -> None:
    with pytest.raises(MalformedError) as refused:
        decode_state(changed(**values), "state of 'train'")

    assert refused.value.message.startswith("state of 'train'")
    assert says in refused.value.message


def test_a_missing_field_is_named() -> None:
    values = fields()
    del values["partial"]

    with pytest.raises(MalformedError, match="has no 'partial'"):
        decode_state(seal(values, "state", MAX_STATE_BYTES), "state")


def test_unknown_formats_are_refused_by_name() -> None:
    with pytest.raises(UnsupportedFormat, match="format 3"):
        decode_state(changed(format=3), "state")


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b'{"format":0,"format":0}',
        b'{"format":NaN}',
        b"[" * 100_000,
        b'{"format":' + b"9" * 5000 + b"}",
        b'{"format":0}' + b" " * MAX_STATE_BYTES,
        b"{\xff}",
    ],
    ids=["array", "doubled key", "NaN", "deep", "long number", "too long", "not ascii"],
)
def test_valid_seals_around_bad_json_are_refused(line: bytes) -> None:
    body = line + b"\n"

    with pytest.raises(MalformedError):
        decode_state(body + str(Digest.of("xxh128", body)).encode() + b"\n", "state")


@pytest.mark.parametrize(
    "state",
    [
        WorkspaceState(b"../train"),
        WorkspaceState(b"train", base=BASE),
        WorkspaceState(b"train", kind="file"),
        WorkspaceState(b"train", partial=(b"x" * MAX_STATE_BYTES,)),
        WorkspaceState(b"train", checkout=Checkout(TARGET, "file", None, "yesterday")),
    ],
)
def test_what_no_reader_would_take_is_not_written(state: WorkspaceState) -> None:
    with pytest.raises(UsageError):
        encode_state(state)
