"""Paths: text and bytes turn into each other without loss, and nothing shown can deceive."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import MalformedError
from datavc.formats import paths as paths_module
from datavc.formats.paths import SubPaths, from_text, is_inside, seen_from, shell_word, show, split, to_text

paths = st.binary(max_size=40)


@given(paths)
def test_text_turns_back_into_the_same_path(path):
    assert from_text(to_text(path)) == path


@pytest.mark.parametrize("text", ["\ud800", "a\udbff", "\udcc3\udca9"])
def test_text_that_stands_for_no_path_is_refused(text):
    with pytest.raises(MalformedError, match="not the one spelling"):
        from_text(text)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"data/train 1/caf\xc3\xa9.jpg", "data/train 1/café.jpg"),
        (b"", ""),
        (b"a\nb\tc", r"a\x0ab\x09c"),
        (b"\x1b[31mred", r"\x1b[31mred"),
        (b"back\\slash", r"back\\slash"),
        (b"\\x41", r"\\x41"),
        (b"latin \xe4", r"latin \xe4"),
        ("\u202egpj.exe".encode(), r"\xe2\x80\xaegpj.exe"),
        ("a\u00a0b".encode(), r"a\xc2\xa0b"),
    ],
)
def test_what_cannot_be_printed_is_shown_byte_by_byte(path, shown):
    assert show(path) == shown


@given(paths)
def test_what_is_shown_is_printable_and_stands_for_one_path(path):
    shown = show(path)
    doubled = shown.encode("utf-8").decode("latin-1")  # unicode_escape reads latin-1

    assert shown.isprintable()
    assert doubled.encode("latin-1").decode("unicode_escape").encode("latin-1") == path


@pytest.mark.parametrize(
    ("path", "folder", "inside"),
    [
        (b"data/a", b"data", True),
        (b"data", b"data", True),
        (b"data/a/b", b"data", True),
        (b"anything", b"", True),
        (b"data2", b"data", False),
        (b"data", b"data/a", False),
        (b"", b"data", False),
    ],
)
def test_what_is_inside_a_folder(path, folder, inside):
    assert is_inside(path, folder) is inside


@pytest.mark.parametrize(
    ("path", "parts"), [(b"a/b/c", (b"a/b", b"c")), (b"a", (b"", b"a")), (b"", (b"", b""))]
)
def test_a_path_splits_into_its_folder_and_its_name(path, parts):
    assert split(path) == parts


@given(st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw))
def test_a_shell_takes_a_word_for_exactly_the_path(path: bytes):
    printed = subprocess.run(
        ["bash", "-c", f"printf %s {shell_word(path)}"],
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
    ).stdout

    assert printed == (b"./" + path if path[:1] in (b"-", b":") else path)


@pytest.mark.parametrize(
    ("path", "word"),
    [(b"data/train-2024.csv", "data/train-2024.csv"), (b"-rf", "./-rf"), (b":(glob)", "'./:(glob)'")],
)
def test_words_are_quoted_only_where_they_must_and_are_never_options(path: bytes, word: str):
    assert shell_word(path) == word


@pytest.mark.parametrize(
    ("here", "path", "seen"),
    [
        (b"/top", b"a/b", b"a/b"),
        (b"/top", b"", b"."),
        (b"/top/a", b"a/b", b"b"),
        (b"/top/a", b"c", b"../c"),
        (b"/top/a", b"a", b"."),
    ],
)
def test_paths_are_seen_from_the_folder_that_the_user_works_in(here: bytes, path: bytes, seen: bytes):
    assert seen_from(here, b"/top", path) == seen


nested = st.lists(st.sampled_from([b"a", b"b", b"a-"]), max_size=4).map(b"/".join)


@given(st.lists(nested, max_size=5), nested)
def test_sub_paths_hold_what_is_inside_of_one_and_concern_what_leads_to_one(parts, path):
    meant = SubPaths(parts)
    holds = any(is_inside(path, part) for part in parts)
    assert meant.hold(path) == holds
    assert meant.concern(path) == (holds or any(is_inside(part, path) for part in parts))


def test_thousands_of_sub_paths_cost_no_more_than_one(monkeypatch):
    asked = []
    monkeypatch.setattr(paths_module, "split", lambda path: asked.append(path) or split(path))
    meant = SubPaths(b"data/%d" % number for number in range(5000))
    asked.clear()
    assert not any(meant.concern(b"data/x%d" % number) for number in range(100))
    assert len(asked) == 200
