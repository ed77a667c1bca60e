"""What a user writes as a revision: branches, tags, datasets' own tags, digests, ``REV:PATH``; and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from projects import Project

from datavc.errors import MalformedError, NotFoundError, UsageError
from datavc.operations.steps.naming.revisions import (
    Revision,
    is_revision,
    resolve_revision,
    revision_before,
    split_word,
)
from datavc.repo import Repo


@pytest.fixture
def history(project: Project) -> list[str]:
    """Three commits: one dataset, its second version, and a second dataset."""
    project.write({"data/a": "one"})
    project.run("add", "data")
    first = project.commit("first")
    project.write({"data/a": "two"})
    project.run("add", "data")
    second = project.commit("second")
    project.write({"deep/other/b": "b"})
    project.run("add", "deep/other")
    return [first, second, project.commit("third")]


def opened(project: Project, folder: str = ".") -> Repo:
    return Repo.find(Path(os.path.realpath(project.root / folder)))


def named(revision: Revision) -> list[bytes]:
    return [dataset.path for dataset in revision.datasets]


def test_a_revision_has_the_datasets_of_its_commit_and_their_pointers(project: Project, history: list[str]):
    repo = opened(project)

    first = resolve_revision(repo, "HEAD~2")
    last = resolve_revision(repo, "main")

    assert (first.commit, named(first)) == (history[0], [b"data"])
    assert (last.commit, named(last)) == (history[2], [b"data", b"deep/other"])
    assert first.datasets[0].pointer.size == 3
    assert last.pointers[b"data"] == project.read("data.datavc")
    assert last.pointers[b"data"] != first.pointers[b"data"]


def test_a_datasets_own_tag_means_that_dataset_from_wherever_it_is_typed(
    project: Project, history: list[str]
):
    project.git("tag", "deep/other@v1")
    project.git("tag", "data@v1", history[0])

    for folder, text in ((".", "deep/other@v1"), ("deep", "other@v1"), ("deep", "./other@v1")):
        found = resolve_revision(opened(project, folder), text)
        assert (found.commit, found.dataset) == (history[2], b"deep/other")
        assert [dataset.path for dataset in found.meant] == [b"deep/other"]
    assert resolve_revision(opened(project, "deep"), "../data@v1").commit == history[0]
    assert resolve_revision(opened(project, "deep"), "data@v1").commit == history[0]


def test_a_tag_of_a_dataset_that_its_commit_lacks_is_an_error(project: Project, history: list[str]):
    project.git("tag", "deep/other@v0", history[0])

    with pytest.raises(NotFoundError, match="has no dataset deep/other"):
        resolve_revision(opened(project), "deep/other@v0")


def test_a_digest_or_its_first_digits_name_a_version(project: Project, history: list[str]):
    repo = opened(project)
    digest = str(resolve_revision(repo, "HEAD~2").datasets[0].digest)

    for text in (digest, digest[:15]):
        found = resolve_revision(repo, text)
        assert (str(found.datasets[0].digest), found.dataset) == (digest, b"data")
    with pytest.raises(NotFoundError, match="no commit has it"):
        resolve_revision(repo, "xxh128:0123456789")


def test_a_digest_that_the_cache_lacks_is_found_in_gits_history(project: Project, history: list[str]):
    digest = str(resolve_revision(opened(project), "HEAD~2").datasets[0].digest)
    clone = project.clone("clone")

    found = resolve_revision(opened(clone), digest[:20])

    assert (found.commit, named(found)) == (history[0], [b"data"])
    assert found.pointers[b"data"] == resolve_revision(opened(project), "HEAD~2").pointers[b"data"]


def test_a_date_names_the_last_commit_until_then(project: Project):
    commits = []
    for day in (2, 3):
        project.environment["GIT_COMMITTER_DATE"] = f"2030-01-0{day}T12:00:00Z"
        commits.append(project.commit(f"day {day}"))
    repo = opened(project)

    assert revision_before(repo, "2030-01-03T12:00:00Z").commit == commits[1]
    assert revision_before(repo, "2030-01-03T11:59:59+00:00").commit == commits[0]
    assert revision_before(repo, "@1893585600").commit == commits[0]
    assert revision_before(repo, "2031-01-01").commit == commits[1]
    for nonsense in ("soon", "2030-13-01", ""):
        with pytest.raises(UsageError, match="is no date"):
            revision_before(repo, nonsense)


def test_pointers_of_the_past_are_as_untrusted_as_those_of_the_workspace(
    project: Project, history: list[str]
):
    content = project.read("data.datavc")
    project.write({"sub/.git .datavc": content})
    project.git("add", "-f", "sub")
    project.commit("hostile")

    with pytest.raises(MalformedError, match="stands for what no dataset may be"):
        resolve_revision(opened(project), "HEAD")


@pytest.mark.parametrize(
    ("word", "halves"),
    [
        ("HEAD:data/a", ("HEAD", "data/a")),
        ("v1:", ("v1", "")),
        ("HEAD^{/fix: it}:a:b", ("HEAD^{/fix: it}", "a:b")),
        ("data@v1:data/a", ("data@v1", "data/a")),
        ("xxh128:0123456789", ("xxh128:0123456789", "")),
        ("xxh128:0123456789:a:b", ("xxh128:0123456789", "a:b")),
        ("plain", None),
        ("./a:b", None),
        ("/a:b", None),
        (":/text", None),
    ],
)
def test_rev_and_path_are_split_as_git_splits_them(word: str, halves: tuple[str, str] | None):
    assert split_word(word) == halves


def test_words_that_are_revisions_are_known(project: Project, history: list[str]):
    project.git("tag", "deep/other@v1")
    repo = opened(project, "deep")

    for word in ("HEAD", "main", "HEAD~1", "other@v1", "deep/other@v1", history[0][:9], "xxh128:01234567"):
        assert is_revision(repo, word), word
    for word in ("data", "nowhere@v1", "", "xxh128:01234567:a"):
        assert not is_revision(repo, word), word


def test_without_git_only_digests_are_revisions(bare_project: Project):
    bare_project.run("init", "--no-git")
    bare_project.write({"data/a": "a"})
    bare_project.run("add", "data")
    repo = opened(bare_project)
    digest = str(repo.datasets()[0].digest)

    assert named(resolve_revision(repo, digest)) == [b"data"]
    assert not is_revision(repo, "HEAD")
    with pytest.raises(UsageError, match="no revisions without git"):
        resolve_revision(repo, "HEAD")
