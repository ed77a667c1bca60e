"""``datavc cache forget``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.consent import agrees
from datavc.cli.options import Json, Yes
from datavc.cli.render import next_command, print_json, talk
from datavc.cli.session import current
from datavc.errors import UsageError

if TYPE_CHECKING:
    from datavc.operations.steps.cleaning.clones import Clone

Clones = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CLONE]...", show_default=False, help="The folder of a clone, or its id"),
]
Gone = Annotated[bool, typer.Option("--gone", help="All that are gone from this machine")]


def cache_forget(clones: Clones = None, gone: Gone = False, yes: Yes = False, json: Json = False) -> None:
    """Forget clones that are gone, so that gc keeps nothing for them

    Only their notes in the cache are deleted. A clone that is there cannot be forgotten. What only a clone that is
    gone needed goes with the next datavc gc.

    Examples:
      datavc cache forget --gone
      datavc cache forget /home/ada/old-clone
      datavc cache forget 0f3c9a1e

    Exit codes: 0 done, 1 there is no such clone, or it is there, 2 usage, 10 no repository.
    """
    from datavc.operations.cache_forget import cache_forget as forget
    from datavc.repo import Repo

    session = current()

    def confirm(chosen: list[Clone]) -> bool:
        for clone in chosen:
            if not json:
                print(f"{clone}, of {clone.user or 'somebody'}, since {clone.since[:10] or 'nobody knows'}")
        if yes or agrees("Are they gone for good, and on no disk that is away?"):
            return True
        raise UsageError("nothing was forgotten: nobody agreed", "datavc cache forget --yes")

    names = [name if set(name) <= set("0123456789abcdef") else _place(name) for name in clones or ()]
    forgotten = forget(Repo.find(session.folder), names, gone=gone, confirm=confirm)
    if json:
        print_json(forgotten)
    elif not forgotten:
        talk("no clone is gone")
    else:
        talk(f"{len(forgotten)} forgotten")
        next_command("datavc gc")


def _place(name: str) -> str:
    return os.fsdecode(current().absolute(name))
