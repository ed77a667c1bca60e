"""`git diff` with the diff driver: files that changed, whatever it is that git compares."""

from __future__ import annotations

import pytest
from projects import Project


@pytest.fixture
def versions(project: Project) -> Project:
    """Two commits with different versions of the dataset `data`."""
    project.run("install")
    project.write({"data/a/x": "1", "data/a/y": "1", "data/z": "1", "data/same/s": "1"})
    project.run("add", "data")
    project.commit("first")
    project.write({"data/a/x": "22", "data/new": "333"})
    (project.root / "data/z").unlink()
    (project.root / "data/a/y").rename(project.root / "data/a/moved")
    (project.root / "data/a/moved").write_text("other")
    project.run("add", "data")
    project.commit("second")
    return project


def test_between_commits_the_files_that_changed_are_listed(versions: Project):
    lines = versions.git("diff", "HEAD~1", "HEAD").splitlines()

    assert lines == [
        "diff --datavc a/data.datavc b/data.datavc",
        "A data/a/moved  5 B",
        "M data/a/x  1 B -> 2 B",
        "D data/a/y  1 B",
        "A data/new  3 B",
        "D data/z  1 B",
    ]


def test_what_is_staged_and_what_is_not(versions: Project):
    versions.write({"data/new": "4444"})
    versions.run("add", "data")

    assert versions.git("diff").splitlines()[1:] == ["M data/new  3 B -> 4 B"]
    versions.git("add", "data.datavc")
    assert versions.git("diff") == ""
    assert versions.git("diff", "--cached", cwd="data").splitlines()[1:] == ["M data/new  3 B -> 4 B"]


def test_a_dataset_that_comes_goes_or_has_another_path(versions: Project):
    start = versions.git("rev-list", "--max-parents=0", "HEAD").strip()
    versions.run("move", "data", "sub/data")
    versions.git("add", "--all")

    assert "A data/new  3 B\n" in versions.git("diff", start, "HEAD", "--", "data.datavc")
    assert "D data/new  3 B\n" in versions.git("diff", "HEAD", start, "--", "data.datavc")
    renamed = versions.git("diff", "--cached", "-M", "--", "*.datavc").splitlines()
    assert renamed[0] == "diff --datavc a/data.datavc b/sub/data.datavc"
    assert renamed[1].startswith("R data -> sub/data")


def test_other_commands_and_patches_have_the_pointer_as_text(versions: Project):
    for arguments in (
        ("diff", "--no-ext-diff", "HEAD~1"),
        ("show", "HEAD"),
        ("format-patch", "-1", "--stdout"),
    ):
        assert "\n+digest = " in versions.git(*arguments)
    assert versions.git("diff", "--name-only", "HEAD~1") == "data.datavc\n"
    versions.git("diff", "--quiet", "HEAD~1", code=1)


def test_a_pointer_that_says_more_of_the_same_files(versions: Project):
    with (versions.root / "data.datavc").open("a") as file:
        file.write('owner = "us"\n')

    assert "the same files; what else the pointer says differs" in versions.git("diff")


def test_without_the_trees_it_is_compared_as_text_and_git_goes_on(versions: Project):
    clone = versions.clone("clone")
    clone.run("install")
    clone.write({"code": "1"})
    clone.commit("code")

    out = clone.git("diff", "HEAD~2", "HEAD")

    assert "; as text:\n" in out
    assert out.count("-digest = ") == out.count("+digest = ") == 1
    assert "diff --git a/code b/code" in out


def test_a_pointer_in_conflict_names_the_next_command(versions: Project):
    versions.git("checkout", "-q", "-b", "other", "HEAD~1")
    versions.write({"data/a/x": "4"})
    versions.run("add", "data")
    versions.commit("theirs")
    versions.git("merge", "-q", "main", code=1)

    assert "* Unmerged path data.datavc: datavc resolve\n" in versions.git("diff", "--cached")
    assert "data.datavc has merge conflict markers; as text:\n" in versions.git("diff", "HEAD")
