"""The record: round trips, what readers refuse, and the bytes of format 0."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import DatavcError, MalformedError, UnsupportedFormat, UsageError
from datavc.formats.digest import Digest
from datavc.formats.record import MAX_RECORD_BYTES, Data, decode_record, encode_record

GOLDEN = Path(__file__).parents[1] / "golden"
MADE = "xxh128:33119477ede5dcd5e9716427681d5860"
MAKER = "xxh128:99aa06d3014798d86001c324468d497f"
INPUT = Data(
    b"data/tr\xe4in", "folder", Digest.parse(MADE), 812, 3, declared=True, record=Digest.parse(MAKER)
)
OUTPUT = Data(b"model.bin", "file", Digest.parse(MAKER), 7, 1, declared=False)
VALUES: dict[str, Any] = {
    "format": 1,
    "status": "ok",
    "stage": "train",
    "command": {"argv": ["python", "train.py", "é"], "folder": "", "shell": False},
    "exit": {"code": 0, "signal": None},
    "time": {"start": "2026-01-31T12:00:00.5Z", "end": "2026-01-31T12:00:01Z", "user_ms": 12},
    "inputs": [INPUT.to_json()],
    "outputs": [OUTPUT.to_json()],
    "reads": "partial",
    "resumes": None,
    "params": {"lr": 0.1},
    "objects": {"stdout": {"kind": "file", "digest": MADE, "size": 5, "files": 1}},
    "a later version wrote this": [1, {"x": None}],
}
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def changed(**values: Any) -> bytes:
    return json.dumps({**VALUES, **values}, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("number", [0, 1])
def test_the_golden_records_stand_for_ever_with_their_digests(number: int):
    golden = (GOLDEN / f"record-format{number}.json").read_bytes()
    values = {**VALUES, "format": number}
    assert decode_record(golden).values == values
    # Who reads one and writes it again, as a transfer does, must not change its digest.
    assert encode_record(values) == golden


def test_what_was_written_is_read():
    record = decode_record(encode_record(VALUES))

    assert record.values == VALUES
    assert (record.inputs, record.outputs) == ((INPUT,), (OUTPUT,))
    assert record.parents == [Digest.parse(MAKER)]
    assert record.objects["stdout"].size == 5


@given(st.dictionaries(st.text(max_size=6).map("x-{}".format), plain, max_size=4))
def test_unknown_keys_are_kept(extra: dict[str, Any]):
    data = encode_record({**VALUES, **extra})

    assert encode_record(decode_record(data).values) == data


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "fine"},
        {"command": {"argv": [], "folder": ""}},
        {"command": {"argv": ["x"], "folder": "../up"}},
        {"command": {"argv": "x", "folder": ""}},
        {"command": None},
        {"time": {"start": "yesterday", "end": "2026-01-31T12:00:01Z"}},
        {"inputs": {}},
        {"inputs": [7]},
        {"inputs": [{**INPUT.to_json(), "path": "a/../b"}]},
        {"inputs": [{**INPUT.to_json(), "path": "/a//b"}]},
        {"inputs": [{**INPUT.to_json(), "digest": "md5:00"}]},
        {"outputs": [{**OUTPUT.to_json(), "declared": 1}]},
        {"outputs": [{**OUTPUT.to_json(), "size": -1}]},
        {"outputs": [OUTPUT.to_json()] * 1001},
        {"resumes": "nothing"},
        {"reads": "some"},
        {"objects": []},
        {"objects": {"a": 1}},
        {"x": 2**63},
    ],
    ids=str,
)
def test_what_is_wrong_with_a_field_is_refused_by_reader_and_writer(wrong: dict[str, Any]):
    with pytest.raises(MalformedError):
        decode_record(changed(**wrong))
    with pytest.raises(UsageError):
        encode_record({**VALUES, **wrong})


def test_other_formats_are_refused_by_name():
    with pytest.raises(UnsupportedFormat, match="format 7"):
        decode_record(changed(format=7))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]\n",
        encode_record(VALUES)[:-1],
        encode_record(VALUES) + b" ",
        b" " + encode_record(VALUES),
        encode_record(VALUES).replace(b'"format":1', b'"format":1,"format":1'),
        encode_record(VALUES).replace(b'"lr":0.1', b'"lr":0.10'),
        encode_record(VALUES).replace(b'"lr":0.1', b'"lr":NaN'),
        encode_record(VALUES).replace(b'"lr":0.1', b'"lr":1e999'),
        encode_record(VALUES).replace(b"\\u00e9", "é".encode()),
        b"[" * 100_000,
        b" " * (MAX_RECORD_BYTES + 1),
    ],
)
def test_any_other_spelling_is_refused(data: bytes):
    with pytest.raises(MalformedError):
        decode_record(data)


def test_a_record_that_is_too_long_is_not_written():
    with pytest.raises(UsageError, match="longer than"):
        encode_record({**VALUES, "x": "y" * MAX_RECORD_BYTES})


@given(st.binary(max_size=60), st.integers(0, 10_000), st.integers(0, 20))
def test_any_bytes_are_read_or_refused(piece: bytes, at: int, cut: int):
    data = encode_record(VALUES)
    at %= len(data)
    with contextlib.suppress(DatavcError):
        decode_record(data[:at] + piece + data[at + cut :])


@given(plain)
def test_any_values_in_any_field_are_read_or_refused(value: Any):
    for name in VALUES:
        with contextlib.suppress(DatavcError):
            decode_record(changed(**{name: value}))
