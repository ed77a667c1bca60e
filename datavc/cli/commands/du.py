"""``datavc du``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Json, Offline, Paths
from datavc.cli.render import print_json, print_table, show_path
from datavc.cli.session import current
from datavc.formats.amounts import human_size


def du(
    paths: Paths = None,
    depth: Annotated[int, typer.Option("-d", "--depth", min=0, help="Folders this many levels deep too")] = 0,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Add up how much is in datasets and their folders

    From the pointers and trees alone. Trees that are not in the cache are fetched.

    Examples:
      datavc du
      datavc du -d 1 data/train

    Exit codes: 0 done, 1 no such path, 10 no repository.
    """
    from datavc.operations.du import du as add_up
    from datavc.repo import Repo

    session = current()
    rows = add_up(
        Repo.find(session.folder),
        session.absolutes(paths),
        depth=depth,
        offline=offline,
        progress=session.progress,
    )
    if json:
        print_json(rows)
    else:
        print_table(
            [[human_size(row.size), f"{row.files:,}", show_path(row.path)] for row in rows], right=(0, 1)
        )
