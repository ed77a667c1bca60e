"""Ignore rules, compared with what git itself says of the same files."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from counting import calls_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datavc.workspace.ignore import IgnoreRules

# Folders end with a slash. They are few, so that patterns of the same alphabet meet them often.
PATHS = [
    b"a/",
    b"a/a/",
    b"a/a/b/",
    b"a/a/b/a/",
    b"a/a/b/a/foo.txt",
    b"a/a/b/b",
    b"a/a/ab",
    b"a/b",
    b"a/foo.txt",
    b"a/\xff",
    b"b/",
    b"b/a/",
    b"b/a/foo",
    b"b/b",
    b"b/ab/",
    b"b/ab/a",
    b"ab",
    b"aab",
    b"foo/",
    b"foo/a",
    b"foo/b/",
    b"foo/b/a",
    b"foo.txt",
    b"foobar",
    b"foo\nbar",
    b"a b",
    b"a ",
    b" a",
    b"#a",
    b"!a",
    b"-",
    b"]",
    b"[a]",
    b"^",
    b"9",
    b"B",
    b"*",
    b"?",
    b"\\a",
    b"\t",
    b"\xff",
    b"\xc3",
    b"caf\xc3\xa9",
    "\u6570/".encode(),
    "\u6570/\u636e".encode(),
]
FOLDERS = [b"", *(path[:-1] for path in PATHS if path.endswith(b"/"))]

_ATOMS = [
    b"a",
    b"b",
    b"ab",
    b"foo",
    b"bar",
    b".txt",
    b"*",
    b"*",
    b"**",
    b"***",
    b"/",
    b"/",
    b"**/",
    b"/**",
    b"/**/",
    b"?",
]
_ATOMS += [
    b"[ab]",
    b"[!a]",
    b"[^b]",
    b"[a-z]",
    b"[]a]",
    b"[!]a]",
    b"[a-]",
    b"[--9]",
    b"[z-a]",
    b"[\\]a]",
    b"[a\\-z]",
]
_ATOMS += [
    b"[[:alpha:]]",
    b"[[:digit:]-]",
    b"[^[:space:]]",
    b"[[:x:]]",
    b"[[:]",
    b"[[:alpha]",
    b"[",
    b"]",
    b"[a-",
    b"[\\",
]
_ATOMS += [
    b"\\",
    b"\\a",
    b"\\*",
    b"\\/",
    b"\\ ",
    b" ",
    b"!",
    b"#",
    b"\r",
    b"\t",
    b"\0",
    b"\xff",
    b"\xc3",
    b"[\xc3-\xff]",
    b"-",
    b"^",
]
_lines = st.lists(st.sampled_from(_ATOMS), max_size=7).map(b"".join)
_texts = st.lists(st.tuples(st.sampled_from([b"", b"", b"!"]), _lines), min_size=1, max_size=5).map(
    lambda lines: b"\n".join(sign + line for sign, line in lines)
)
_endings = st.sampled_from([b"", b"\n", b"\r\n", b" \n", b"\\\n"])


class Git:
    """A repository of the paths above, asked what it would ignore."""

    def __init__(self, folder: Path) -> None:
        self.folder = os.fsencode(folder)
        nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
        self._environment = {**os.environ, **nothing}
        self._git("init", "--quiet")
        self._git("config", "core.ignorecase", "false")
        for path in PATHS:
            whole = os.path.join(self.folder, path)
            if path.endswith(b"/"):
                os.mkdir(whole)
            else:
                with open(whole, "xb"):
                    pass

    def ignored(self, texts: dict[bytes, bytes]) -> set[bytes]:
        files = [os.path.join(self.folder, folder, b".gitignore") for folder in texts]
        for file, text in zip(files, texts.values(), strict=True):
            with open(file, "wb") as opened:
                opened.write(text)
        try:
            asked = b"".join(path.rstrip(b"/") + b"\0" for path in PATHS)
            return set(self._git("check-ignore", "--no-index", "-z", "--stdin", asked=asked).split(b"\0")) - {
                b""
            }
        finally:
            for file in files:
                os.unlink(file)

    def _git(self, *arguments: str, asked: bytes = b"") -> bytes:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=self._environment, input=asked, capture_output=True
        )
        assert done.returncode in (0, 1), done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Git]:
    try:
        return Git(tmp_path_factory.mktemp("ignore"))
    except OSError as error:
        # macOS takes names of valid UTF-8 alone.
        pytest.skip(f"this file system refuses a name: {error}")


def _ours(texts: dict[bytes, bytes]) -> set[bytes]:
    rules = IgnoreRules(texts)
    return {path.rstrip(b"/") for path in PATHS if rules.ignored(path.rstrip(b"/"), path.endswith(b"/"))}


@settings(max_examples=400, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(FOLDERS), st.builds(bytes.__add__, _texts, _endings), min_size=1, max_size=3
    )
)
@example({b"": b"\xef\xbb\xbffoo"})
@example({b"": b"a\n!a/b\n"})
@example({b"": b"a/*\n!a/b\n"})
@example({b"": b"*\n!*/\n!foo.txt\n", b"a": b"*\n"})
@example({b"": b"*.txt\n!foo\n", b"a/a": b"!*.txt\n"})
@example({b"": b"foo**/a\nfoo\\**/a\n"})
@example({b"": b"a/**/b\n"})
@example({b"": b"**/a/**\n"})
@example({b"": b"/\n//\n!\n!/\n\\\n"})
@example({b"": b"\\!a\n\\#a\na\\ \n\\\\a\n"})
@example({b"": b"[[:alnum:][:cntrl:]]\n[!-a]\n"})
def test_git_and_datavc_ignore_the_same(git: Git, texts: dict[bytes, bytes]):
    assert _ours(texts) == git.ignored(texts)


def test_rules_of_a_nested_file_count_from_its_folder_and_come_first():
    rules = IgnoreRules({b"": b"*.log\n/top\n", b"data/raw": b"!keep.log\n/top\n"})

    assert rules.ignored(b"data/x.log", False)
    assert not rules.ignored(b"data/raw/keep.log", False)
    assert not rules.ignored(b"data/raw/deep/keep.log", False)
    assert rules.ignored(b"data/keep.log", False)
    assert rules.ignored(b"top", True)
    assert not rules.ignored(b"data/top", True)
    assert rules.ignored(b"data/raw/top", False)


def test_a_nested_file_does_not_reach_a_folder_whose_name_begins_alike():
    rules = IgnoreRules({b"data": b"x\n"})

    assert rules.ignored(b"data/x", False)
    assert not rules.ignored(b"data2/x", False)


def test_nothing_in_an_ignored_folder_is_brought_back():
    rules = IgnoreRules({b"": b"cache/\n!cache/keep\n", b"cache": b"!keep\n"})

    assert rules.ignored(b"cache/keep", False)
    assert rules.ignored(b"a/b/cache/c/d/keep", False)
    assert not rules.ignored(b"cache", False)


def test_a_very_deep_path_is_no_problem():
    rules = IgnoreRules({b"": b"z\n"})

    assert not rules.ignored(b"/".join([b"a"] * 5000), False)
    assert rules.ignored(b"/".join([b"a"] * 2000 + [b"z"] + [b"a"] * 2000), False)


def test_case_counts_everywhere():
    assert not IgnoreRules({b"": b"A\n"}).ignored(b"a", False)


def test_names_that_are_no_utf8_and_newlines_match_byte_by_byte():
    rules = IgnoreRules({b"": b"\xff*\n??\nx[\xa0-\xaf]\na\\ b\n"})

    assert rules.ignored(b"\xff\xfe", False)
    assert rules.ignored("\u00e9".encode(), False)
    assert rules.ignored(b"x\xa9", False)
    assert rules.ignored(b"\xff\n", False)
    assert not rules.ignored(b"a\n\n", False)


def test_without_rules_nothing_is_ignored_and_nothing_is_kept():
    rules = IgnoreRules({b"": b"# a comment\n\n   \n", b"data": b""})

    assert not rules
    assert not rules.ignored(b"data/x", False)
    assert rules.for_dataset(b"data") is None
    assert IgnoreRules({b"": b"x"})


def test_a_dataset_that_was_named_is_not_ignored_but_what_is_in_it_may_be():
    rules = IgnoreRules({b"": b"*\n!*/\n/data\n*.tmp\n!keep\n"})

    inside = rules.for_dataset(b"data/train")

    assert rules.ignored(b"data/train/keep", False)
    assert inside is not None
    assert not inside.ignored(b"data/train/keep", False)
    assert not inside.ignored(b"data/train/deep/keep", False)
    assert inside.ignored(b"data/train/x.tmp", False)


def test_an_ignore_file_inside_a_dataset_or_beside_it_is_data():
    rules = IgnoreRules(
        {b"data": b"a\n", b"data/train": b"b\n", b"data/train/deep": b"c\n", b"other": b"d\n"}
    )

    inside = rules.for_dataset(b"data/train")

    assert inside is not None
    assert [inside.ignored(b"data/train/deep/" + name, False) for name in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        False,
        False,
    ]
    assert rules.for_dataset(b"elsewhere") is None


@pytest.mark.parametrize(
    "pattern",
    [
        b"*a" * 40 + b"b",
        b"**/a/" * 40 + b"b",
        b"**/*a*/" * 20 + b"b",
        b"x/" + b"**/*a*a" * 20 + b"b",
        b"*?" * 60 + b"b",
    ],
    ids=repr,
)
def test_a_hostile_pattern_costs_no_exponential_time(pattern: bytes):
    rules = IgnoreRules({b"": pattern})

    # Exponential, one of these would not end before the sun does.
    for path in (
        b"a" * 255,
        b"a/" * 200 + b"a",
        b"x/" + b"aaaaa/" * 200 + b"a",
        b"/".join([b"aaba" * 40] * 20),
    ):
        rules.ignored(path, False)


def test_the_wildmatch_of_many_paths_is_cheap():
    rules = IgnoreRules({b"": b"*.pyc\n__pycache__/\n.DS_Store\n/data/raw/tmp\n!keep.pyc\nfoo/**/bar\n"})
    paths = [b"data/raw/d%03d/%06d.jpg" % (number // 1000, number) for number in range(100_000)]

    def look() -> None:
        for path in paths:
            assert not rules.ignored(path, False)

    # Two a path, and some for each folder.
    assert calls_of(look) < 2.1 * len(paths)
