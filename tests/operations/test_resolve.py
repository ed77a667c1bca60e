"""Settling merges: from git's index stages, from conflict markers alone, part by part, killed, and in other folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from projects import Project
from remotes import add_folder
from sweeps import COMPLETED, run_killed

from datavc.formats.decisions import Decisions, decode_decisions, encode_decisions
from datavc.formats.pointerconflict import conflict_sides, conflict_text

BASE = {"data/a/x": "1", "data/a/y": "1", "data/z": "1"}


def change(project: Project, files: dict[str, str | None], message: str) -> None:
    for name, content in files.items():
        if content is None:
            (project.root / name).unlink()
        else:
            project.write({name: content})
    project.run("add", "-u")
    project.commit(message)


@pytest.fixture
def conflict(project: Project) -> Callable[..., Project]:
    """A repository without the driver in which `git merge other` was stopped by the pointer of `data`."""

    def make(ours: dict[str, str | None], theirs: dict[str, str | None]) -> Project:
        project.write(dict(BASE))
        project.run("add", "data")
        project.commit("base")
        project.git("checkout", "-q", "-b", "other")
        change(project, theirs, "theirs")
        project.git("checkout", "-q", "main")
        project.run("checkout")
        change(project, ours, "ours")
        project.git("merge", "-q", "other", code=1)
        return project

    return make


def contents(project: Project) -> dict[str, str]:
    return {
        f"data/{path.decode()}": what[1].decode()
        for path, what in project.tree("data").items()
        if what[0] == "file"
    }


def test_without_the_driver_resolve_merges_what_git_could_not(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    assert "data.datavc has merge conflict markers" in project.run("status", code=1).err

    ended = project.run("resolve")

    assert ended.out.startswith("data: settled as xxh128:")
    assert "data: 1 file, 1 B written\n" in ended.err
    assert "next: git commit" in ended.err
    assert project.git("ls-files", "-u") == ""
    project.git("commit", "-q", "--no-edit")
    assert contents(project) == BASE | {"data/a/x": "2", "data/a/y": "3"}
    assert project.run("status").out == "data: clean\n"
    assert project.run("resolve").err == "no pointer is in conflict\n"


def test_conflicts_are_listed_by_path_and_decided_one_by_one(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2", "data/z": "2", "data/a/y": "2"}, {"data/a/x": "3", "data/z": None})

    ended = project.run("resolve", code=1)
    assert ended.out == "data/a/x: changed by both\ndata/z: changed by us, deleted by them\n"
    assert "next: datavc resolve --ours data/a/x, or datavc resolve --theirs data/a/x" in ended.err

    ended = project.run("resolve", "--theirs", "data/a", code=1)
    assert ended.out == "data/z: changed by us, deleted by them\n"
    project.run("resolve", "--ours", "data/z")
    project.git("commit", "-q", "--no-edit")

    # Of the folder that was decided, theirs holds for all that is in it.
    assert contents(project) == {"data/a/x": "3", "data/a/y": "1", "data/z": "2"}


def test_a_decision_can_be_changed_until_all_is_settled(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2", "data/z": "2"}, {"data/a/x": "3", "data/z": "3"})

    project.run("resolve", "--ours", "data/a/x", code=1)
    project.run("resolve", "--theirs", "data/a/x", code=1)
    project.run("resolve", "--ours", "data/z")

    assert contents(project) == BASE | {"data/a/x": "3", "data/z": "2"}


def test_what_was_decided_for_one_merge_is_not_used_in_another(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2", "data/z": "2"}, {"data/a/x": "3", "data/z": "3"})
    project.run("resolve", "--ours", "data/a/x", code=1)
    project.git("merge", "--abort")
    change(project, {"data/a/y": "2"}, "ours again")
    project.git("merge", "-q", "other", code=1)

    ended = project.run("resolve", code=1)

    assert ended.out == "data/a/x: changed by both\ndata/z: changed by both\n"


@pytest.mark.parametrize(("side", "content"), [("--ours", "2"), ("--theirs", "3")])
def test_a_whole_dataset_is_taken_from_one_side(conflict: Callable[..., Project], side: str, content: str):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    wanted = project.git("show", f"{'main' if side == '--ours' else 'other'}:data.datavc")

    project.run("resolve", side, "data.datavc")

    assert project.read("data.datavc").decode() == wanted
    project.git("commit", "-q", "--no-edit")


@pytest.mark.parametrize("side", ["--ours", "--theirs"])
def test_a_dataset_that_one_side_removed(project: Project, side: str):
    project.write(dict(BASE))
    project.run("add", "data")
    project.commit("base")
    project.git("checkout", "-q", "-b", "other")
    change(project, {"data/a/x": "2"}, "theirs")
    project.git("checkout", "-q", "main")
    project.run("checkout")
    project.run("remove", "--delete", "data")
    project.commit("ours")
    project.git("merge", "-q", "other", code=1)

    assert project.run("resolve", code=1).out == "data: deleted by us, changed by them\n"
    project.run("resolve", side, "data")

    assert (project.root / "data.datavc").exists() == (side == "--theirs")
    if side == "--theirs":
        assert b"/data\n" in project.read(".gitignore")
        assert contents(project) == BASE | {"data/a/x": "2"}
    project.git("commit", "-q", "-a", "--no-edit")


def test_a_dataset_that_both_sides_renamed(project: Project):
    project.write(dict(BASE))
    project.run("add", "data")
    project.commit("base")
    project.git("checkout", "-q", "-b", "other")
    project.run("move", "data", "theirs")
    project.commit("theirs")
    project.git("checkout", "-q", "main")
    project.run("checkout", "main")
    project.run("move", "data", "ours")
    project.commit("ours")
    project.git("merge", "-q", "other", code=1)

    ended = project.run("resolve", code=1)
    assert ended.out.splitlines() == [
        "data: no dataset any more",
        "ours: renamed by both, to this name by us",
        "theirs: renamed by both, to this name by them",
    ]
    project.run("resolve", "--ours", "ours", "theirs")
    project.git("commit", "-q", "--no-edit")

    assert project.run("status").out == "ours: clean\n"
    assert project.git("status", "--porcelain") == ""


def test_markers_that_were_committed_are_settled_for_a_side(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    theirs = project.git("show", "other:data.datavc")
    project.git("commit", "-q", "-a", "-m", "oops")

    ended = project.run("resolve", code=1)
    assert "git has forgotten which versions of data were merged" in ended.err
    assert "hint: datavc resolve --ours data, or datavc resolve --theirs data" in ended.err
    project.run("resolve", "--theirs", "data")

    assert project.read("data.datavc").decode() == theirs


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_both_sides_are_read_from_markers_of_every_style(conflict: Callable[..., Project], style: str):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    project.git("checkout", "--conflict", style, "data.datavc")

    sides = conflict_sides(project.read("data.datavc"))

    assert sides is not None
    assert [side.decode() for side in sides] == [
        project.git("show", f"{rev}:data.datavc") for rev in ("main", "other")
    ]


def test_text_without_conflicts_has_no_sides():
    assert conflict_sides(b"format = 0\n") is None
    assert conflict_sides(b"<<<<<<< ours\na\n") is None
    assert conflict_sides(conflict_text(b"a\n", b"b\n", length=9)) == (b"a\n", b"b\n")


def test_killed_at_any_change_the_same_command_finishes(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    wanted = None
    for point in range(1, 300, 2):
        project.git("reset", "-q", "--hard")
        project.git("merge", "-q", "other", code=1)
        ended = run_killed(project, ["resolve"], point)
        if project.git("ls-files", "-u"):
            assert ended != COMPLETED
            project.run("resolve")
        wanted = wanted or project.read("data.datavc")
        assert project.read("data.datavc") == wanted
        project.run("checkout")
        assert contents(project) == BASE | {"data/a/x": "2", "data/a/y": "3"}
        if ended == COMPLETED:
            break
    assert point > 10
    project.run("fsck")


def test_paths_that_are_in_no_conflict_are_refused(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/x": "3"})
    project.write({"other": "1"})

    assert "data/z has no merge conflict" in project.run("resolve", "--ours", "data/z", code=1).err
    assert "other has no merge conflict" in project.run("resolve", "--ours", "other", code=1).err
    assert "is taken from one side" in project.run("resolve", "data/a/x", code=2).err
    assert "exclude each other" in project.run("resolve", "--ours", "--theirs", code=2).err


def test_what_is_left_is_told_to_scripts(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/x": "3"})

    rows = json.loads(project.run("resolve", "--json", code=1).out)

    assert rows[0]["conflicts"] == [{"path": "data/a/x", "reason": "changed by both"}]


def test_in_a_linked_worktree_and_from_a_subfolder(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    project.git("merge", "--abort")
    project.git("worktree", "add", "-q", "../linked", "other")
    linked = Project(project.root.parent / "linked", project.environment)
    linked.git("merge", "-q", "main", code=1)
    linked.write({"sub/file": "1"})

    linked.run("checkout", "data", code=1)
    shown = linked.run("resolve", cwd="sub")
    assert shown.out.startswith("../data: settled as ")
    linked.run("checkout")
    assert contents(linked) == BASE | {"data/a/x": "2", "data/a/y": "3"}
    assert project.run("resolve").err == "no pointer is in conflict\n"


def test_decisions_read_as_they_were_written():
    decisions = Decisions(b"da\xffta", "xxh128:00", "xxh128:11", {b"a\xfe": "ours", b"b": "theirs"})

    assert decode_decisions(encode_decisions(decisions), "here") == decisions


def test_unsaved_work_is_left_and_told(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    project.write({"data/a/y": "unsaved"})

    ended = project.run("resolve")

    assert "data is left as it is: unsaved changes would be lost: data/a/y" in ended.err
    assert contents(project) == BASE | {"data/a/x": "2", "data/a/y": "unsaved"}


def test_a_dataset_that_is_removed_goes_from_the_workspace_once_it_is_saved(project: Project):
    project.write(dict(BASE))
    project.run("add", "data")
    project.commit("base")
    project.git("checkout", "-q", "-b", "other")
    project.run("remove", "--delete", "data")
    project.commit("theirs")
    project.git("checkout", "-q", "main")
    project.run("checkout")
    change(project, {"data/a/x": "2"}, "ours")
    project.git("merge", "-q", "other", code=1)

    project.run("resolve", "--theirs", "data")

    assert not (project.root / "data").exists()
    project.git("commit", "-q", "-a", "--no-edit")


def test_what_is_not_here_comes_from_a_remote_before_the_merge_is_committed(
    conflict: Callable[..., Project], tmp_path: Path
):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    project.git("merge", "--abort")
    add_folder(project, tmp_path / "remote")
    # Theirs last: a version that was pushed before them reaches nothing of theirs.
    for revision in ("main~2", "main", "other"):
        project.run("push", "--yes", "--rev", revision)
    clone = project.clone("clone")
    clone.run("pull")
    clone.git("merge", "-q", "origin/other", code=1)

    ended = clone.run("resolve")
    assert "data is left as it is: not all of it is in the cache\nnext: datavc pull data\n" in ended.err
    clone.run("pull")

    assert contents(clone) == BASE | {"data/a/x": "2", "data/a/y": "3"}
    assert clone.run("status").out == "data: pointer not committed\n"


def test_one_dataset_in_conflict_hides_none_of_the_others(conflict: Callable[..., Project]):
    project = conflict({"data/a/x": "2"}, {"data/a/y": "3"})
    project.write({"another/x": "1", "broken/x": "1"})
    project.run("add", "another", "broken")
    project.write({"another/x": "2"})

    shown = project.run("status", code=1)
    assert "data: in conflict\n" in shown.out and "another: modified" in shown.out
    assert shown.err.endswith(
        "error: data.datavc has merge conflict markers\nhint: datavc resolve data.datavc\n"
    )
    rows = json.loads(project.run("status", "--json", code=1).out)
    assert [(row["path"], row["states"][0]) for row in rows] == [
        ("another", "modified"),
        ("broken", "pointer not committed"),
        ("data", "in conflict"),
    ]
    assert project.run("status", "--exit-code", code=4).out == shown.out

    # What does not concern it goes on; what does is refused by name.
    assert "error" not in project.run("status", "another").err
    project.run("add", "another")
    project.run("checkout", "another", "broken")
    assert "data.datavc has merge conflict markers" in project.run("checkout", code=1).err

    project.write({"broken.datavc": "nonsense"})
    shown = project.run("status", code=12)
    assert "broken: pointer unreadable\n" in shown.out
    assert "hint: git checkout HEAD -- broken.datavc\n" in shown.err
