"""The line of .gitattributes for pointers, judged by git itself."""

from __future__ import annotations

import pytest
from projects import Project

from datavc.git.attributes import ATTRIBUTES_LINES, set_attributes, with_attributes

LINES = b"".join(line + b"\n" for line in ATTRIBUTES_LINES)
OTHERS = LINES.removeprefix(ATTRIBUTES_LINES[0] + b"\n")


def attributes_of(project: Project, path: str) -> str:
    return project.git("check-attr", "merge", "diff", "--", path)


def test_git_gives_pointers_the_drivers_and_other_files_none(git_project: Project):
    assert set_attributes(git_project.root)

    for path in ("a.datavc", "deep/er/b.datavc"):
        assert attributes_of(git_project, path) == f"{path}: merge: datavc\n{path}: diff: datavc\n"
    assert attributes_of(git_project, "a.csv") == "a.csv: merge: unspecified\na.csv: diff: unspecified\n"


def test_a_second_time_changes_nothing(git_project: Project):
    set_attributes(git_project.root)

    assert not set_attributes(git_project.root)
    assert (git_project.root / ".gitattributes").read_bytes() == LINES


def test_what_was_there_stays(git_project: Project):
    git_project.write({".gitattributes": b"*.png binary\r\n*.sh eol=lf"})

    set_attributes(git_project.root)

    expected = b"*.png binary\r\n*.sh eol=lf\r\n" + LINES.replace(b"\n", b"\r\n")
    assert git_project.read(".gitattributes") == expected


@pytest.mark.parametrize(
    "line",
    [
        ATTRIBUTES_LINES[0],
        b"  *.datavc\tdiff=datavc  text  merge=datavc ",
        b"*.datavc -diff !merge !text",
        b"*.datavc diff merge=union -text",
        b"*.datavc binary",
    ],
)
def test_a_line_of_the_user_that_settles_all_is_respected(line: bytes):
    assert with_attributes(line + b"\n") == line + b"\n" + OTHERS


def test_what_one_line_leaves_open_is_added():
    assert with_attributes(b"*.datavc -diff\n" + OTHERS) == (
        b"*.datavc -diff\n" + OTHERS + b"*.datavc merge=datavc -text\n"
    )
    assert with_attributes(b"#" + LINES).endswith(b"\n" + ATTRIBUTES_LINES[0] + b"\n")


def test_a_repository_set_up_before_gets_what_is_new_by_init(git_project: Project):
    git_project.write({".gitattributes": b"*.datavc merge=datavc diff=datavc\n"})

    git_project.run("init")

    assert git_project.read(".gitattributes") == (
        b"*.datavc merge=datavc diff=datavc\n*.datavc -text\n" + OTHERS
    )


def test_a_clone_that_converts_line_endings_has_the_same_bytes(project: Project):
    project.write(
        {"sub/data/a": "a", "sub/data/b.tmp": "b", "sub/.datavcignore": "*.tmp\n", "notes.txt": "n\n"}
    )
    project.git("add", "sub/.datavcignore")
    project.run("add", "data", cwd="sub")
    project.commit("data")
    kept = ["datavc.toml", "sub/data.datavc", "sub/.datavcignore"]
    before = {name: project.read(name) for name in kept}
    project.git("config", "--file", str(project.root.parent / "crlf"), "core.autocrlf", "true")
    project.environment["GIT_CONFIG_GLOBAL"] = str(project.root.parent / "crlf")

    clone = project.clone("clone")

    assert clone.read("notes.txt") == b"n\r\n"
    assert {name: clone.read(name) for name in kept} == before
    clone.run("config", "--local", "cache.dir", str(project.root / ".git/datavc/cache"))
    clone.run("checkout")
    assert clone.run("status").out == "sub/data: clean\n"
    clone.write({"sub/data/a": "changed", "sub/data/c.tmp": "ignored"})
    clone.run("add", "-u")
    clone.git("commit", "--quiet", "--all", "--message", "changed")
    assert clone.git("show", "HEAD:sub/data.datavc").encode() == clone.read("sub/data.datavc")
    assert clone.git("status", "--short") == ""


def test_files_that_windows_editors_wrote_are_read_and_committed_with_plain_line_ends(project: Project):
    project.write(
        {
            "datavc.toml": project.read("datavc.toml").replace(b"\n", b"\r\n"),
            ".datavcignore": "*.tmp\r\n",
            "data/a": "a",
            "data/b.tmp": "b",
        }
    )

    project.git("add", ".datavcignore")
    project.run("add", "data")
    project.commit("data")

    assert project.run("ls", "data").out == "data/a\n"
    assert "\r" not in project.git("show", "HEAD:datavc.toml") + project.git("show", "HEAD:.datavcignore")


def test_git_merges_pointers_where_nobody_configured_the_drivers(git_project: Project):
    set_attributes(git_project.root)
    git_project.write({"a.datavc": "base\n"})
    git_project.commit()
    git_project.git("checkout", "--quiet", "-b", "other")
    git_project.write({"a.datavc": "theirs\n"})
    git_project.commit()
    git_project.git("checkout", "--quiet", "main")
    git_project.commit()

    git_project.git("merge", "--quiet", "other")

    assert git_project.read("a.datavc") == b"theirs\n"
