"""``datavc clone``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from datavc.cli.commands.pull import print_pulled
from datavc.cli.options import Json, Memory, RemoteName
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.cli.transfers import PARTLY_DONE, memory_bytes


def clone(
    url: Annotated[
        str,
        typer.Argument(metavar="GIT_URL", show_default=False, help="What git clone takes: a URL or a folder"),
    ],
    path: Annotated[
        str | None, typer.Argument(metavar="[DIR]", show_default=False, help="Where to put it")
    ] = None,
    remote: RemoteName = None,
    memory: Memory = "512MiB",
    json: Json = False,
) -> int | None:
    """Clone a git repository, and pull its datasets

    That is git clone, and datavc pull in what came. Addresses in a stranger's repository that could do harm are not
    contacted: then the clone is there, and the message says what to allow.

    Examples:
      datavc clone https://git.example.org/team/project.git
      datavc clone git@git.example.org:team/project.git here

    Exit codes: 0 done, 1 failed, 2 usage, 3 some datasets could not be fetched, 12 damaged on the remote.
    """
    from datavc.operations.clone import clone as clone_all

    session = current()
    result = clone_all(
        url,
        Path(os.fsdecode(session.absolute(path))) if path is not None else None,
        here=session.folder,
        remote=remote,
        memory=memory_bytes(memory),
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        print(f"{show_path(os.fspath(result.folder))}: cloned")
        if result.pulled is not None:
            print_pulled(result.folder, result.pulled, dry_run=False)
        else:
            talk("datavc is not used in that repository")
            next_command("datavc init")
    return PARTLY_DONE if result.pulled is not None and result.pulled.fetched.failed else None
