"""Names of revisions, as git and its tags have them, and what is said where a name leads nowhere or to two places."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from projects import Project

from datavc.errors import NotFoundError, UsageError
from datavc.git.program import Git
from datavc.git.revisions import (
    approximate_time,
    blob_name,
    commit_before,
    dataset_tag,
    dataset_tags,
    known_blobs,
    make_tag,
    parse_dataset_tag,
    resolve,
)


@pytest.fixture
def commits(git_project: Project, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Four commits, a day apart from the second of January 2026 on."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    found = []
    for day in range(2, 6):
        git_project.environment["GIT_COMMITTER_DATE"] = f"2026-01-0{day}T12:00:00Z"
        git_project.write({"file": str(day)})
        found.append(git_project.commit(f"day {day}"))
    return found


def git_of(project: Project) -> Git:
    return Git(project.root)


def test_branches_tags_ids_and_ancestors_are_what_git_takes_them_for(
    git_project: Project, commits: list[str]
):
    git = git_of(git_project)
    git_project.git("tag", "-m", "annotated", "v1", commits[1])
    git_project.git("branch", "side", commits[2])

    assert resolve(git, "HEAD") == commits[3]
    assert resolve(git, "HEAD~3") == commits[0]
    assert resolve(git, "v1") == commits[1]
    assert resolve(git, "v1^") == commits[0]
    assert resolve(git, "side") == commits[2]
    assert resolve(git, commits[1][:10]) == commits[1]
    assert resolve(git, ":/day 3") == commits[1]
    assert resolve(git, "@") == commits[3]


def test_a_name_that_a_branch_and_a_tag_have_is_refused_with_both_spellings(
    git_project: Project, commits: list[str]
):
    git = git_of(git_project)
    git_project.git("branch", "v1", commits[0])
    git_project.git("tag", "v1", commits[1])

    with pytest.raises(UsageError) as caught:
        resolve(git, "v1~0")

    assert caught.value.hint == "type heads/v1~0 or tags/v1~0"
    assert resolve(git, "heads/v1") == commits[0]
    assert resolve(git, "tags/v1") == commits[1]
    git_project.git("tag", "-f", "v1", commits[0])
    assert resolve(git, "v1") == commits[0]


@pytest.mark.parametrize("rev", ["HEAD@{yesterday}", "HEAD@{1}", "main@{2026-01-03}", "@{1}"])
def test_the_reflog_is_refused_for_it_differs_in_every_clone(
    git_project: Project, commits: list[str], rev: str
):
    with pytest.raises(UsageError) as caught:
        resolve(git_of(git_project), rev)

    assert "--before DATE" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("rev", "said"),
    [
        ("nowhere", "git branch --all"),
        ("mian", "the nearest is main"),
        ("HEAD~9", "git log --oneline HEAD"),
        ("", ""),
        ("-x", ""),
        ("a\nb", ""),
        ("a\0b", ""),
    ],
)
def test_what_is_no_revision_is_said_with_the_way_on(
    git_project: Project, commits: list[str], rev: str, said: str
):
    with pytest.raises(UsageError) as caught:
        resolve(git_of(git_project), rev)

    assert said in (caught.value.hint or "")


def test_a_shallow_clone_is_told_the_depth_to_fetch(git_project: Project, commits: list[str]):
    git_project.git(
        "clone", "-q", "--depth=2", f"file://{git_project.root}", str(git_project.root.parent / "shallow")
    )
    shallow = Project(git_project.root.parent / "shallow", git_project.environment)
    git = git_of(shallow)

    assert resolve(git, "HEAD~1") == commits[2]
    for rev, depth in (("HEAD~2", 3), ("HEAD~2^", 4), ("main~3", 4), ("HEAD^^^", 4)):
        with pytest.raises(NotFoundError) as caught:
            resolve(git, rev)
        assert f"git fetch --depth={depth} " in (caught.value.hint or "")
    with pytest.raises(NotFoundError) as caught:
        resolve(git, f"{commits[2]}~1")
    assert "git fetch --deepen=1 " in (caught.value.hint or "")
    with pytest.raises(NotFoundError) as caught:
        resolve(git, "v1")
    assert "git fetch --unshallow" in (caught.value.hint or "")
    with pytest.raises(NotFoundError) as caught:
        commit_before(git, 1767400000, "2026-01-03")
    assert caught.value.hint == "git fetch --shallow-since=2026-01-03"
    shallow.git("fetch", "-q", "--depth=3")
    assert resolve(git, "HEAD~2") == commits[1]


def test_the_last_commit_before_a_time_is_by_the_committers_date(git_project: Project, commits: list[str]):
    git = git_of(git_project)
    noon_of_the_third = 1767441600

    assert commit_before(git, noon_of_the_third, "then") == commits[1]
    assert commit_before(git, noon_of_the_third - 1, "then") == commits[0]
    assert commit_before(git, noon_of_the_third + 10**9, "then") == commits[3]
    with pytest.raises(NotFoundError, match="no commit is as old as then"):
        commit_before(git, 0, "then")


def test_a_merged_branch_has_no_part_in_the_first_parents(git_project: Project, commits: list[str]):
    git_project.git("checkout", "-q", "-b", "side", commits[0])
    git_project.environment["GIT_COMMITTER_DATE"] = "2026-01-04T18:00:00Z"
    git_project.write({"other": "x"})
    git_project.commit("beside")
    git_project.git("checkout", "-q", "main")
    git_project.environment["GIT_COMMITTER_DATE"] = "2026-01-06T12:00:00Z"
    git_project.git("merge", "-q", "--no-edit", "side")

    assert commit_before(git_of(git_project), 1767441600 + 86400 + 9 * 3600, "then") == commits[2]


def test_times_that_git_understands_are_asked_of_git(git_project: Project, commits: list[str]):
    git = git_of(git_project)

    assert approximate_time(git, "2.days.ago") < approximate_time(git, "1.day.ago")


paths = st.lists(
    st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_")),
    min_size=1,
    max_size=3,
).map(b"/".join)
hard = st.text(alphabet="./@{}~^:?*[\\% -lock", min_size=1, max_size=12).map(str.encode)
names = st.text(alphabet=string.ascii_letters + string.digits + "_-.", min_size=1, max_size=8).filter(
    lambda name: name[0] not in ".-" and not name.endswith((".", ".lock")) and ".." not in name
)


@given(path=paths, name=names)
def test_a_datasets_tag_leads_back_to_its_path(path: bytes, name: str):
    assert parse_dataset_tag(dataset_tag(path, name)) == (path, name)


@given(path=hard.filter(lambda path: all(path.split(b"/"))), name=names)
def test_every_datasets_tag_is_a_name_that_git_takes(
    path: bytes, name: str, tmp_path_factory: pytest.TempPathFactory
):
    git = Git(tmp_path_factory.getbasetemp())

    git.run("check-ref-format", b"refs/tags/" + dataset_tag(path, name))


@pytest.mark.parametrize("name", ["", "a b", "a@b", "a/b", "-a", ".a", "a.", "a..b", "a.lock", "a\n", "a~1"])
def test_names_that_no_tag_may_have_are_refused(name: str):
    with pytest.raises(UsageError):
        dataset_tag(b"data", name)


def test_tags_of_datasets_are_listed_and_other_tags_are_not(git_project: Project, commits: list[str]):
    git = git_of(git_project)
    make_tag(git, dataset_tag(b"my data", "v1"), commits[0])
    make_tag(git, dataset_tag(b"data/a@b", "v2"), commits[1], message="the second")
    make_tag(git, b"plain", commits[0])

    found = dataset_tags(git)

    assert [(tag.path, tag.name, tag.commit) for tag in found] == [
        (b"data/a@b", "v2", commits[1]),
        (b"my data", "v1", commits[0]),
    ]


def test_a_blob_has_the_name_that_git_gives_it(git_project: Project, commits: list[str]):
    name = blob_name(b"5", commits[0])

    assert name == git_project.git("rev-parse", "HEAD:file").strip()
    assert known_blobs(git_of(git_project), [name, "0" * 40]) == {name}
