"""The command table says what the command modules declare, so that help and completion need not import them."""

from __future__ import annotations

import inspect

import pytest

from datavc.cli.invoke import load, typer_command
from datavc.cli.table import ALIASES, COMMANDS, GROUPS, NOTHING, PATHS, REVISIONS, Command, nearest, overview

WITH_TYPER = [command for command in COMMANDS.values() if not command.plain]


def name(command: Command) -> str:
    return command.name


@pytest.mark.parametrize("command", COMMANDS.values(), ids=name)
def test_the_summary_is_the_first_line_of_the_help(command: Command):
    first, second, *_ = (inspect.getdoc(load(command)) or "").splitlines()

    assert first == command.summary
    assert not first.endswith(".")
    assert second == ""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=name)
def test_the_help_has_examples_and_exit_codes(command: Command):
    text = inspect.getdoc(load(command)) or ""

    _, _, examples = text.partition("\nExamples:\n")
    known = [f"  datavc {word} " for word in names(command)] + [f"datavc {command.name} "]
    lines = examples.split("\n\n")[0].splitlines()
    assert lines
    assert all(any(word in line + " " for word in known) for line in lines)
    assert "\nExit codes: 0 " in examples


def names(command: Command) -> list[str]:
    return [command.name, *(alias for alias, meant in ALIASES.items() if meant == command.name)]


@pytest.mark.parametrize("command", WITH_TYPER, ids=name)
def test_the_options_are_those_that_the_command_takes(command: Command):
    declared = {
        option + ("" if parameter.is_flag else "=")
        for parameter in typer_command(command).params
        if parameter.param_type_name == "option"
        for option in parameter.opts
    }

    assert {word.partition("=")[0] + "=" * ("=" in word) for word in command.options.split()} == declared


@pytest.mark.parametrize("command", WITH_TYPER, ids=name)
def test_paths_are_completed_where_the_command_takes_paths(command: Command):
    arguments = [p for p in typer_command(command).params if p.param_type_name == "argument"]

    takes_paths = any(p.name in {"path", "paths", "old", "new"} for p in arguments)
    takes_revisions = any(p.name == "words" for p in arguments)
    assert command.arguments == (PATHS if takes_paths else REVISIONS if takes_revisions else NOTHING)


@pytest.mark.parametrize("command", WITH_TYPER, ids=name)
def test_no_option_of_a_command_hides_a_global_one(command: Command):
    options = {word.partition("=")[0] for word in command.options.split()}

    assert not options & {"-C", "-q", "--quiet", "-v", "--verbose", "-j", "--jobs", "--color", "-h", "--help"}


def test_each_command_stands_in_one_group_of_the_help():
    text = overview()

    assert all(f"\n{group}\n" in text for group in GROUPS)
    assert all(text.count(f"\n  {command.name} ") == 1 for command in COMMANDS.values())
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("alias", ALIASES)
def test_aliases_lead_to_commands_and_hide_none(alias: str):
    assert ALIASES[alias] in COMMANDS
    assert alias not in COMMANDS
    assert f"(or {alias})" in overview()


def test_every_command_is_nearest_to_itself():
    assert [nearest(command) for command in COMMANDS] == list(COMMANDS)
