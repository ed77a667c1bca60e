"""From words to an exit code: the table's answers, one command called, errors told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
import typer
from cli.fakes import put_command

import datavc
from datavc.cli import session
from datavc.cli.main import main
from datavc.cli.table import COMMANDS


def test_version_goes_to_standard_output(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0

    assert capsys.readouterr() == (f"datavc {datavc.__version__}\n", "")


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command_on_standard_output(words: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(words) == 0

    out, err = capsys.readouterr()
    assert err == ""
    for command in COMMANDS.values():
        assert f"  {command.name} " in out
        assert command.summary in out


def test_no_command_at_all_is_a_usage_error_that_shows_the_help(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "Put files or folders into the cache" in err


@pytest.mark.parametrize(
    ("typed", "meant"), [("stauts", "status"), ("chekout", "checkout"), ("mvoe", "move"), ("fcsk", "fsck")]
)
def test_a_typo_gets_the_nearest_name(typed: str, meant: str, capsys: pytest.CaptureFixture[str]):
    assert main([typed]) == 2

    err = capsys.readouterr().err
    assert f"no command '{typed}'" in err
    assert f"hint: the nearest is: datavc {meant}" in err


def test_a_word_near_none_of_a_family_gets_the_help_of_the_family(capsys: pytest.CaptureFixture[str]):
    assert main(["remote", "nonsense"]) == 2
    assert "hint: datavc remote --help" in capsys.readouterr().err


def test_a_word_near_nothing_gets_the_help(capsys: pytest.CaptureFixture[str]):
    assert main(["xyzzy"]) == 2

    assert "hint: datavc --help" in capsys.readouterr().err


def test_an_unknown_option_before_the_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]):
    assert main(["--frobnicate", "status"]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: datavc ")
    assert "no option --frobnicate" in err


def test_a_command_runs_in_the_session_that_the_options_ask_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    seen: list[session.Session] = []

    def status() -> None:
        """Say what state each dataset is in"""
        seen.append(session.current())

    put_command(monkeypatch, "status", status)

    assert main(["-C", str(tmp_path), "status", "-q", "-j", "2", "--color", "always"]) == 0
    assert [(s.folder, s.quiet, s.verbose, s.jobs, s.colour) for s in seen] == [
        (tmp_path.resolve(), True, False, 2, True)
    ]


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_a_command_returns_is_the_exit_code(
    returned: int | None, code: int, monkeypatch: pytest.MonkeyPatch
):
    put_command(monkeypatch, "status", lambda: returned)

    assert main(["status"]) == code


def test_an_alias_calls_its_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    put_command(monkeypatch, "remove", lambda: print("called"))

    assert main(["rm"]) == 0
    assert capsys.readouterr().out == "called\n"


def test_a_missing_argument_shows_the_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def add(paths: Annotated[list[str], typer.Argument(metavar="PATH...")]) -> None:
        """Add things"""

    put_command(monkeypatch, "add", add)

    assert main(["add"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "usage: datavc add [OPTIONS] PATH...",
        "error: missing argument 'PATH...'",
        "hint: datavc add --help",
    ]


def test_a_mistyped_option_gets_the_nearest_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def add(force: Annotated[bool, typer.Option("--force")] = False) -> None:
        """Add things"""

    put_command(monkeypatch, "add", add)

    assert main(["add", "--forse"]) == 2
    assert "--force" in capsys.readouterr().err.splitlines()[1]


@pytest.mark.parametrize("words", [["add", "--help"], ["add", "-h"], ["help", "add"]])
def test_the_help_of_a_command_keeps_the_lines_of_its_examples(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def add() -> None:
        """Add things

        One sentence that goes
        on in the next line.

        Examples:
          datavc add a        the first
          datavc add b        the second

        Exit codes: 0 done.
        """

    put_command(monkeypatch, "add", add)

    assert main(words) == 0
    out = capsys.readouterr().out
    assert "One sentence that goes on in the next line." in out
    assert "    datavc add a        the first\n    datavc add b        the second\n" in out
    assert "--color WHEN" in out


def test_paths_that_look_like_options_go_behind_two_dashes(monkeypatch: pytest.MonkeyPatch):
    seen: list[str] = []

    def add(paths: Annotated[list[str], typer.Argument()]) -> None:
        """Add things"""
        seen.extend(paths)

    put_command(monkeypatch, "add", add)

    assert main(["add", "--", "-q", "--help"]) == 0
    assert seen == ["-q", "--help"]
