"""Pointers in commits, compared with repositories made by git itself."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import Project

from datavc.errors import NotFoundError
from datavc.git.history import CommittedPointer, pointer_history, pointers_at, subject, tips
from datavc.git.program import Git

ODD = [b"new\nline", b"-dash", b":(top)x", b"a*b", b"back\\slash", b"\xff\xfe", b"tab\tx", "ü".encode()]


def commits(project: Project, *contents: str, name: str = "data.datavc") -> list[str]:
    made = []
    for content in contents:
        project.write({name: content})
        made.append(project.commit(content))
    return made


def test_tips_are_the_oldest_first_and_each_once(
    git_project: Project, git: Git, monkeypatch: pytest.MonkeyPatch
):
    made = []
    for number in range(3):
        date = f"200{number}-01-01T00:00:00Z"
        git_project.environment |= {"GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
        made += commits(git_project, f"content {number}")
    git_project.git("branch", "same")
    git_project.git("branch", "old", made[0])
    git_project.git("tag", "-a", "-m", "heavy", "heavy", made[1])
    git_project.git("tag", "tree", "HEAD^{tree}")
    assert tips(git, branches=True, tags=False) == [made[0], made[2]]
    assert tips(git, branches=False, tags=True) == [made[1]]
    assert set(tips(git, branches=True, tags=True)) == set(made)
    assert tips(git, branches=False, tags=False) == []


def test_there_are_no_tips_before_the_first_commit(git: Git):
    assert tips(git, branches=True, tags=True) == []


def test_every_pointer_of_a_commit_whatever_its_name(git_project: Project, git: Git):
    files = {name + b".datavc": b"pointer of " + name for name in ODD}
    files |= {b"deep/er/data.datavc": b"deep", b"same.datavc": b"deep", b"empty.datavc": b""}
    git_project.write(
        files | {b"other.txt": "no pointer", b".datavc": "no name", b"x/.datavc": "none either"}
    )
    (git_project.root / "link.datavc").symlink_to("same.datavc")
    commit = git_project.commit()
    git_project.write({b"later.datavc": "later"})
    git_project.commit()
    found = pointers_at(git, commit)
    assert found == sorted(CommittedPointer(path, content) for path, content in files.items())


def test_a_pointer_that_git_has_lost_is_an_error(git_project: Project, git: Git):
    (commit,) = commits(git_project, "one")
    blob = git_project.git("rev-parse", "HEAD:data.datavc").strip()
    (git_project.root / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(NotFoundError, match=r"data\.datavc"):
        pointers_at(git, commit)
    assert pointer_history(git, b"data.datavc", 5) == []


@pytest.mark.parametrize("name", ODD)
def test_what_a_pointer_was_the_newest_first(git_project: Project, git: Git, name: bytes):
    path = name + b".datavc"
    for content in ("one", "two", "three"):
        git_project.write({path: content})
        git_project.commit()
        git_project.write({b"other.datavc": content})
        git_project.commit()
    assert pointer_history(git, path, 10) == [b"three", b"two", b"one"]
    assert pointer_history(git, path, 2) == [b"three", b"two"]
    assert pointer_history(git, b"never.datavc", 10) == []


def test_history_goes_over_merges_and_removals(git_project: Project, git: Git):
    commits(git_project, "one")
    git_project.git("checkout", "-q", "-b", "side")
    commits(git_project, "side")
    git_project.git("checkout", "-q", "main")
    commits(git_project, "main")
    git_project.git("merge", "-q", "-s", "ours", "-m", "merged", "side")
    (git_project.root / "data.datavc").unlink()
    git_project.commit("removed")
    assert pointer_history(git, b"data.datavc", 10)[0] in (b"main", b"side")
    assert set(pointer_history(git, b"data.datavc", 10)) >= {b"main", b"one"}


def test_there_is_no_history_before_the_first_commit(git: Git):
    assert pointer_history(git, b"data.datavc", 5) == []


def test_a_subject_is_fit_to_be_shown(git_project: Project, git: Git):
    git_project.write({"a": "a"})
    commit = git_project.commit("first line\x1b[31m\n\nmore")
    assert "\x1b" not in subject(git, commit)
    assert subject(git, commit).startswith("first line")


def test_a_shallow_clone_has_the_history_that_it_has(git_project: Project, tmp_path: Path):
    commits(git_project, "one", "two", "three")
    git_project.git(
        "clone", "-q", "--depth=1", f"file://{os.fspath(git_project.root)}", str(tmp_path / "shallow")
    )
    assert pointer_history(Git(tmp_path / "shallow"), b"data.datavc", 5) == [b"three"]
