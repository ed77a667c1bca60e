"""``datavc diff`` between revisions: from trees alone, file by file, over datasets that came, went and moved."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project


@pytest.fixture
def history(project: Project) -> list[str]:
    project.write(
        {"data/a": "one", "data/keep/k": "k", "data/old name": "x" * 2000, "gone/g": "g", "whole/w": "w"}
    )
    project.run("add", "data", "gone", "whole")
    commits = [project.commit("first")]
    project.write({"data/a": "two!", "data/new/n": "nn", "fresh": "f"})
    (project.root / "data/old name").rename(project.root / "data/new/name")
    (project.root / "data/empty").mkdir()
    project.run("add", "data", "fresh")
    project.run("remove", "--delete", "gone")
    project.run("move", "whole", "elsewhere")
    commits.append(project.commit("second"))
    return commits


EXPECTED = [
    "M data/a  3 B -> 4 B",
    "A data/empty  0 B",
    "R data/old name -> data/new/name  2.0 KiB",
    "A data/new/n  2 B",
    "R whole -> elsewhere  1 B",
    "A fresh  1 B",
    "D gone/g  1 B",
]


def changed(project: Project, *arguments: str) -> list[tuple[str, str, str | None]]:
    rows: list[dict[str, Any]] = json.loads(project.run("diff", "--json", *arguments).out)
    return [
        (change["status"], change["path"], change["old_path"]) for row in rows for change in row["changes"]
    ]


def test_files_that_came_went_changed_and_moved_are_told_with_sizes(project: Project, history: list[str]):
    result = project.run("diff", "HEAD~1", "HEAD")

    assert sorted(result.out.splitlines()) == sorted(EXPECTED)
    assert result.err.splitlines()[-1] == "3 added, 1 changed, 1 removed, 2 renamed (+3 B)"


def test_the_other_way_round_it_is_the_other_way_round(project: Project, history: list[str]):
    opposite = {"added": "removed", "removed": "added", "changed": "changed", "renamed": "renamed"}
    there, back = changed(project, "HEAD~1", "HEAD"), changed(project, "HEAD", "HEAD~1")

    assert sorted(
        (opposite[status], old if old is not None else path, path if old is not None else None)
        for status, path, old in there
    ) == sorted(back)


def test_one_revision_is_compared_with_the_workspace(project: Project, history: list[str]):
    assert sorted(project.run("diff", "HEAD~1").out.splitlines()) == sorted(EXPECTED)
    assert changed(project, "HEAD") == []
    project.write({"data/keep/k": "edited"})
    (project.root / "fresh").unlink()
    assert changed(project, "HEAD") == [("changed", "data/keep/k", None), ("removed", "fresh", None)]
    assert ("changed", "data/keep/k", None) in changed(project, "HEAD~1")
    project.write({"data/new/sub/deep": "deep"})
    assert ("added", "data/new/sub/deep", None) in changed(project, "HEAD~1")
    shutil.rmtree(project.root / "data")
    assert ("removed", "data/a", None) in changed(project, "HEAD")


def test_without_a_revision_it_is_the_pointers_against_the_workspace_as_before(
    project: Project, history: list[str]
):
    project.write({"data/a": "three"})

    assert project.run("diff").out == "M data/a  4 B -> 5 B\n"
    assert project.run("diff", "data").out == "M data/a  4 B -> 5 B\n"
    assert project.run("diff", "--", "fresh").out == ""


def test_paths_limit_what_is_told(project: Project, history: list[str]):
    assert changed(project, "HEAD~1", "HEAD", "--", "data/new") == [
        ("added", "data/new/n", None),
        ("renamed", "data/new/name", "data/old name"),
    ]
    assert changed(project, "HEAD~1", "HEAD", "gone") == [("removed", "gone/g", None)]
    assert changed(project, "HEAD~1", "HEAD", "--", "data/keep") == []
    assert "is in no dataset" in project.run("diff", "HEAD~1", "HEAD", "--", "nothing", code=1).err


def test_ranges_are_written_as_in_git(project: Project, history: list[str]):
    there = changed(project, "HEAD~1", "HEAD")

    assert changed(project, "HEAD~1..HEAD") == there
    assert changed(project, "HEAD~1..") == there
    assert changed(project, "HEAD~1..main", "--", "gone") == [("removed", "gone/g", None)]
    project.git("checkout", "-q", "-b", "side", "HEAD~1")
    project.write({"file": "x"})
    project.commit("beside")
    assert changed(project, "side...main") == there
    assert changed(project, "main...side") == []


def test_scripts_are_served(project: Project, history: list[str]):
    project.run("diff", "--exit-code", "HEAD", "HEAD")
    project.run("diff", "--exit-code", "HEAD~1", "HEAD", code=1)
    project.run("diff", "--exit-code", "HEAD~1", "HEAD", "--", "nothing", code=4)
    names = project.run("diff", "-z", "HEAD~1", "HEAD", "--", "data").out.split("\0")
    assert sorted(names) == ["", "data/a", "data/empty", "data/new/n", "data/new/name"]
    assert project.run("diff", "--name-only", "HEAD~1", "HEAD", "--", ".", cwd="data").out.split() == [
        "a", "empty", "new/n", "new/name",
    ]  # fmt: skip


def test_markdown_is_a_table_that_odd_names_do_not_break(project: Project, history: list[str]):
    project.write({"data/a|b `c`": "odd", "data/`": "tick"})
    project.run("add", "data")
    project.commit("third")

    out = project.run("diff", "--md", "HEAD~1", "HEAD").out

    assert out.splitlines() == [
        "**2 added (+7 B)**",
        "",
        "| | path | before | after |",
        "|---|---|--:|--:|",
        "| added | `` data/` `` |  | 4 B |",
        "| added | `` data/a\\|b `c` `` |  | 3 B |",
    ]
    assert project.run("diff", "--md", "HEAD", "HEAD").out == "No dataset differs.\n"


def test_equal_subtrees_are_not_read(project: Project, history: list[str]):
    from datavc.operations.steps.trees.trees import TreeSource

    read: list[bytes] = []
    real = TreeSource.tree

    def tree(self: TreeSource, digest: bytes) -> Any:
        read.append(digest)
        return real(self, digest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TreeSource, "tree", tree)
        changed(project, "HEAD~1", "HEAD", "--", "data")

    # Both tops of data, and the folder in it that is new, once to measure and once to list: not data/keep, nothing else.
    assert len(set(read)) <= 4


def test_a_dataset_that_became_a_file_is_told(project: Project):
    project.write({"thing/a": "a", "thing/b": "b"})
    project.run("add", "thing")
    project.commit("folder")
    shutil.rmtree(project.root / "thing")
    project.write({"thing": "file"})
    project.run("add", "thing")
    project.commit("file")

    assert sorted(changed(project, "HEAD~1", "HEAD")) == [
        ("added", "thing", None),
        ("removed", "thing/a", None),
        ("removed", "thing/b", None),
    ]


def test_tags_of_datasets_and_digests_limit_the_comparison_to_that_dataset(
    project: Project, history: list[str]
):
    project.git("tag", "data@v1", history[0])
    project.git("tag", "data@v2", history[1])
    first = json.loads(project.run("log", "--json", "data").out)[-1]["digest"]

    here = changed(project, "HEAD~1", "HEAD", "--", "data")
    assert changed(project, "data@v1", "data@v2") == here
    assert changed(project, "data@v1", "HEAD") == here
    assert changed(project, first, "HEAD") == here
    assert changed(project, "data@v1") == here


def test_trees_that_are_not_here_are_fetched_and_no_files(project: Project, history: list[str]):
    remote = project.root.parent / "remote"
    project.run("remote", "add", "--default", "far", str(remote))
    for commit in history:
        project.run("push", "--rev", commit)
    project.commit("remote")
    clone = project.clone("clone")

    result = clone.run("diff", history[0], history[1])

    assert sorted(result.out.splitlines()) == sorted(EXPECTED)
    assert clone.run("diff", "--offline", history[0], "HEAD").out == result.out


files = st.dictionaries(
    st.sampled_from(["a", "b", "c/d", "c/e", "f/g/h", "f/i"]), st.binary(max_size=3), min_size=1, max_size=6
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=files, after=files)
def test_what_is_told_makes_the_one_of_the_other(
    before: dict[str, bytes], after: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
):
    from projects import environment_of

    base = tmp_path_factory.mktemp("law")
    (base / "home").mkdir()
    (base / "project").mkdir()
    project = Project(base / "project", environment_of(base / "home"))
    project.git("init", "-q")
    project.run("init")
    for content in (before, after):
        shutil.rmtree(project.root / "data", ignore_errors=True)
        project.write({f"data/{name}": text for name, text in content.items()})
        project.run("add", "data")
        project.commit()

    made = dict(before)
    told = changed(project, "HEAD~1", "HEAD")
    for status, path, old in told:
        if status == "removed":
            del made[path.removeprefix("data/")]
        elif old is not None:
            assert before[old.removeprefix("data/")] == after[path.removeprefix("data/")]
            del made[old.removeprefix("data/")]
    for status, path, _ in told:
        if status != "removed":
            made[path.removeprefix("data/")] = after[path.removeprefix("data/")]
    assert made == after
