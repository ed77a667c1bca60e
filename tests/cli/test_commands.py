"""What commands print where, and their exit codes; what they do is tested with the operations."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from projects import Project, Result
from remotes import add_folder


@pytest.fixture
def dataset(project: Project) -> Project:
    """A project whose dataset ``data`` is added and committed."""
    project.write({"data/a.txt": "a", "data/sub/b.txt": "b" * 2048, "data/c d": "c"})
    project.run("add", "data")
    project.commit("data")
    return project


@pytest.fixture
def changed(dataset: Project) -> Project:
    """The same with each kind of change in the workspace."""
    dataset.write({"data/a.txt": "other", "data/new": "n"})
    (dataset.root / "data" / "c d").unlink()
    (dataset.root / "data" / "sub" / "b.txt").rename(dataset.root / "data" / "sub" / "moved.txt")
    return dataset


def told(result: Result) -> tuple[list[str], list[str]]:
    return result.out.splitlines(), result.err.splitlines()


def test_outside_of_a_repository_the_way_in_is_shown(git_project: Project):
    result = git_project.run("status", code=10)

    assert result.out == ""
    assert " init" in result.err.splitlines()[-1]


def test_init_names_what_to_commit_as_seen_from_here(git_project: Project):
    git_project.write({"deep": None})

    result = git_project.run("init", cwd="deep")

    assert result.out == ""
    assert (
        result.err.splitlines()[-1]
        == "next: git add ../datavc.toml ../.gitattributes ../.gitignore && git commit -m 'Set up datavc'"
    )


def test_add_says_what_was_new_and_the_git_add_line(project: Project):
    project.write({"my data/a.txt": "a" * 2048})

    out, err = told(project.run("add", "my data"))

    assert len(out) == 1
    assert out[0].startswith("my data: 1 file, 2.0 KiB (1 file, 2.0 KiB new, ")
    assert err[-1] == "next: git add .gitignore 'my data.datavc'"


def test_add_gives_the_git_add_line_that_works_in_this_folder(project: Project):
    project.write({"deep/data/a": "a"})

    line = told(project.run("add", "data", cwd="deep"))[1][-1]
    project.git(*line.removeprefix("next: git ").split(), cwd="deep")

    assert "deep/data.datavc" in project.git("diff", "--cached", "--name-only")


def test_quiet_leaves_results_alone(project: Project):
    project.write({"data/a": "a"})

    result = project.run("-q", "add", "data")

    assert result.out.startswith("data: 1 file")
    assert result.err == ""


def test_status_says_the_state_and_the_next_command(changed: Project):
    result = changed.run("status")

    assert told(result) == (
        ["data: modified (1 added, 1 changed, 1 removed, 1 renamed)"],
        ["next: datavc add data"],
    )


def test_verbose_status_lists_paths_as_seen_from_here(changed: Project):
    out, _ = told(changed.run("status", "-v", cwd="data/sub"))

    assert out[0].startswith("..: modified")
    assert out[1:] == [
        "  M ../a.txt  1 B -> 5 B",
        "  D ../c d  1 B",
        "  A ../new  1 B",
        "  R b.txt -> moved.txt  2.0 KiB",
    ]


@pytest.mark.parametrize("command", ["status", "diff"])
def test_the_exit_code_tells_differences_only_when_asked(command: str, changed: Project):
    assert changed.run(command).code == 0
    assert changed.run(command, "--exit-code", code=1).out
    assert changed.run(command, "--exit-code", "nothing", code=4).out == ""


@pytest.mark.parametrize("command", ["status", "diff"])
def test_the_exit_code_is_0_where_nothing_differs(command: str, dataset: Project):
    dataset.run(command, "--exit-code")


def test_diff_lists_what_changed(changed: Project):
    out, err = told(changed.run("diff"))

    assert out == [
        "M data/a.txt  1 B -> 5 B",
        "D data/c d  1 B",
        "A data/new  1 B",
        "R data/sub/b.txt -> data/sub/moved.txt  2.0 KiB",
    ]
    assert err == []


def test_diff_gives_names_to_programs(changed: Project):
    lines = changed.run("diff", "--name-only").out
    zeros = changed.run("diff", "-z").out

    assert lines.splitlines() == ["data/a.txt", "data/c d", "data/new", "data/sub/moved.txt"]
    assert zeros == lines.replace("\n", "\0")


def test_odd_names_are_shown_escaped_and_given_as_they_are(project: Project):
    project.write({"data/a": "a"})
    project.run("add", "data")
    project.write({b"data/\x1b[31m\xff\n": "x"})

    assert "A data/\\x1b[31m\\xff\\x0a  1 B\n" in project.run("diff").out
    assert os.fsencode(project.run("diff", "-z").out) == b"data/\x1b[31m\xff\n\0"
    assert "\x1b" not in project.run("diff", "--json").out


@pytest.mark.parametrize(
    "words",
    [
        ["status", "--json"],
        ["diff", "--json"],
        ["ls", "--json"],
        ["ls", "-r", "--json", "data"],
        ["du", "-d", "1", "--json"],
        ["config", "--json"],
    ],
)
def test_json_is_a_list_of_objects(words: list[str], changed: Project):
    rows = json.loads(changed.run(*words).out)

    assert rows
    assert all(isinstance(row, dict) for row in rows)


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["add", "--json", "-u"], "datasets"),
        (["add", "--json", "--dry-run", "data"], "datasets"),
        (["checkout", "--json", "--force"], "datasets"),
        (["fsck", "--json"], "problems"),
    ],
)
def test_json_of_one_result_is_an_object(words: list[str], key: str, changed: Project):
    assert isinstance(json.loads(changed.run(*words).out)[key], list)


def test_checkout_refuses_unsaved_changes_and_says_both_ways_out(changed: Project):
    result = changed.run("checkout", code=1)

    assert result.out == ""
    assert result.err.startswith("error: unsaved changes")
    assert "datavc add data" in result.err
    assert "datavc checkout --force data" in result.err


def test_what_forced_checkout_saved_can_be_had_back_as_it_says(changed: Project):
    before = changed.tree("data")

    said = changed.run("checkout", "--force", "data").err
    command = said[said.index("datavc checkout --force xxh128:") :].split("\n")[0]
    changed.run(*command.split()[1:])

    assert changed.tree("data") == before


def test_what_forced_checkout_saved_is_named_even_quietly(changed: Project):
    told = changed.run("-q", "checkout", "--force").err

    assert told.startswith("warning: data: unsaved changes are kept as xxh128:")
    changed.run(*told.split("to get them back: datavc ")[1].split())
    assert changed.read("data/a.txt") == b"other"


def test_a_dry_run_says_would_and_does_nothing(changed: Project):
    before = changed.tree("data")

    assert changed.run("add", "-n", "data").out == "data: would be recorded\n"
    assert "would be written" in changed.run("checkout", "-n", "-f").out
    assert "would be removed" in changed.run("remove", "-n", "data").out
    assert changed.tree("data") == before
    assert changed.run("status").out.startswith("data: modified")


def test_datasets_can_be_looked_into(dataset: Project):
    assert dataset.run("ls").out == "data/\n"
    assert dataset.run("ls", "-r", "data").out.splitlines() == ["data/a.txt", "data/c d", "data/sub/b.txt"]
    assert dataset.run("du", "data").out == "2.0 KiB  3  data\n"
    assert dataset.run("cat", "data/a.txt").out == "a"


def test_the_long_listing_tells_kind_size_files_and_digest(dataset: Project):
    row = dataset.run("ls", "-l", "data").out.splitlines()[0].split()

    assert (row[0], row[1:3], row[3], row[-1]) == ("file", ["1", "B"], "1", "data/a.txt")
    assert row[4].startswith("xxh128:")


def test_a_cache_without_damage_exits_with_0(dataset: Project):
    result = dataset.run("fsck")

    assert result.out == ""
    assert result.err.rstrip().endswith("nothing is wrong")


def test_damage_exits_with_12_and_names_what_it_hits(dataset: Project):
    packs = [path for path in (dataset.root / ".git/datavc/cache/packs").rglob("*") if path.is_file()]
    for pack in packs:
        pack.chmod(0o644)
        raw = bytearray(pack.read_bytes())
        raw[20] ^= 1
        pack.write_bytes(raw)

    result = dataset.run("fsck", code=12)

    assert len(result.out.splitlines()) >= len(packs)
    assert "data" in result.out


def test_a_setting_is_printed_bare_or_with_its_origin(project: Project):
    project.run("config", "--local", "cache.link", "hardlink,copy")

    assert project.run("config", "cache.link").out == "hardlink,copy\n"
    assert project.run("config", "--show-origin", "cache.link").out.split() == [
        "local",
        "cache.link",
        "hardlink,copy",
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["add"],
        ["add", ""],
        ["add", "-u", "data"],
        ["remove"],
        ["move", "data"],
        ["cat"],
        ["config", "--local", "--user", "a", "b"],
        ["config", "--unset"],
        ["du", "-d", "-1"],
        ["du", "-d", "many"],
        ["status", "--frobnicate"],
        ["fsck", "data"],
    ],
    ids=" ".join,
)
def test_wrong_words_are_a_usage_error(words: list[str], dataset: Project):
    result = dataset.run(*words, code=2)

    assert result.out == ""
    assert "error: " in result.err


def test_move_and_remove_end_with_the_git_add_line(dataset: Project):
    moved = dataset.run("mv", "data", "images")
    dataset.git(*moved.err.splitlines()[-1].removeprefix("next: git ").split())
    dataset.git("commit", "--quiet", "-m", "moved")
    removed = dataset.run("rm", "images")
    dataset.git(*removed.err.splitlines()[-1].removeprefix("next: git ").split())

    assert moved.out == "data -> images\n"
    assert removed.out == "images: pointer (the data stays) removed\n"
    assert (dataset.root / "images" / "a.txt").read_text() == "a"


@pytest.mark.parametrize(
    "words",
    [
        "add ../data",
        "add -n ../data",
        "status",
        "ls",
        "ls -r ../data",
        "du",
        "checkout",
        "push",
        "remote status",
        "fetch",
        "pull",
        "evict -n",
        "remove -n ../data",
        "move ../data ../images",
    ],
)
def test_what_is_in_the_workspace_is_named_as_seen_from_here(words: str, dataset: Project, tmp_path: Path):
    dataset.write({"deep/er": None})
    add_folder(dataset, tmp_path / "origin")
    dataset.run("push", "--yes")

    lines = dataset.run(*words.replace("../", "../../").split(), cwd="deep/er").out.splitlines()

    assert lines
    assert all("../../data" in line for line in lines)


def test_after_a_revision_paths_are_seen_from_the_root(dataset: Project):
    dataset.write({"deep": None})

    assert dataset.run("ls", "HEAD:data/sub", cwd="deep").out == "data/sub/b.txt\n"
    assert dataset.run("du", "HEAD:data/sub", cwd="deep").out.split()[-1] == "HEAD:data/sub"


def test_commands_work_from_elsewhere(dataset: Project):
    elsewhere = dataset.root.parent
    inside = dataset.run("status", cwd=".")

    outside = Project(elsewhere, dataset.environment).run("-C", str(dataset.root), "status")

    assert outside == inside
