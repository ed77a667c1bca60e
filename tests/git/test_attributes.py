"""The line of .gitattributes for pointers, judged by git itself."""

from __future__ import annotations

import pytest
from projects import Project

from datavc.git.attributes import ATTRIBUTES_LINE, set_attributes, with_attributes


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
    assert (git_project.root / ".gitattributes").read_bytes() == ATTRIBUTES_LINE + b"\n"


def test_what_was_there_stays(git_project: Project):
    git_project.write({".gitattributes": b"*.png binary\r\n*.sh eol=lf"})

    set_attributes(git_project.root)

    expected = b"*.png binary\r\n*.sh eol=lf\r\n" + ATTRIBUTES_LINE + b"\r\n"
    assert git_project.read(".gitattributes") == expected


@pytest.mark.parametrize(
    "line",
    [
        ATTRIBUTES_LINE,
        b"  *.datavc\tdiff=datavc  text  merge=datavc ",
        b"*.datavc -diff !merge",
        b"*.datavc diff merge=union",
    ],
)
def test_a_line_of_the_user_that_settles_both_is_respected(line: bytes):
    assert with_attributes(line) == line


def test_what_one_line_leaves_open_is_added():
    assert with_attributes(b"*.datavc -diff\n") == b"*.datavc -diff\n*.datavc merge=datavc\n"
    assert with_attributes(b"#" + ATTRIBUTES_LINE + b"\n").endswith(b"\n" + ATTRIBUTES_LINE + b"\n")


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
