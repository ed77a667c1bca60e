"""Editing files that belong to the user: nothing but the one line changes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import ConflictError, StorageError
from datavc.git.linefile import append_line, drop_line, edit_file, lines_of

MARK = b"\xef\xbb\xbf"
texts = st.lists(st.sampled_from([b"a", b"b", b"", b"\r", b"\n", b"\r\n", b" ", MARK]), max_size=12).map(
    b"".join
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"x\n"),
        (b"a\n", b"a\nx\n"),
        (b"a", b"a\nx\n"),
        (b"a\r\n", b"a\r\nx\r\n"),
        (b"a\r\nb", b"a\r\nb\r\nx\r\n"),
        (b"a\r\nb\n", b"a\r\nb\nx\n"),
        (b"\n\n", b"\n\nx\n"),
        (MARK, MARK + b"x\n"),
        (MARK + b"a", MARK + b"a\nx\n"),
    ],
)
def test_a_line_is_appended_in_the_way_the_file_ends_its_lines(before: bytes, after: bytes):
    assert append_line(before, b"x") == after


def test_lines_are_read_as_git_reads_them():
    assert lines_of(MARK + b"a\r\nb\rc\n\n d") == [b"a", b"b\rc", b"", b" d"]


@given(texts)
def test_what_was_there_stays_as_it_was(text: bytes):
    after = append_line(text, b"new")

    assert after.startswith(text)
    assert lines_of(after) == [*lines_of(append_line(text, b"-"))[:-1], b"new"]


@given(texts)
def test_dropping_undoes_appending(text: bytes):
    assert drop_line(append_line(text, b"new"), b"new").removesuffix(b"\n").removesuffix(b"\r") in (
        text,
        text.removesuffix(b"\n").removesuffix(b"\r"),
    )


@given(texts)
def test_dropping_a_line_leaves_the_others(text: bytes):
    after = drop_line(text, b"a")

    assert lines_of(after) == [line for line in lines_of(text) if line != b"a"]
    # A later line that begins like a mark keeps its bytes only behind a mark of its own.
    assert after.startswith(MARK) == text.startswith(MARK) or after.startswith(MARK + MARK)


def test_a_line_that_is_not_there_is_not_dropped():
    assert drop_line(b"ab\r\n a\na", b"b") == b"ab\r\n a\na"


def test_a_file_is_made_replaced_and_removed_when_nothing_is_left(tmp_path: Path):
    path = tmp_path / "lines"

    assert edit_file(path, lambda text: text + b"1\n")
    assert edit_file(path, lambda text: text + b"2\n")
    assert path.read_bytes() == b"1\n2\n"
    assert edit_file(path, lambda text: b"")
    assert not path.exists()
    assert not edit_file(path, lambda text: b"")


def test_an_edit_that_changes_nothing_does_not_touch_the_file(tmp_path: Path):
    path = tmp_path / "lines"
    path.write_bytes(b"1\n")
    os.utime(path, (1, 1))
    before = path.stat()

    assert not edit_file(path, lambda text: text)

    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_an_edited_file_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "lines"
    path.write_bytes(b"1\n")
    path.chmod(0o640)

    edit_file(path, lambda text: text + b"2\n")

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_symlink_is_refused_and_what_it_leads_to_is_unharmed(tmp_path: Path):
    (tmp_path / "target").write_bytes(b"1\n")
    (tmp_path / "lines").symlink_to("target")

    with pytest.raises(ConflictError, match="is a symlink, which git does not follow"):
        edit_file(tmp_path / "lines", lambda text: text + b"2\n")

    assert (tmp_path / "target").read_bytes() == b"1\n"


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(make, tmp_path: Path):
    make(tmp_path / "lines")

    with pytest.raises(ConflictError, match="is not a file"):
        edit_file(tmp_path / "lines", lambda text: text + b"2\n")


def test_a_file_in_a_folder_that_is_none_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageError, match="Not a directory"):
        edit_file(tmp_path / "file" / "lines", lambda text: text + b"2\n")
