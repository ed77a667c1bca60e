"""Finding git's folders, and saying precisely why a folder is no place to work in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from projects import Project

from datavc.errors import DatavcError, NotFoundError, RepoNotFound
from datavc.git.places import GitPlaces, find_git
from datavc.git.program import Git


def places_of(root: Path) -> GitPlaces:
    return GitPlaces(root, root / ".git", root / ".git")


def found(start: Path) -> GitPlaces:
    places = find_git(start)
    assert places is not None
    return places


def test_a_repository_is_found_from_its_top_and_from_any_folder_in_it(git_project: Project):
    git_project.write({"a/b/c": None})

    for start in ("", "a", "a/b/c"):
        assert find_git(git_project.root / start) == places_of(git_project.root)


def test_there_is_none_where_no_parent_has_one(bare_project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nonexistent")  # and git is not started to find that out

    assert find_git(bare_project.root) is None


def test_a_relative_start_and_one_through_a_symlink_give_the_same_absolute_places(
    git_project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    git_project.write({"a/b": None})
    (tmp_path / "link").symlink_to(git_project.root / "a" / "b")
    monkeypatch.chdir(git_project.root / "a")

    assert find_git(Path("b")) == places_of(git_project.root)
    assert find_git(tmp_path / "link") == places_of(git_project.root)


@pytest.mark.parametrize(
    "name", [b"new\nline", b"ends in newline\n", b"\n\ntrue", b"not text \xff", b"-C", b" "]
)
def test_any_name_of_a_folder_will_do(name: bytes, bare_project: Project):
    root = bare_project.root / os.fsdecode(name)
    (root / "sub").mkdir(parents=True)
    bare_project.git("init", "--quiet", cwd=os.fsdecode(name))

    assert find_git(root) == places_of(root)
    assert find_git(root / "sub") == places_of(root)


def test_only_one_process_is_started(git_project: Project, monkeypatch: pytest.MonkeyPatch):
    started = []
    start = Git.start
    monkeypatch.setattr(
        Git, "start", lambda self, *words, **more: started.append(words) or start(self, *words, **more)
    )

    find_git(git_project.root)

    assert len(started) == 1


def test_a_linked_worktree_has_a_git_folder_of_its_own_and_shares_the_other(
    git_project: Project, tmp_path: Path
):
    git_project.commit()
    git_project.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    (tmp_path / "linked" / "sub").mkdir()

    places = found(tmp_path / "linked" / "sub")

    git_dir = git_project.root / ".git"
    assert places == GitPlaces(tmp_path / "linked", git_dir / "worktrees" / "linked", git_dir)
    assert found(git_project.root) == GitPlaces(git_project.root, git_dir, git_dir)


def test_a_submodule_is_a_repository_of_its_own(git_project: Project, tmp_path: Path):
    git_project.commit()
    inner = git_project.clone("inner")
    git_project.git("submodule", "--quiet", "add", str(inner.root), "sub")

    git_dir = git_project.root / ".git" / "modules" / "sub"
    assert find_git(git_project.root / "sub") == GitPlaces(git_project.root / "sub", git_dir, git_dir)


def test_a_separate_git_folder_is_followed(bare_project: Project, tmp_path: Path):
    bare_project.git("init", "--quiet", "--separate-git-dir", str(tmp_path / "elsewhere"))

    assert find_git(bare_project.root) == GitPlaces(
        bare_project.root, tmp_path / "elsewhere", tmp_path / "elsewhere"
    )


@pytest.mark.parametrize("inside", ["", "objects", "refs/heads"])
def test_a_bare_repository_is_refused_with_the_way_out(inside: str, bare_project: Project):
    bare_project.git("init", "--quiet", "--bare")

    with pytest.raises(RepoNotFound, match="bare git repository") as caught:
        find_git(bare_project.root / inside)

    assert f"git clone {bare_project.root}" in (caught.value.hint or "")


@pytest.mark.parametrize("inside", [".git", ".git/hooks"])
def test_git_s_own_folder_is_refused_with_the_way_out(inside: str, git_project: Project):
    with pytest.raises(RepoNotFound, match="inside git's own folder") as caught:
        find_git(git_project.root / inside)

    assert f"cd {git_project.root}" in (caught.value.hint or "")


def test_a_repository_of_another_user_is_refused_by_name(
    git_project: Project, monkeypatch: pytest.MonkeyPatch
):
    git_project.write({"sub": None})
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")

    with pytest.raises(RepoNotFound, match="another user") as caught:
        find_git(git_project.root / "sub")

    assert f"safe.directory {git_project.root}" in (caught.value.hint or "")


def test_a_broken_link_to_a_git_folder_is_named(git_project: Project, tmp_path: Path):
    git_project.commit()
    git_project.git("worktree", "add", "--quiet", str(tmp_path / "linked"))
    shutil.rmtree(git_project.root / ".git" / "worktrees")

    with pytest.raises(RepoNotFound, match="not a git repository") as caught:
        find_git(tmp_path / "linked")

    assert "git worktree repair" in (caught.value.hint or "")


def test_a_git_file_full_of_rubbish_is_an_error_and_not_a_folder_without_git(bare_project: Project):
    bare_project.write({".git": "rubbish"})

    with pytest.raises(RepoNotFound, match="invalid gitfile format"):
        find_git(bare_project.root)


def test_an_empty_folder_called_git_is_passed_over_as_git_does(git_project: Project):
    git_project.write({"sub/.git": None})

    assert find_git(git_project.root / "sub") == places_of(git_project.root)


def test_an_empty_folder_called_git_alone_is_no_repository(bare_project: Project):
    bare_project.write({".git": None})

    assert find_git(bare_project.root) is None


def test_a_repository_without_a_git_program_is_an_error(
    git_project: Project, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(NotFoundError, match="no git program"):
        find_git(git_project.root)


def test_git_dir_and_work_tree_of_the_environment_rule(
    git_project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_DIR", "project/.git")
    monkeypatch.setenv("GIT_WORK_TREE", "project")

    assert find_git(tmp_path) == places_of(git_project.root)


def test_a_git_dir_that_leads_nowhere_is_an_error(bare_project: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_DIR", "/nonexistent")

    with pytest.raises(RepoNotFound, match="/nonexistent"):
        find_git(bare_project.root)


def test_a_start_that_does_not_exist_is_an_error_within_a_repository(git_project: Project):
    with pytest.raises(DatavcError, match="No such file or directory"):
        find_git(git_project.root / "nowhere")
