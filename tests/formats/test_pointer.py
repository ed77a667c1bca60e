"""The pointer: round trips, what readers refuse, and the bytes that format 0 has for ever."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from datavc.errors import ConflictError, DatavcError, MalformedError, UnsupportedFormat, UsageError
from datavc.formats.digest import ALGORITHMS, Digest
from datavc.formats.fields import KINDS
from datavc.formats.pointer import MAX_POINTER_BYTES, Pointer, format_pointer, parse_pointer

GOLDEN = Path(__file__).parents[1] / "golden"
DIGEST = Digest.parse("xxh128:33119477ede5dcd5e9716427681d5860")
RECORD = "xxh128:99aa06d3014798d86001c324468d497f"
FULL = Pointer(
    kind="folder",
    digest=DIGEST,
    size=812_345_678,
    files=100_000,
    extra={
        "run": {"record": RECORD, "stage": "resize", "command": 'python resize.py --size 64 "raw images"'},
        "import": {"url": "https://example.org/data.git", "rev": "v1.2", "path": "images"},
        "later": {"b": [1, 2.5, {"deep": True}], "a": datetime.date(2026, 1, 31)},
        "note": "kept as it is: é\n",
    },
)

digests = st.sampled_from(sorted(ALGORITHMS)).flatmap(
    lambda name: st.binary(min_size=ALGORITHMS[name].length, max_size=ALGORITHMS[name].length).map(
        lambda raw: Digest(name, raw)
    )
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
    | st.dates()
    | st.times()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
KNOWN = {"format", "kind", "digest", "size", "files", "run", "import"}
extras = st.dictionaries(texts.filter(lambda key: key not in KNOWN), values, max_size=4)


@st.composite
def pointers(draw: st.DrawFn) -> Pointer:
    kind = draw(st.sampled_from(KINDS))
    files = draw(st.integers(0, 2**63 - 1)) if kind == "folder" else 1
    return Pointer(kind, draw(digests), draw(st.integers(0, 2**63 - 1)), files, draw(extras))


def with_line(old: bytes, new: bytes) -> bytes:
    plain = format_pointer(Pointer("file", DIGEST, 5, 1))
    assert old in plain
    return plain.replace(old, new)


@given(pointers())
def test_what_is_written_reads_back_as_the_same_pointer(pointer: Pointer) -> None:
    try:
        data = format_pointer(pointer)
    except UsageError as error:
        assume("longer than" not in error.message)
        raise

    assert parse_pointer(data, "train.datavc") == pointer
    assert format_pointer(parse_pointer(data, "train.datavc")) == data


@given(extras)
def test_the_order_in_which_keys_were_given_makes_no_difference(extra: dict[str, Any]) -> None:
    pointer = Pointer("file", DIGEST, 5, 1, extra)
    turned = dataclasses.replace(pointer, extra=dict(reversed(extra.items())))
    try:
        data = format_pointer(pointer)
    except UsageError:
        assume(False)

    assert format_pointer(turned) == data


@given(st.binary(max_size=MAX_POINTER_BYTES))
def test_any_bytes_give_a_pointer_or_an_error_of_datavc(data: bytes) -> None:
    with contextlib.suppress(DatavcError):
        parse_pointer(data, "train.datavc")


@given(st.data())
def test_a_damaged_pointer_gives_a_pointer_or_an_error_of_datavc(data: st.DataObject) -> None:
    golden = bytearray((GOLDEN / "pointer-format1-folder.datavc").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(golden)))
        end = data.draw(st.integers(start, min(len(golden), start + 20)))
        golden[start:end] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"[", b"]", b".", b'"', b"=", b"1e400"])
        )
    try:
        pointer = parse_pointer(bytes(golden), "train.datavc")
    except DatavcError:
        return
    assert pointer.kind in KINDS


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("pointer-format{}-file.datavc", Pointer("file", DIGEST, 5, 1)),
        (
            "pointer-format{}-symlink-blake3.datavc",
            Pointer("symlink", Digest("blake3", bytes(range(32))), 11, 1),
        ),
        ("pointer-format{}-folder.datavc", FULL),
    ],
)
def test_the_golden_pointers_stand_for_ever(name: str, pointer: Pointer) -> None:
    for number in (0, 1):
        golden = (GOLDEN / name.format(number)).read_bytes()
        assert parse_pointer(golden, name) == pointer
    assert format_pointer(pointer) == golden


def test_run_and_import_can_be_asked_for() -> None:
    assert FULL.run is not None
    assert FULL.run["record"] == RECORD
    assert FULL.imported is not None
    assert FULL.imported["rev"] == "v1.2"
    assert Pointer("file", DIGEST, 5, 1).run is None


def test_comments_line_endings_and_order_of_other_writers_are_read() -> None:
    data = f"# mine\r\nfiles=1\r\nsize=0x05\r\ndigest='{DIGEST}'\r\nkind = 'file' # a file\r\nformat = 0\r\n".encode()

    assert parse_pointer(data, "train.datavc") == Pointer("file", DIGEST, 5, 1)


def test_merge_conflict_markers_are_named_as_such() -> None:
    ours, theirs = format_pointer(Pointer("file", DIGEST, 5, 1)), format_pointer(FULL)
    conflicted = (
        b"<<<<<<< HEAD\n" + ours + b"||||||| base\n" + theirs + b"=======\n" + theirs + b">>>>>>> topic\n"
    )

    with pytest.raises(ConflictError, match=r"data/train\.datavc has merge conflict markers"):
        parse_pointer(conflicted, "data/train.datavc")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (b"format = 1\n", b"", "has no 'format'"),
        (b"format = 1", b"format = true", "'format' must be a whole number"),
        (b"format = 1", b'format = "0"', "'format' must be a whole number"),
        (b'"file"', b'"record"', "'kind' must be one of file, executable"),
        (b'"file"', b"['file']", "'kind' must be one of"),
        (b"xxh128:", b"xxh128-", "is not a digest"),
        (b"xxh128:33", b"xxh128:AA", "is not a digest"),
        (b"xxh128:33", b"xxh128:", "should have 32 hex digits"),
        (b"size = 5", b"size = -1", "'size' must be a whole number"),
        (b"size = 5", b"size = 5.0", "'size' must be a whole number"),
        (b"size = 5", b"size = false", "'size' must be a whole number"),
        (b"size = 5", b"size = 9223372036854775808", "beyond 64 bits"),
        (b"files = 1", b"files = 2", "'files' must be 1 for a file"),
        (b"files = 1", b"files = 1\nrun = 5", "'run' must be a table"),
        (b"files = 1", b"files = 1\n[run]\nstage = 'a'", "has no 'record'"),
        (b"files = 1", b"files = 1\n[import]\nurl = 5", "'url' must be a text"),
        (b"files = 1", b"files = 1\nfiles = 1", "not valid TOML"),
        (b"files = 1", b"files = 1\nx = '\xff'", "not valid TOML"),
        (b"files = 1", b"files = 1\nx = " + b"9" * 900, "beyond 64 bits"),
        (b"files = 1", b"files = 1\nx = " + b"[" * 40 + b"]" * 40, "nested deeper than 16"),
        (b"files = 1", b"files = 1\nx = " + b"[" * 800, ""),
        (b"files = 1", b"files = 1\n" + b"a." * 40 + b"a = 1", "nested deeper than 16"),
        (b"files = 1", b"files = 1\n#" + b"-" * 1024, "longer than 1,024 bytes"),
    ],
)
def test_readers_refuse(old: bytes, new: bytes, says: str) -> None:
    with pytest.raises(MalformedError) as refused:
        parse_pointer(with_line(old, new), "train.datavc")

    assert refused.value.message.startswith("train.datavc")
    assert says in refused.value.message


@pytest.mark.parametrize(("old", "new"), [(b"format = 1", b"format = 7"), (b"xxh128:", b"xxh256:")])
def test_unknown_formats_and_algorithms_are_refused_by_name(old: bytes, new: bytes) -> None:
    with pytest.raises(UnsupportedFormat, match=r"train\.datavc.*(format 7|'xxh256')"):
        parse_pointer(with_line(old, new), "train.datavc")


@pytest.mark.parametrize(
    "pointer",
    [
        Pointer("file", DIGEST, 5, 1, {"note": "x" * 1000}),
        Pointer("file", DIGEST, 5, 1, {"note": None}),
        Pointer("file", DIGEST, 5, 1, {"note": "\udcff"}),
        Pointer("file", DIGEST, -1, 1),
        Pointer("file", DIGEST, 5, 2),
        Pointer("record", DIGEST, 5, 1),
        Pointer("file", DIGEST, 5, 1, {"run": {"command": "true"}}),
        Pointer("file", DIGEST, 5, 1, {"size": 6}),
        Pointer("file", DIGEST, 5, 1, {"note": 2**63}),
    ],
)
def test_what_no_reader_would_take_is_not_written(pointer: Pointer) -> None:
    with pytest.raises(UsageError):
        format_pointer(pointer)


@given(pointers())
def test_a_plain_pointer_reads_as_one_that_is_written_otherwise(pointer: Pointer) -> None:
    plain = format_pointer(pointer)

    assert parse_pointer(plain, "here") == parse_pointer(
        b"# a comment keeps the short way out\n" + plain, "here"
    )
