"""``datavc init``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.render import from_here, next_command, talk
from datavc.cli.session import current
from datavc.formats.paths import shell_word


def init(
    hash: Annotated[
        str | None, typer.Option("--hash", metavar="ALGORITHM", help="xxh128 (default), blake3 or sha256")
    ] = None,
    no_git: Annotated[bool, typer.Option("--no-git", help="Set up this folder without git")] = False,
) -> None:
    """Make a repository ready for datasets

    Writes datavc.toml, and lines into .gitattributes and .gitignore. Safe to run again.

    Choose blake3 where others may write to your remotes: xxh128 finds accidents, not forgeries.

    Examples:
      datavc init
      datavc init --hash blake3
      datavc init --no-git

    Exit codes: 0 done, 1 failed, 2 usage, 10 no git repository.
    """
    from datavc.operations.init import init as initialise

    result = initialise(current().folder, hash=hash, no_git=no_git)
    if result.created:
        talk(f"datavc is set up in {result.root}: wrote {', '.join(result.created)}")
    else:
        talk(f"datavc was set up in {result.root} already; nothing to change")
    if result.created and not no_git:
        words = " ".join(shell_word(from_here(result.root, name)) for name in result.created)
        next_command(f"git add {words} && git commit -m 'Set up datavc'")
    else:
        next_command("datavc add PATH")
