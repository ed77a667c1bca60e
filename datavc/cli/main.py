"""Where the process starts: global options, the command table, one command, an exit code.

``datavc``, ``--help`` and ``--version`` are answered here, from the table: importing Typer takes 70 ms, ten times what
they take without it. So this module imports nothing slow at its top.
"""

from __future__ import annotations

import gc
import sys

from datavc.cli import table
from datavc.cli.arguments import GlobalOptions, split
from datavc.cli.terminal import is_terminal, say, wants_colour
from datavc.cli.words import (
    ERROR_WHEN_1_MEANS_DIFFERENCES,
    OWN_FAILURE,
    USAGE,
    CommandLineError,
    Teller,
    raise_on_signals,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from datavc.cli.session import Session


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``datavc ARGUMENT...`` and return its exit code; by default, with the arguments of this process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    teller = Teller()
    code = teller.run(lambda: _run(words, teller))
    if arguments is None:
        # The process ends here: Python would look for garbage among all objects once more, 20 ms of `run` with many files.
        gc.freeze()
    return code


def _run(words: list[str], teller: Teller) -> int | None:
    options, words = split(words)
    teller.color = options.color
    if not words:
        say(table.overview())
        return USAGE
    if words[0] == "help" and len(words) > 1:
        words = [*words[1 : 3 if words[1] in table.FAMILIES else 2], "--help"]
    verb, arguments = table.take(words)
    if verb in ("-h", "--help", "help"):
        print(table.overview())
        return None
    if verb == "--version":
        from datavc import __version__

        print(f"datavc {__version__}")
        return None
    if verb in table.FAMILIES:
        if arguments[:1] in (["-h"], ["--help"]):
            print(table.family_overview(verb))
            return None
        say(table.family_overview(verb))
        return USAGE
    command = table.find(verb)
    if command is None:
        raise _unknown(verb)
    if "--exit-code" in _before_dashes(arguments):
        teller.error_code = ERROR_WHEN_1_MEANS_DIFFERENCES
    if command.name == "run":
        teller.error_code = OWN_FAILURE
    return _call(command, arguments, options)


def _call(command: table.Command, arguments: list[str], options: GlobalOptions) -> int | None:
    # Importing makes objects that live as long as the process, and so does looking at folders: looking for garbage among
    # them every 700 objects costs `status` 10 ms of its 150, and every 50,000 still 14 ms where a folder has 20,000 files.
    gc.set_threshold(200_000)
    if command.plain:
        from importlib import import_module

        plain = getattr(import_module(command.module), command.function)
        code: int | None = plain(arguments)
        return code
    from datavc.cli.invoke import call
    from datavc.cli.session import using
    from datavc.locking import Patience, waiting

    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        # A name that the locale has no letters for is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    undo = raise_on_signals()
    session = _session(options)
    try:
        with using(session), waiting(Patience(options.patience, None if options.quiet else say)):
            return call(command, arguments)
    finally:
        session.progress.end()
        undo()


def _session(options: GlobalOptions) -> Session:
    from pathlib import Path

    from datavc.cli.progress import TerminalProgress
    from datavc.cli.session import Session

    colour_of_talk = sys.stderr is not None and wants_colour(sys.stderr, options.color)
    return Session(
        folder=Path(options.folder).resolve(),
        quiet=options.quiet,
        verbose=options.verbose,
        jobs=options.jobs,
        colour=sys.stdout is not None and wants_colour(sys.stdout, options.color),
        progress=TerminalProgress(
            watched=is_terminal(sys.stderr), quiet=options.quiet, colour=colour_of_talk
        ),
    )


def _unknown(verb: str) -> CommandLineError:
    hint = "datavc --help"
    if verb.startswith("-"):
        return CommandLineError(f"datavc has no option {verb} before the command", table.USAGE, hint)
    if " " in verb:
        hint = f"datavc {verb.partition(' ')[0]} --help"
    near = table.nearest(verb)
    if near is not None:
        hint = f"the nearest is: datavc {near}"
    return CommandLineError(f"datavc has no command {verb!r}", table.USAGE, hint)


def _before_dashes(arguments: list[str]) -> list[str]:
    return arguments[: arguments.index("--")] if "--" in arguments else arguments
