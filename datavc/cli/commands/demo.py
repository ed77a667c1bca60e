"""``datavc demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.render import styled


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder for you to look at")] = False,
) -> None:
    """Play the whole story on generated files

    In a temporary folder: init, add, commit, change, add, commit, go back, verify; with what you would type.

    Examples:
      datavc demo
      datavc demo --keep

    Exit codes: 0 done, 1 failed.
    """
    from datavc.operations.demo import demo as play

    def say(step: str) -> None:
        command, _, happened = step.partition("\n")
        print(f"{styled(command, 'bold')}\n{happened}")

    folder = play(say, keep=keep)
    print(f"kept in {folder}" if folder else "the folder is removed again; your turn: datavc init")
