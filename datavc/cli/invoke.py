"""Calling one command through Typer: the only module that knows how Typer works inside.

A command module holds a function of its command's name. Its parameters are Typer's ``Annotated`` ones, its docstring is
the help, and what it returns is the exit code (None for 0).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import typer

# Private, and the same in 0.26 to 0.28, which are all that pyproject.toml allows.
from typer._click.exceptions import ClickException
from typer.main import get_command

from datavc.cli.table import REVISIONS, Command
from datavc.cli.words import CommandLineError

if TYPE_CHECKING:
    from typer._click.core import Command as ParsedCommand

_EPILOG = "-C DIR, -q, -v, -j N, --color WHEN and --wait work with every command: see 'datavc --help'."


def call(command: Command, arguments: list[str]) -> int | None:
    """Parse ``arguments``, run the command and return its exit code.

    Raises:
        CommandLineError: the arguments are not what the command takes.
        Anything that the command raises.
    """
    parsed = typer_command(command)
    name = f"datavc {command.name}"
    if command.arguments == REVISIONS and "--" in arguments:
        # The parser takes the first one for itself.
        arguments = [*arguments[: arguments.index("--")], "--", *arguments[arguments.index("--") :]]
    try:
        with parsed.make_context(name, arguments) as context:
            return cast("int | None", parsed.invoke(context))
    except typer.Exit as done:
        return done.exit_code
    except ClickException as error:
        message = error.format_message().rstrip(".")
        usage = parsed.get_usage(parsed.context_class(parsed, info_name=name))
        raise CommandLineError(
            message[:1].lower() + message[1:], usage.replace("Usage:", "usage:", 1), f"{name} --help"
        ) from None


def typer_command(command: Command) -> ParsedCommand:
    """What Typer makes of the command's function."""
    function = load(command)
    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.command(command.name, help=_help(function), epilog=_EPILOG)(function)
    parsed = get_command(app)
    for parameter in parsed.params:
        if parameter.param_type_name == "argument":
            # Typer puts braces around a metavar of ours.
            parameter.make_metavar = partial(_metavar, parameter)  # type: ignore[method-assign]
    return parsed


def _metavar(parameter: Any, ctx: Any = None, usage: bool = False) -> str:
    return str(parameter.metavar or parameter.human_readable_name.upper())


def load(command: Command) -> Callable[..., Any]:
    """Import the command's module, and nothing else; return its function."""
    return cast("Callable[..., Any]", getattr(importlib.import_module(command.module), command.function))


def _help(function: Callable[..., Any]) -> str:
    """The docstring, with a mark on paragraphs that have indented lines, so that Typer keeps their line ends."""
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    return "\n\n".join("\b\n" + text if "\n " in text else text for text in paragraphs)
