"""Global options are understood before and after the command, and not behind ``--``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datavc.cli.arguments import split
from datavc.cli.words import CommandLineError


@pytest.mark.parametrize(
    "arguments",
    [
        ["-q", "-v", "-j", "3", "--color", "never", "status", "a"],
        ["status", "a", "-q", "-v", "-j", "3", "--color", "never"],
        ["status", "-qv", "a", "-j3", "--color=never"],
        ["--quiet", "status", "--verbose", "a", "--jobs=3", "--color=never"],
        ["--quiet", "status", "-vv", "--jobs", "3", "a", "--color=never"],
    ],
)
def test_global_options_may_stand_anywhere(arguments: list[str]):
    options, rest = split(arguments)

    assert rest == ["status", "a"]
    assert (options.quiet, options.verbose, options.jobs, options.color) == (True, True, 3, "never")


def test_what_follows_two_dashes_is_left_alone():
    options, rest = split(["add", "-n", "--", "-q", "-C", "--color"])

    assert rest == ["add", "-n", "--", "-q", "-C", "--color"]
    assert not options.quiet


def test_folders_of_C_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    options, rest = split(["-C", "a", "status", "-Cb"])

    assert os.path.samefile(options.folder, tmp_path / "a" / "b")
    assert rest == ["status"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-C"], "-C needs a value"),
        (["-C", "no/such/folder"], "no/such/folder"),
        (["status", "-j", "many"], "'many'"),
        (["-j0"], "from 1 up"),
        (["--jobs=-1"], "from 1 up"),
        (["-j", "²"], "from 1 up"),
        (["--color", "pink"], "auto, always or never"),
        (["add", "--wait=soon"], "--wait takes seconds"),
        (["--wait=-1"], "--wait takes seconds"),
    ],
)
def test_a_wrong_value_is_a_usage_error(arguments: list[str], said: str):
    with pytest.raises(CommandLineError, match=said) as caught:
        split(arguments)

    assert caught.value.usage.startswith("usage: datavc")


@pytest.mark.parametrize(
    ("arguments", "seconds"),
    [(["add"], 10.0), (["add", "--wait", "5"], None), (["--wait=5", "add"], 5.0), (["add", "--wait=0"], 0.0)],
)
def test_how_long_to_wait_is_joined_to_its_option(arguments: list[str], seconds: float | None):
    options, rest = split(arguments)

    assert options.patience == seconds
    assert rest == [word for word in arguments if not word.startswith("--")]
