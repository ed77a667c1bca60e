"""doctor: each thing that can be wrong is named, and the command that is printed mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from projects import Project
from remotes import add_folder

from datavc.formats.state import Checkout
from datavc.operations import doctor
from datavc.operations.steps.health import checkstores
from datavc.repo import Repo

REPO = Path(__file__).resolve().parents[2]


def findings(project: Project, *arguments: str, code: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(project.run("doctor", "--json", *arguments, code=code).out)
    return found


def problems(project: Project, *arguments: str) -> list[dict[str, Any]]:
    return [finding for finding in findings(project, *arguments) if finding["state"] == "problem"]


def only(project: Project, *arguments: str) -> dict[str, Any]:
    """The one problem that there is."""
    (problem,) = problems(project, *arguments)
    return problem


def mend(project: Project, problem: dict[str, Any]) -> None:
    """Type the command that was printed; datavc's own run within this process."""
    for command in problem["command"].split(" && "):
        words = command.split(" ")
        if words[0] == "datavc":
            project.run(*words[1:])
        else:
            committing = command.replace("git commit", "git commit -q -m mended")
            subprocess.run(["bash", "-c", committing], cwd=project.root, env=project.environment, check=True)


@pytest.fixture
def sound(project: Project) -> Project:
    project.write({"data/a": "1"})
    project.run("add", "data")
    project.commit("data")
    return project


def test_where_nothing_is_wrong_the_exit_code_is_0_and_every_area_is_named(sound: Project, tmp_path: Path):
    add_folder(sound, tmp_path / "remote")
    sound.run("remote", "probe")

    found = findings(sound, code=0)

    assert {finding["area"] for finding in found} == {
        "versions",
        "repository",
        "git",
        "datasets",
        "cache",
        "links",
        "clock",
        "locks",
        "hooks",
        "remotes",
    }
    assert {finding["state"] for finding in found if finding["area"] != "hooks"} == {"ok"}
    assert sound.git("status", "--porcelain") == ""


def test_people_see_a_line_each_and_the_command_below(sound: Project):
    (sound.root / ".gitattributes").write_text("")

    said = sound.run("doctor", code=1)

    assert "problem  git: .gitattributes does not say how git treats pointers\n" in said.out
    assert "           datavc init && git add .gitattributes\n" in said.out
    assert said.err == "1 problem\n"


def test_without_a_repository_versions_are_looked_at_all_the_same(bare_project: Project):
    problem = only(bare_project)

    assert (problem["area"], problem["command"]) == ("repository", "datavc init")


def test_without_git_there_is_nothing_to_say_of_git(bare_project: Project):
    bare_project.run("init", "--no-git")

    assert {finding["area"] for finding in findings(bare_project, code=0)} & {"git", "hooks"} == set()


def _lose_attributes(project: Project) -> None:
    (project.root / ".gitattributes").write_text("*.txt text\n")


def _forget_config(project: Project) -> None:
    project.git("rm", "--cached", "--quiet", "datavc.toml")
    project.git("commit", "--quiet", "--message", "no configuration")


def _ignore_pointers(project: Project) -> None:
    with (project.root / ".gitignore").open("a") as file:
        file.write("*.datavc\n")


def _keep_data_in_git(project: Project) -> None:
    project.git("add", "--force", "data")


def _do_not_ignore_data(project: Project) -> None:
    text = (project.root / ".gitignore").read_text()
    (project.root / ".gitignore").write_text(text.replace("/data\n", ""))


def _kill_git(project: Project) -> None:
    lock = project.root / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (time.time() - 3600, time.time() - 3600))


def _have_no_default_remote(project: Project) -> None:
    for name in ("one", "two"):
        add_folder(project, project.root.parent / name, name)
        project.run("push", "--yes", "-r", name)
    project.run("config", "--unset", "remote.default", code=None)


@pytest.mark.parametrize(
    ("spoil", "area", "named"),
    [
        (_lose_attributes, "git", ".gitattributes"),
        (_forget_config, "git", "datavc.toml"),
        (_ignore_pointers, "git", r"line \d+ of .gitignore: \*.datavc"),
        (_keep_data_in_git, "datasets", "git keeps the data of data"),
        (_do_not_ignore_data, "datasets", "git does not ignore the data of data"),
        (_kill_git, "locks", "index.lock is 60 minutes old"),
        (_have_no_default_remote, "remotes", "none of them is the default"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_command_that_is_printed_mends_the_problem(spoil: Any, area: str, named: str, sound: Project):
    spoil(sound)
    problem = only(sound)
    assert problem["area"] == area
    assert re.search(named, problem["message"])

    mend(sound, problem)

    assert problems(sound) == []


def test_links_that_do_not_work_here_are_named(sound: Project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datavc.workspace.links.probe_links", lambda cache, workspace: {"copy"})
    sound.run("config", "cache.link", "hardlink")
    problem = only(sound)
    assert (problem["area"], problem["command"]) == ("links", "datavc config cache.link hardlink,copy")

    mend(sound, problem)

    assert problems(sound) == []


def test_a_pointer_that_cannot_be_read_is_named(sound: Project):
    (sound.root / "data.datavc").write_text("nonsense")

    assert "data.datavc" in only(sound)["message"]


def test_a_configuration_that_cannot_be_read_is_named(sound: Project):
    (sound.root / "datavc.toml").write_text("nonsense")

    assert any("datavc.toml" in problem["message"] for problem in problems(sound))


def test_a_checkout_that_was_not_finished_is_named(sound: Project):
    repo = Repo.find(sound.root)
    state = repo.read_state(b"data")
    assert state.base is not None and state.kind is not None
    repo.write_state(replace(state, checkout=Checkout(state.base, state.kind, None, "2026-01-01T00:00:00Z")))
    problem = only(sound)
    assert problem["message"] == "a checkout of data was not finished"

    mend(sound, problem)

    assert problems(sound) == []


def test_remotes_that_are_gone_damaged_or_not_allowed_are_named_unless_offline(
    sound: Project, tmp_path: Path
):
    add_folder(sound, tmp_path / "remote")
    sound.run("push", "--yes")
    assert problems(sound) == []
    shutil.rmtree(tmp_path / "remote")

    assert only(sound)["message"].startswith("origin: ")
    assert problems(sound, "--offline") == []


def test_a_remote_that_was_never_tried_or_long_ago_is_a_note(
    sound: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def remotes() -> dict[str, Any]:
        (finding,) = (row for row in findings(sound, code=0) if row["area"] == "remotes")
        return finding

    assert remotes()["message"].startswith("there are none")
    add_folder(sound, tmp_path / "remote")
    sound.run("push", "--yes")
    assert remotes()["command"] == "datavc remote probe origin"
    sound.run("remote", "probe")
    assert remotes()["state"] == "ok"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 40 * 86_400)
    monkeypatch.setattr(checkstores, "_SKEW_SECONDS", 50 * 86_400)
    assert "tried 40 days ago" in remotes()["message"]


def test_what_a_probe_found_wrong_is_a_problem(sound: Project, tmp_path: Path):
    add_folder(sound, tmp_path / "remote")
    sound.run("remote", "probe")
    (probe,) = (sound.root / ".git" / "datavc" / "probes").iterdir()
    found = json.loads(probe.read_text())
    probe.write_text(json.dumps(found | {"clock_difference": 4000.0, "deletes": False}))

    assert [problem["message"] for problem in problems(sound)] == [
        "origin: files cannot be deleted, so nothing can be cleaned up there",
        "origin: the clocks differ by 4000 seconds",
    ]


def test_a_clock_that_is_off_and_a_disk_that_is_full_are_named(
    sound: Project, monkeypatch: pytest.MonkeyPatch
):
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 4000)
    monkeypatch.setattr(checkstores, "free_bytes", lambda folder: 1000)

    assert [problem["area"] for problem in problems(sound)] == ["cache", "clock"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_may_not_be_written_is_named(sound: Project):
    cache = sound.root / ".git" / "datavc" / "cache"
    cache.chmod(0o555)
    problem = only(sound)
    assert problem["area"] == "cache"

    mend(sound, problem)

    assert problems(sound) == []


def test_packages_that_are_too_old_too_new_or_missing_are_named(
    sound: Project, monkeypatch: pytest.MonkeyPatch
):
    wanted = {"xxhash": ("999", ""), "typer": ("0.1", "0.2"), "no-such-package": ("1", "")}
    monkeypatch.setattr(doctor, "NEEDED", wanted)

    assert [problem["command"].partition("-m ")[2] for problem in problems(sound)] == [
        "pip install 'xxhash>=999'",
        "pip install 'typer>=0.1,<0.2'",
        "pip install 'no-such-package>=1'",
    ]


def test_what_is_needed_is_what_the_package_declares():
    declared = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["dependencies"]
    found = {}
    for line in declared:
        name, limits = re.fullmatch(r"([\w.]+)(.*)", line.partition(";")[0].strip()).groups()  # type: ignore[union-attr]
        oldest, _, before = limits.removeprefix(">=").partition(",<")
        found[name] = (oldest, before)

    assert found == doctor.NEEDED | dict([doctor._ZSTD])


def test_hooks_and_drivers_are_noted_and_those_of_another_datavc_are_a_problem(sound: Project):
    notes = [finding for finding in findings(sound, code=0) if finding["state"] == "note"]
    assert {finding["command"] for finding in notes if finding["area"] == "hooks"} == {"datavc install"}
    sound.run("install")
    assert problems(sound) == []
    assert "post-checkout" in str([row for row in findings(sound) if row["area"] == "hooks"])
    sound.git("config", "merge.datavc.driver", "/elsewhere/python -P -m datavc git merge %O %A %B %L %P")
    hooks = sound.root / ".git" / "hooks"
    (hooks / "pre-push").write_text((hooks / "pre-push").read_text().replace("python", "nothon"))
    (hooks / "pre-commit").chmod(0o644)

    assert [problem["message"].partition(",")[0] for problem in problems(sound)] == [
        "git's drivers for pointers call another datavc than this one",
        "git does not run the hook pre-commit",
        "the hook pre-push calls another datavc than this one",
    ]
    for problem in problems(sound):
        mend(sound, problem)
    assert problems(sound) == []


def notes(project: Project) -> list[dict[str, Any]]:
    """What is noted of hooks."""
    found = findings(project, code=0)
    return [row for row in found if (row["area"], row["state"]) == ("hooks", "note")]


def test_a_hook_that_another_program_put_in_the_place_of_ours_is_noted(sound: Project):
    sound.run("install")
    hook = sound.root / ".git" / "hooks" / "pre-commit"
    ours = hook.read_text()
    hook.write_text("#!/bin/sh\nexit 0\n")

    (noted,) = notes(sound)
    assert noted["message"] == "pre-commit: hooks of other programs, which do not call datavc"
    mend(sound, noted)
    assert "pre-commit.before-datavc" in os.listdir(hook.parent)

    # As the pre-commit framework does: what was there before is called from it.
    hook.write_text("#!/bin/sh\nexit 0\n")
    hook.with_name("pre-commit.legacy").write_text(ours)
    assert notes(sound) == []


def test_a_pointer_that_cannot_be_read_comes_back_from_the_last_commit(sound: Project):
    before = sound.read("data.datavc")
    for broken in (b"garbage", before[:-30], b"<<<<<<< ours\n" + before):
        sound.write({"data.datavc": broken})

        (problem,) = problems(sound)
        if broken.startswith(b"<"):
            ended = sound.run("resolve", "data", code=1)
            assert "has some of the markers of a merge conflict, and lacks others" in ended.err
            problem = {"command": ended.err.partition("hint: ")[2].strip()}
        assert problem["command"] == "git checkout HEAD -- data.datavc"
        mend(sound, problem)

        assert sound.read("data.datavc") == before
        assert problems(sound) == []


def test_a_command_at_work_is_noted(sound: Project):
    with Repo.find(sound.root).lock("add"):
        found = [finding for finding in findings(sound) if finding["area"] == "locks"]

    assert [finding["state"] for finding in found] == ["note"]
    assert "in use by datavc add" in found[0]["message"]
