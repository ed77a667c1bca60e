"""``datavc tag``: a dataset's own names for its versions, which are git's tags."""

from __future__ import annotations

import json

import pytest
from projects import Project


@pytest.fixture
def history(project: Project) -> list[str]:
    commits = []
    for text in ("one", "two"):
        project.write({"deep/data/a": text, "my set/b": text})
        project.run("add", "deep/data", "my set")
        commits.append(project.commit(text))
    return commits


def test_a_tag_is_gits_and_the_line_that_sends_it_is_told(project: Project, history: list[str]):
    project.git("remote", "add", "origin", str(project.root.parent / "bare"))
    project.git("init", "-q", "--bare", str(project.root.parent / "bare"))

    said = project.run("tag", "deep/data", "v2").err
    project.run("tag", "data", "v1", "HEAD~1", cwd="deep")

    assert project.git("rev-parse", "deep/data@v2", "deep/data@v1").split() == [history[1], history[0]]
    line = said.splitlines()[-1].removeprefix("next: ")
    assert line == "git push origin refs/tags/deep/data@v2"
    project.git(*line.split()[1:])
    assert "deep/data@v2" in project.git("ls-remote", "origin")


def test_a_tag_stands_wherever_a_revision_may(project: Project, history: list[str]):
    project.run("tag", "deep/data", "v1", "HEAD~1")

    project.run("checkout", "deep/data@v1")
    assert project.read("deep/data/a") == b"one"
    assert project.read("my set/b") == b"two"
    assert project.run("cat", "deep/data@v1:a").out == "one"
    assert project.run("diff", "deep/data@v1", "HEAD").out == "M deep/data/a  3 B -> 3 B\n"
    assert len(json.loads(project.run("log", "--json", "deep/data@v1", "--", "deep/data").out)) == 1
    project.run("tag", "deep/data", "again", "deep/data@v1")
    assert project.git("rev-parse", "deep/data@again").strip() == history[0]


def test_names_that_git_does_not_take_are_spelled_so_that_it_does(project: Project, history: list[str]):
    project.run("tag", "my set", "v1", "HEAD~1")

    assert "my%20set@v1" in project.git("tag")
    project.run("checkout", "my set@v1")
    assert project.read("my set/b") == b"one"
    assert json.loads(project.run("tag", "--json").out)[0]["path"] == "my set"


def test_tags_are_listed_with_their_versions(project: Project, history: list[str]):
    assert "no dataset has a tag" in project.run("tag").err
    project.run("tag", "deep/data", "v1", "HEAD~1")
    project.run("tag", "deep/data", "v2", "-m", "annotated")
    project.run("tag", "my set", "first", "HEAD~1")
    project.git("tag", "plain")
    project.git("tag", "nothing@v1")

    rows = json.loads(project.run("tag", "--json").out)

    assert {(row["path"], row["name"]) for row in rows} == {
        ("deep/data", "v1"), ("deep/data", "v2"), ("my set", "first"), ("nothing", "v1"),
    }  # fmt: skip
    assert [row["name"] for row in json.loads(project.run("tag", "--json", "deep").out)] == ["v1", "v2"]
    assert project.git("cat-file", "-t", "deep/data@v2").strip() == "tag"
    out = project.run("tag").out
    assert "deep/data@v1" in out and "no such dataset" in out


def test_what_cannot_be_tagged_is_refused(project: Project, history: list[str]):
    project.write({"new/n": "n"})
    project.run("add", "new")

    assert "git add new.datavc && git commit" in project.run("tag", "new", "v1", code=1).err
    assert "no name for a tag" in project.run("tag", "deep/data", "a b", code=2).err
    project.run("tag", "deep/data", "v1", "nowhere", code=2)
    project.run("tag", "deep/data", "v1")
    project.run("tag", "deep/data", "v1")
    assert "--force" in project.run("tag", "deep/data", "v1", "HEAD~1", code=1).err
    project.run("tag", "--force", "deep/data", "v1", "HEAD~1")
    assert project.git("rev-parse", "deep/data@v1").strip() == history[0]
    project.run("tag", "-m", "text", code=2)


def test_a_pointer_that_is_not_committed_is_told_not_to_be_what_is_tagged(
    project: Project, history: list[str]
):
    project.write({"deep/data/a": "three"})
    project.run("add", "deep/data")

    assert "has another version in the workspace" in project.run("tag", "deep/data", "v3").err
