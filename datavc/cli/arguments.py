"""The global options: taken out of the command line wherever they stand before ``--``; commands declare none of them.

A value that looks like a global option has to be joined to its own option (``--name=-v``).
"""

from __future__ import annotations

import os

from datavc.cli.table import USAGE, find
from datavc.cli.words import CommandLineError

COLOR_CHOICES = ("auto", "always", "never")
PATIENCE_SECONDS = 10.0
_WITH_VALUE = ("-C", "-j", "--jobs", "--color")


class GlobalOptions:
    """What stood on the command line; ``folder`` is absolute and real, ``patience`` None for ever."""

    __slots__ = ("color", "folder", "jobs", "patience", "quiet", "verbose")

    def __init__(self) -> None:
        self.folder = "."
        self.quiet = False
        self.verbose = False
        self.jobs: int | None = None
        self.color = "auto"
        self.patience: float | None = PATIENCE_SECONDS

    def set(self, option: str, value: str) -> None:
        """Take one option that has a value.

        Raises:
            CommandLineError: the value is not one that the option takes.
        """
        if option == "-C":
            self.folder = os.path.join(self.folder, value)
            if not os.path.isdir(self.folder):
                raise _wrong(f"-C {value}: there is no such folder")
        elif option == "--wait":
            if not (value.isascii() and value.isdigit()):
                raise _wrong(f"--wait takes seconds, not {value!r}")
            self.patience = float(value)
        elif option == "--color":
            if value not in COLOR_CHOICES:
                raise _wrong(f"--color takes auto, always or never, not {value!r}")
            self.color = value
        else:
            if not (value.isascii() and value.isdigit() and int(value)):
                raise _wrong(f"{option} takes a number of workers from 1 up, not {value!r}")
            self.jobs = int(value)

    def set_flag(self, option: str) -> bool:
        """Take one option that has no value; whether it is one."""
        if option == "--wait":
            self.patience = None
        elif option == "--quiet":
            self.quiet = True
        elif option == "--verbose":
            self.verbose = True
        else:
            return False
        return True


def split(arguments: list[str]) -> tuple[GlobalOptions, list[str]]:
    """Separate the global options from all other arguments, which keep their order.

    Raises:
        CommandLineError: a global option lacks its value or has a wrong one.
    """
    options = GlobalOptions()
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif rest and rest[0] == "run" and _takes_value(rest):
            rest.append(argument)
        elif rest and rest[0] == "run" and not argument.startswith("-"):
            # Here another program's command line begins, and -v in it is that program's.
            rest += ["--", argument, *waiting]
        elif argument in _WITH_VALUE:
            value = next(waiting, None)
            if value is None:
                raise _wrong(f"the option {argument} needs a value")
            options.set(argument, value)
        elif argument.startswith(("-C", "-j")):
            options.set(argument[:2], argument[2:])
        elif argument.startswith(("--jobs=", "--color=", "--wait=")):
            options.set(*argument.split("=", 1))
        elif options.set_flag(argument):
            continue
        elif _is_cluster(argument):
            options.quiet |= "q" in argument
            options.verbose |= "v" in argument
        else:
            rest.append(argument)
    return options, rest


def _takes_value(rest: list[str]) -> bool:
    """Whether the last word of ``datavc run`` is an option whose value comes next."""
    command = find(rest[0])
    if len(rest) == 1 or command is None:
        return False
    return any(option.startswith(f"{rest[-1]}=") for option in command.options.split())


def _wrong(message: str) -> CommandLineError:
    return CommandLineError(message, USAGE)


def _is_cluster(argument: str) -> bool:
    """``-q``, ``-vv``, ``-qv``: nothing but the two flags."""
    return len(argument) > 1 and argument[0] == "-" and not argument[1:].strip("qv")
