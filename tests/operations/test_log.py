"""What ``datavc log`` tells of the versions of datasets: which commits, how much, what changed, where they were before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from projects import Project


def logged(project: Project, *arguments: str) -> list[dict[str, Any]]:
    return json.loads(project.run("log", "--json", *arguments).out)


def told(project: Project, *arguments: str) -> list[tuple[str, str, str]]:
    """Message, path and status of each version."""
    return [(row["message"], row["path"], row["status"]) for row in logged(project, *arguments)]


@pytest.fixture
def history(project: Project) -> list[str]:
    commits = []
    for day, files in enumerate(
        [{"old/a": "1"}, {"old/b": "22", "old/a": "3"}, {"beside": "x"}, {"old/a": "4444"}]
    ):
        project.environment["GIT_COMMITTER_DATE"] = f"2030-01-0{day + 1}T12:00:00Z"
        project.write(files)
        project.run("add", *sorted({name.partition("/")[0] for name in files}))
        commits.append(project.commit(f"day {day + 1}"))
    project.environment["GIT_COMMITTER_DATE"] = "2030-01-05T12:00:00Z"
    project.run("move", "old", "new")
    commits.append(project.commit("moved"))
    project.environment["GIT_COMMITTER_DATE"] = "2030-01-06T12:00:00Z"
    (project.root / "new/b").unlink()
    project.run("add", "new")
    commits.append(project.commit("less"))
    return commits


def test_every_version_is_told_with_its_commit_and_how_it_differs(project: Project, history: list[str]):
    rows = logged(project, "new")

    assert [row["commit"] for row in rows] == [history[n] for n in (5, 4, 3, 1, 0)]
    assert [row["status"] for row in rows] == ["changed", "moved", "changed", "changed", "added"]
    assert [(row["files"], row["size"]) for row in rows] == [(1, 4), (2, 6), (2, 6), (2, 3), (1, 1)]
    assert [(row["files_change"], row["size_change"]) for row in rows] == [
        (-1, -2),
        (0, 0),
        (0, 3),
        (1, 2),
        (1, 1),
    ]
    assert rows[0]["date"] == "2030-01-06T12:00:00Z"
    assert (rows[0]["author"], rows[0]["email"]) == ("Ada Lovelace", "ada@example.org")
    assert rows[1]["old_path"] == "old"
    assert rows[0]["digest"].startswith("xxh128:")


def test_without_a_path_all_datasets_are_told(project: Project, history: list[str]):
    assert told(project) == [
        ("less", "new", "changed"),
        ("moved", "new", "moved"),
        ("day 4", "old", "changed"),
        ("day 3", "beside", "added"),
        ("day 2", "old", "changed"),
        ("day 1", "old", "added"),
    ]


def test_what_is_gone_can_still_be_asked_for(project: Project, history: list[str]):
    project.run("remove", "beside")
    project.commit("gone")

    assert told(project, "beside") == [("gone", "beside", "removed"), ("day 3", "beside", "added")]
    assert told(project, "--", "old")[-1] == ("day 1", "old", "added")
    assert "was no dataset in any commit" in project.run("log", "nothing", code=1).err


def test_a_revision_says_where_to_begin_and_a_number_where_to_end(project: Project, history: list[str]):
    assert told(project, "HEAD~3") == told(project)[3:]
    assert told(project, history[3], "--", "old") == told(project, "new")[2:]
    assert told(project, "-n", "2", "new") == told(project, "new")[:2]
    assert told(project, "-n", "3", "new") == told(project, "new")[:3]
    assert told(project, "-n", "1") == told(project)[:1]
    assert "no such ancestor" in project.run("log", "HEAD~99", code=2).err


def test_of_a_path_inside_a_dataset_the_versions_are_told_that_changed_it(
    project: Project, history: list[str]
):
    assert told(project, "new/a") == [
        ("day 4", "old/a", "changed"),
        ("day 2", "old/a", "changed"),
        ("day 1", "old/a", "added"),
    ]
    assert told(project, "new/b") == [("less", "new/b", "removed"), ("day 2", "old/b", "added")]
    assert [row["size_change"] for row in logged(project, "new/b")] == [-2, 2]
    assert told(project, "-n", "1", "new/a") == told(project, "new/a")[:1]
    assert "was no dataset" in project.run("log", "new/nothing", code=1).err


def test_datasets_in_a_folder_are_told_together(project: Project):
    project.write({"in/a": "a", "in/deep/b": "b", "out": "o"})
    project.run("add", "in/a", "in/deep/b", "out")
    project.commit("all")

    assert {row["path"] for row in logged(project, "in")} == {"in/a", "in/deep/b"}
    assert {row["path"] for row in logged(project, ".")} == {"in/a", "in/deep/b", "out"}


def test_numbers_of_files_come_from_the_trees(project: Project):
    project.write({"data/a": "a", "data/b": "b", "data/c": "c", "data/same/s": "s"})
    project.run("add", "data")
    project.commit("one")
    (project.root / "data/a").unlink()
    (project.root / "data/c").rename(project.root / "data/moved")
    project.write({"data/b": "bb", "data/new/n": "n", "data/new/m": "m"})
    project.run("add", "data")
    project.commit("two")

    rows = logged(project, "--stat", "data")

    assert rows[0]["numbers"] == {"added": 2, "changed": 1, "removed": 1, "renamed": 1}
    assert rows[1]["numbers"] == {"added": 4, "changed": 0, "removed": 0, "renamed": 0}
    out = project.run("log", "--stat", "data").out
    assert "(2 added, 1 changed, 1 removed, 1 renamed, +2 B)" in out


def test_a_merge_that_made_a_version_of_its_own_is_told_and_other_merges_are_not(project: Project):
    project.write({"data/a": "1", "other/o": "1"})
    project.run("add", "data", "other")
    project.commit("base")
    project.git("checkout", "-q", "-b", "side")
    project.write({"data/a": "2"})
    project.run("add", "data")
    project.commit("on the side")
    project.git("checkout", "-q", "main")
    project.run("checkout")
    project.write({"data/b": "3"})
    project.run("add", "data")
    project.commit("on main")
    project.git("merge", "-q", "-s", "ours", "--no-commit", "side")
    project.write({"data/a": "2", "data/b": "3"})
    project.run("add", "data")
    project.commit("merged")
    project.git("checkout", "-q", "-b", "other", "HEAD~1")
    project.write({"file": "x"})
    project.commit("beside")
    project.git("checkout", "-q", "main")
    project.git("merge", "-q", "--no-edit", "other")

    messages = [row[0] for row in told(project, "data")]

    assert messages[0] == "merged"
    assert set(messages) == {"merged", "on main", "on the side", "base"}


def test_a_dataset_that_was_moved_there_and_back_is_followed_all_the_way(project: Project):
    project.write({"a/f": "1"})
    project.run("add", "a")
    project.commit("one")
    for number, (old, new) in enumerate([("a", "b"), ("b", "c"), ("c", "a")]):
        project.run("move", old, new)
        project.write({f"{new}/f": f"{number}{number}"})
        project.commit(f"to {new}")
        project.run("add", new)
        project.commit(f"changed in {new}")

    assert [row[0] for row in told(project, "a")] == [
        "changed in a", "to a", "changed in c", "to c", "changed in b", "to b", "one",
    ]  # fmt: skip


def test_what_cannot_be_read_is_named_and_stops_nothing(project: Project, history: list[str]):
    good = project.read("new.datavc")
    project.write({"new.datavc": b"nonsense"})
    project.commit("broken")
    project.write({"new.datavc": good})
    project.commit("mended")

    rows = logged(project, "--stat", "-n", "3", "new")

    assert [row["digest"] is None for row in rows] == [False, True, False]
    assert rows[1]["problem"]
    assert "unreadable" in project.run("log", "new").out


def test_odd_names_and_messages_are_told_as_they_are(project: Project):
    project.write({"da\nta \\x/f": "f", "ünï[*]": "u"})
    project.run("add", "ünï[*]")
    project.commit(":100644 a message, with\n\na body")
    project.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    project.write({"ünï[*]": "v"})
    project.run("add", "ünï[*]")
    project.git("add", "--all", "--", "*.datavc")
    project.git("commit", "-q", "--allow-empty-message", "-m", "")

    assert told(project, "ünï[*]") == [
        ("", "ünï[*]", "changed"),
        (":100644 a message, with", "ünï[*]", "added"),
    ]
    project.run("log")


def test_before_the_first_commit_there_is_nothing_to_tell(git_project: Project):
    git_project.run("init")

    result = git_project.run("log")

    assert (result.out, result.err) == ("", "no commit has a dataset yet\n")


def test_a_shallow_clone_says_that_there_is_more(project: Project, history: list[str]):
    shallow = Project(project.root.parent / "shallow", project.environment)
    project.git("clone", "-q", "--depth=2", f"file://{project.root}", str(shallow.root))

    assert "git fetch --unshallow" in shallow.run("log", "new").err


def test_how_a_version_was_made_is_told(project: Project, history: list[str]):
    pointer = project.read("new.datavc").decode()
    record = "xxh128:" + "1" * 32
    run = f'\n[run]\nrecord = "{record}"\nstage = "train"\ncommand = "python train.py"\n'
    project.write({"new.datavc": pointer + run})
    project.commit("made")

    assert logged(project, "-n", "1", "new")[0]["run"] == {
        "record": record,
        "stage": "train",
        "command": "python train.py",
    }
    assert "by stage train: python train.py" in project.run("log", "-n", "1", "new").out


def test_a_history_of_thousands_of_commits_takes_a_handful_of_git_processes(
    project: Project, history: list[str], monkeypatch: pytest.MonkeyPatch
):
    from datavc.git.program import Git

    asked: list[str] = []
    real = Git.start

    def start(self: Git, *arguments: Any, **options: Any) -> Any:
        asked.append(str(arguments[0]))
        return real(self, *arguments, **options)

    monkeypatch.setattr(Git, "start", start)
    logged(project, "new")

    # One move was followed: two logs, and for each what came with the commits that made the pointer, and the pointers.
    assert sorted(asked).count("log") == 2
    assert len(asked) <= 14


def test_a_partial_clone_fetches_the_pointers_of_a_history_at_once(project: Project, history: list[str]):
    for number in range(10):
        project.write({"new/a": f"more {number}"})
        project.run("add", "new")
        project.commit(f"more {number}")
    project.git("config", "uploadpack.allowFilter", "true")
    project.git("config", "uploadpack.allowAnySHA1InWant", "true")
    partial = Project(project.root.parent / "partial", dict(project.environment))
    project.git("clone", "-q", "--filter=blob:none", f"file://{project.root}", str(partial.root))
    trace = project.root.parent / "trace"
    partial.environment["GIT_TRACE2_EVENT"] = str(trace)

    assert told(partial, "new") == told(project, "new")

    fetches = [
        line for line in trace.read_text().splitlines() if '"cmd_name"' in line and '"name":"fetch"' in line
    ]
    assert (
        1 <= len(fetches) <= 4
    )  # one for each of the questions that follow the move, and none for a single pointer
