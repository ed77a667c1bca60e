"""Ignore lines, judged by git itself: the name and nothing else is ignored."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from projects import Project, environment_of

from datavc.errors import UsageError
from datavc.git.ignorefile import ignore_line, ignore_names, unignore_names, with_line, without_line
from datavc.git.program import Git

MARK = b"\xef\xbb\xbf"


def is_name(name: bytes) -> bool:
    return name not in (b"", b".", b"..") and len(name) <= 255 and name.lower() != b".git"


any_byte = st.integers(1, 255).filter(lambda byte: byte not in b"/\n").map(lambda byte: bytes([byte]))
special = st.sampled_from(
    [bytes([byte]) for byte in b"*?[]!^-\\# \t\r:.{}()ab$~\"'"] + [b"\xc3\xa9", b"\xff", MARK, b"**"]
)
names = st.lists(special | any_byte, min_size=1, max_size=12).map(b"".join).filter(is_name)
long_names = st.binary(min_size=200, max_size=255).map(
    lambda name: name.replace(b"/", b"*").replace(b"\0", b" ").replace(b"\n", b"\\")
)


def twins(name: bytes) -> list[bytes]:
    """Names that a line without its escapes, or with too many of them, would take for ``name``."""
    made = [
        name + b"x",
        b"x" + name,
        name[:-1],
        name[1:],
        name + b" ",
        name + b"\r",
        name + b"\\",
        b"\\" + name,
    ]
    made += [
        name.rstrip(),
        name.strip(),
        name.replace(b"\\", b""),
        name.replace(b"*", b"zz"),
        name.replace(b"*", b""),
    ]
    made += [name.replace(b"?", b"z"), name.replace(b"[", b"\\["), name.replace(b"[", b"").replace(b"]", b"")]
    made += [name.replace(b"\\", b"\\\\"), name.replace(b"!", b""), name.replace(b"#", b""), name.swapcase()]
    made += [name[:1], name[-1:], b"a", b"x"]
    return sorted({twin for twin in made if is_name(twin) and twin != name})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Project:
    root = tmp_path_factory.mktemp("repository")
    project = Project(root, environment_of(root))
    project.git("init", "--quiet")
    return project


def ignored(repository: Project, text: bytes, paths: list[bytes]) -> set[bytes]:
    """Which of the paths git ignores where .gitignore holds ``text``."""
    repository.write({".gitignore": text})
    listed = b"".join(b"./" + path + b"\0" for path in paths)
    answer = Git(repository.root).run("check-ignore", "-z", "--stdin", input=listed, accept=(0, 1))
    return {path.removeprefix(b"./") for path in answer.split(b"\0")[:-1]}


@settings(max_examples=200, deadline=None)
@given(names | long_names, st.sampled_from([b"\n", b"\r\n"]))
@example(b"#x", b"\n")
@example(b"!x", b"\n")
@example(b"  ", b"\n")
@example(b"x \\", b"\n")
@example(b"\\ ", b"\n")
@example(b"x\r", b"\n")
@example(b"x\r", b"\r\n")
@example(b"x\\\r", b"\n")
@example(b"x\r ", b"\r\n")
@example(b"x \r", b"\n")
@example(b"**", b"\n")
@example(b"[!a]", b"\n")
@example(MARK, b"\n")
def test_git_ignores_exactly_that_name(repository: Project, name: bytes, ending: bytes):
    text = with_line(b"# first" + ending, ignore_line(name))

    elsewhere = [b"sub/" + name, name + b".datavc"]
    assert ignored(repository, text, [name, *twins(name), *elsewhere]) == {name}


@settings(max_examples=50, deadline=None)
@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_git_ignores_exactly_those_names(repository: Project, several: list[bytes]):
    text = b""
    for name in several:
        text = with_line(text, ignore_line(name))

    others = {twin for name in several for twin in twins(name)} - set(several)
    assert ignored(repository, text, [*several, *sorted(others)]) == set(several)


@settings(max_examples=25, deadline=None)
@given(names)
def test_what_is_in_an_ignored_folder_is_ignored_with_it(repository: Project, name: bytes):
    text = with_line(b"", ignore_line(name))

    assert ignored(repository, text, [name + b"/deep/file", name + b"x/deep/file"]) == {name + b"/deep/file"}


def test_git_lists_real_files_of_odd_names_but_the_ignored_one(git: Git, git_project: Project):
    odd = [b"a*", b"ab", b"-x", b" ", b"  ", b"x ", b"x", b"\\", b"[ab]", b"#", b"!", b"\xff", b"y\r", b"y"]
    git_project.write(dict.fromkeys(odd, "1"))

    for name in odd:
        (git_project.root / ".gitignore").write_bytes(with_line(b"", ignore_line(name)))
        listed = git.run("ls-files", "-z", "-o", "--exclude-standard").split(b"\0")[:-1]
        assert sorted(listed) == sorted([*(other for other in odd if other != name), b".gitignore"])


def test_a_plain_name_stays_readable():
    assert ignore_line(b"data set-1.csv") == b"/data set-1.csv"
    assert ignore_line("données".encode()) == "/données".encode()


def test_a_newline_cannot_be_expressed_and_the_error_knows_a_way_out():
    with pytest.raises(UsageError, match=r"'a\\x0ab' has a newline in its name") as caught:
        ignore_line(b"a\nb")

    assert "put it into a folder" in (caught.value.hint or "")


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"a\0b"])
def test_what_is_no_name_is_refused(name: bytes):
    with pytest.raises(UsageError, match="is not the name"):
        ignore_line(name)


texts = st.lists(st.sampled_from([b"/a", b"!/a", b"/b", b"#", b"\r", b"\n", b"\r\n", MARK]), max_size=10).map(
    b"".join
)


@given(texts)
def test_adding_twice_is_adding_once(text: bytes):
    once = with_line(text, b"/a")

    assert once.startswith(text)
    assert with_line(once, b"/a") == once


@given(texts)
def test_removing_leaves_no_such_line_and_nothing_else_changes(text: bytes):
    left = without_line(with_line(text, b"/a"), b"/a")

    assert without_line(left, b"/a") == left
    assert b"/b" not in text or left.count(b"/b") == text.count(b"/b")


@settings(max_examples=50, deadline=None)
@given(texts)
def test_after_adding_git_ignores_it_whatever_the_file_held(repository: Project, text: bytes):
    assert b"a" in ignored(repository, with_line(text, b"/a"), [b"a"])


def test_a_line_undone_by_a_later_exception_is_added_again():
    assert with_line(b"/a\n!/a\n", b"/a") == b"/a\n!/a\n/a\n"
    assert with_line(b"!/a\n/a\n", b"/a") == b"!/a\n/a\n"


def test_names_are_ignored_in_a_folder_and_no_longer(git_project: Project):
    folder = git_project.root / "sub"
    git_project.write({"sub/data/x": "1", "sub/keep": "1"})

    assert ignore_names(folder, [b"data", b"more"])
    assert (folder / ".gitignore").read_bytes() == b"/data\n/more\n"
    assert not ignore_names(folder, [b"more", b"data"])
    assert git_project.git("status", "--porcelain", "-uall").split() == [
        "??",
        "sub/.gitignore",
        "??",
        "sub/keep",
    ]
    assert unignore_names(folder, [b"data"])
    assert (folder / ".gitignore").read_bytes() == b"/more\n"
    assert unignore_names(folder, [b"more"])
    assert not (folder / ".gitignore").exists()
    assert not unignore_names(folder, [b"more"])


def test_the_user_s_own_lines_and_their_endings_stay(tmp_path: Path):
    (tmp_path / ".gitignore").write_bytes(b"# mine\r\n*.tmp")

    ignore_names(tmp_path, [b"data"])
    assert (tmp_path / ".gitignore").read_bytes() == b"# mine\r\n*.tmp\r\n/data\r\n"
    unignore_names(tmp_path, [b"data"])
    assert (tmp_path / ".gitignore").read_bytes() == b"# mine\r\n*.tmp\r\n"


def test_one_impossible_name_among_many_changes_nothing(tmp_path: Path):
    with pytest.raises(UsageError):
        ignore_names(tmp_path, [b"good", b"bad\n"])

    assert not (tmp_path / ".gitignore").exists()
