"""Paths held by folder: a set of paths in all that is asked of it, and what a record says of them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from datavc.formats.digest import Digest
from datavc.formats.record import Data
from datavc.lineage.byfolder import ByFolder
from datavc.operations.steps.runs.rundata import Sorted, files_object

# Slashes, names that need quoting, names that look quoted, and bytes that are no text.
NAME = st.sampled_from(
    [b"a", b"b.py", b'"', b"\\u0000", b"\\", b"caf\xc3\xa9", b"\xff", b"\xf0\x9f\x8e\xb2", b"\n"]
)
PATHS = st.sets(st.lists(NAME, min_size=1, max_size=3).map(lambda names: b"/" + b"/".join(names)))


@given(PATHS, PATHS)
def test_it_is_a_set_of_paths(some: set[bytes], others: set[bytes]):
    held, more = ByFolder(some), ByFolder(others)

    assert set(held) == some
    assert len(held) == len(some)
    assert set(held - more) == some - others
    assert set(held & more) == some & others
    assert all((path in held) == (path in some) for path in some | others)
    assert all(held.folders.values()) and all((held - more).folders.values())
    held.include(more)
    assert set(held) == some | others
    assert set(more) == others


@given(PATHS, PATHS, PATHS, PATHS)
def test_the_list_of_files_has_each_once_as_any_reader_of_json_sees_it(
    members: set[bytes], data: set[bytes], code: set[bytes], hashed: set[bytes]
):
    digest = Digest("xxh128", bytes(16))
    rows = {path: Data(path, "file", digest, 1, 1, declared=False) for path in hashed}
    seen = Sorted({b"a": ByFolder(members)}, data, code)
    repo: Any = SimpleNamespace(root_bytes=b"/a")
    read = [json.loads(line) for line in files_object(repo, {"read": seen}, rows)]

    expected = {("data", path) for path in members | data} | {("code", path) for path in code}
    assert len(read) == len(expected)
    for row in read:
        path = row["path"].encode("utf-8", "surrogateescape")
        whole = path if path.startswith(b"/") else b"/a/" + path
        assert (row["role"], whole) in expected
        assert row["digest"] == (str(digest) if whole in hashed else None)
        assert row["way"] == "read"
