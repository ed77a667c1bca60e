"""What messages tell the user to type: it works in the folder that the user works in, whatever the names are."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest
from projects import Project, Result

NAMES = ["my data", "it's", "-n", ":(top)", "tab\t$HOME", "käse"]


@pytest.fixture(params=NAMES, ids=ascii)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def typed(project: Project, command: str, *, cwd: str) -> None:
    """Type ``command`` into a shell that stands in ``cwd``; it must succeed."""
    datavc = f'datavc() {{ {shlex.quote(sys.executable)} -m datavc "$@"; }}'
    ended = subprocess.run(
        ["bash", "-c", f"{datavc}; {command}"],
        cwd=project.root / cwd,
        env=project.environment,
        capture_output=True,
    )
    assert ended.returncode == 0, (command, ended.stderr)


def hints(result: Result) -> list[str]:
    return [line.removeprefix("hint: ") for line in result.err.splitlines() if line.startswith("hint: ")]


def next_line(result: Result) -> str:
    return result.err.splitlines()[-1].removeprefix("next: ")


@pytest.fixture
def deep(project: Project, place: str) -> Project:
    """A project with a dataset of a difficult name in a sub-folder, added and committed."""
    project.write({"sub/" + place + "/a": "one", "other/x": None})
    project.run("add", "./" + place, cwd="sub")
    project.commit("data")
    return project


def test_the_git_add_line_adds_the_pointer(project: Project, place: str):
    project.write({"sub/" + place + "/a": "one", "other": None})
    result = project.run("add", "../sub/" + place, cwd="other")

    typed(project, next_line(result), cwd="other")

    staged = project.git("diff", "--cached", "--name-only", "-z").split("\0")
    assert "sub/" + place + ".datavc" in staged


def test_what_status_says_next_can_be_typed(deep: Project, place: str):
    deep.write({"sub/" + place + "/a": "two"})

    typed(deep, next_line(deep.run("status", cwd="other")), cwd="other")

    assert deep.run("status", cwd="other").out.rstrip().endswith("pointer not committed")


def test_both_ways_out_of_a_refused_checkout_can_be_typed(deep: Project, place: str):
    deep.write({"sub/" + place + "/a": "two"})
    told = hints(deep.run("checkout", cwd="sub", code=1))[0]
    record, _, overwrite = told.partition(" records them; ")

    typed(deep, overwrite.removesuffix(" stores them aside first"), cwd="sub")
    assert deep.read("sub/" + place + "/a") == b"one"

    deep.write({"sub/" + place + "/a": "two"})
    typed(deep, record, cwd="sub")
    assert deep.run("checkout", cwd="sub").code == 0


def test_the_command_that_brings_saved_work_back_can_be_typed(deep: Project, place: str):
    deep.write({"sub/" + place + "/a": "two"})
    said = deep.run("checkout", "--force", cwd="other")
    command = re.search(r"to get them back: (.*)", said.out + said.err)
    assert command is not None

    typed(deep, command[1], cwd="other")

    assert deep.read("sub/" + place + "/a") == b"two"


def test_what_a_refused_add_says_can_be_typed(project: Project, place: str):
    project.write({"sub/" + place + "/a": "one"})
    project.git("add", "--all")
    told = hints(project.run("add", "./" + place, cwd="sub", code=1))[0]

    for command in told.split(", then "):
        typed(project, command, cwd="sub")


def test_what_to_do_about_merge_conflicts_names_the_pointer_from_here(project: Project):
    project.write({"sub/my data.datavc": "<<<<<<< ours\n=======\n>>>>>>> theirs\n", "other": None})
    project.git("add", "--all")

    assert "datavc resolve '../sub/my data.datavc'" in hints(project.run("status", cwd="other", code=1))[0]


def test_a_repository_without_datavc_names_the_folder_quoted(git_project: Project):
    folder = git_project.root.rename(git_project.root.parent / "my project")

    told = hints(Project(folder, git_project.environment).run("status", code=10))[0]

    assert told == f"datavc -C '{folder}' init"
