"""``datavc completion``: the one command that is so small that it does without Typer."""

from __future__ import annotations

from datavc.cli.completion import SHELLS, script
from datavc.cli.words import CommandLineError

_USAGE = "usage: datavc completion bash|zsh|fish"


def completion(arguments: list[str]) -> int | None:
    """Print the completion script of a shell

    It completes commands, options, datasets, revisions and the names of remotes, without starting datavc.

    Examples:
      eval "$(datavc completion bash)"                                      in ~/.bashrc
      eval "$(datavc completion zsh)"                                       in ~/.zshrc, after compinit
      datavc completion fish > ~/.config/fish/completions/datavc.fish       once

    Exit codes: 0 done, 2 no such shell.
    """
    if arguments and arguments[0] in ("-h", "--help"):
        from inspect import getdoc

        print(f"{_USAGE}\n\n{getdoc(completion)}")
        return None
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise CommandLineError("name the shell", _USAGE, "datavc completion --help")
    print(script(arguments[0]))
    return None
