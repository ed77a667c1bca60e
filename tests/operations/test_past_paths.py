"""``REV:PATH`` in ls, cat, du and show: one thing in the past, from the cache or a remote, with nothing checked out."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from projects import Project


@pytest.fixture
def history(project: Project) -> list[str]:
    project.write({"data/a": "one", "data/sub/b": "bb", "single": "s1"})
    project.run("add", "data", "single")
    commits = [project.commit("first")]
    project.git("tag", "data@v1")
    project.git("tag", "single@v1")
    project.write({"data/a": "two", "single": "s2"})
    shutil.rmtree(project.root / "data/sub")
    project.write({"deep/set/x": "x"})
    project.run("add", "data", "single", "deep/set")
    return [*commits, project.commit("second")]


def test_a_file_of_a_revision_is_written_out(project: Project, history: list[str]):
    assert project.run("cat", "HEAD~1:data/a").out == "one"
    assert project.run("cat", "HEAD:data/a").out == "two"
    assert project.run("cat", "HEAD~1:single").out == "s1"
    assert project.run("cat", f"{history[0][:10]}:data/sub/b").out == "bb"
    assert project.run("cat", "data/a").out == "two"


def test_paths_after_a_revision_are_seen_from_the_root_or_with_a_dot_from_here(
    project: Project, history: list[str]
):
    assert project.run("cat", "HEAD~1:data/a", cwd="data").out == "one"
    assert project.run("cat", "HEAD~1:./a", cwd="data").out == "one"
    assert project.run("cat", "HEAD~1:../single", cwd="data").out == "s1"
    assert "is in no dataset at that revision" in project.run("cat", "HEAD~1:a", cwd="data", code=1).err
    assert project.run("cat", "HEAD~1:/single", code=2).out == ""


def test_after_a_datasets_own_tag_or_a_digest_a_path_may_be_one_inside_it(
    project: Project, history: list[str]
):
    digest = json.loads(project.run("log", "--json", "data").out)[-1]["digest"]

    for word in ("data@v1:data/a", "data@v1:a", f"{digest}:a", f"{digest[:20]}:a"):
        assert project.run("cat", word).out == "one"
    assert project.run("cat", "single@v1").out == "s1"
    assert project.run("ls", "data@v1").out.splitlines() == ["data/a", "data/sub/"]
    assert project.run("ls", f"{digest}:sub").out.splitlines() == ["data/sub/b"]


def test_what_a_revision_has_is_listed_and_added_up(project: Project, history: list[str]):
    assert project.run("ls", "HEAD~1:").out.splitlines() == ["data/", "single"]
    assert project.run("ls", "HEAD~1").out.splitlines() == ["data/", "single"]
    assert project.run("ls", "HEAD:deep").out.splitlines() == ["deep/set/"]
    assert project.run("ls", "-r", "HEAD~1:data").out.splitlines() == ["data/a", "data/sub/b"]
    rows = project.run("du", "HEAD~1:data", "HEAD:data", "data", "-d", "1").out.splitlines()
    assert [row.split() for row in rows] == [
        ["5", "B", "2", "HEAD~1:data"],
        ["2", "B", "1", "HEAD~1:data/sub"],
        ["3", "B", "1", "HEAD:data"],
        ["3", "B", "1", "data"],
    ]
    assert len(project.run("du", "HEAD:").out.splitlines()) == 3


def test_a_command_that_takes_the_revision_first_says_how_a_path_in_one_is_typed(project: Project):
    project.write({"data/a b": "1"})
    project.run("add", "data")
    project.commit("one")

    for verb in ("checkout", "diff"):
        ended = project.run(verb, "HEAD:data/a b", code=2)
        assert f"hint: datavc {verb} HEAD -- 'data/a b'\n" in ended.err


def test_a_thing_of_a_revision_is_shown_with_its_origin(project: Project, history: list[str]):
    shown = json.loads(project.run("show", "--json", "HEAD~1:data").out)[0]
    assert (shown["kind"], shown["size"], shown["files"], shown["tags"]) == ("folder", 5, 2, ["v1"])
    assert shown["made"]["commit"] == history[0]
    inner = json.loads(project.run("show", "--json", "HEAD~1:data/sub").out)[0]
    assert (inner["path"], inner["dataset"], inner["version"]) == ("data/sub", "data", shown["digest"])
    assert len(json.loads(project.run("show", "--json", "HEAD:").out)) == 3
    project.write({"data/a": "uncommitted"})
    project.run("add", "data")
    assert json.loads(project.run("show", "--json", "data").out)[0]["made"] is None
    out = project.run("show", "HEAD~1:data").out
    assert re.search(r"commit +[0-9a-f]{12} \S+ Ada Lovelace: first", out)
    assert "tags      v1" in out


def test_a_path_with_a_colon_is_a_path_and_both_spellings_are_shown_where_it_is_a_revision_too(
    project: Project, history: list[str]
):
    project.write({"HEAD:data": "colon", "odd:name": "odd"})
    project.run("add", "HEAD:data", "odd:name")
    project.commit("odd")

    assert project.run("cat", "odd:name").out == "odd"
    said = project.run("ls", "HEAD:data", code=2).err
    assert "datavc ls ./HEAD:data for the path" in said
    assert project.run("cat", "./HEAD:data").out == "colon"
    other = re.search(r"datavc ls ([0-9a-f]{40}:data) for the other", said)
    assert other is not None
    assert project.run("ls", other[1]).out == "data/a\n"


def test_what_is_no_revision_is_said(project: Project, history: list[str]):
    assert "no commit, branch or tag" in project.run("ls", "nowhere:data", code=2).err
    assert "no such ancestor" in project.run("cat", "HEAD~9:data/a", code=2).err
    assert "not in the dataset" in project.run("cat", "HEAD~1:data/zzz", code=1).err


def test_what_is_not_here_is_fetched(project: Project, history: list[str]):
    remote = project.root.parent / "remote"
    project.run("remote", "add", "--default", "far", str(remote))
    for commit in history:
        project.run("push", "--rev", commit)
    project.commit("remote")
    clone = project.clone("clone")

    assert clone.run("ls", "-r", f"{history[0]}:data").out.splitlines() == ["data/a", "data/sub/b"]
    assert clone.run("cat", f"{history[0]}:data/a").out == "one"
    assert "not complete" in clone.run("show", f"{history[0]}:data").out
