"""``datavc adopt``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Json, RemoteName
from datavc.cli.render import next_command, print_json, show_from_here
from datavc.cli.session import current


def adopt(
    record: Annotated[
        str, typer.Argument(metavar="RECORD", show_default=False, help="Its digest; 8 hex digits may do")
    ],
    remote: RemoteName = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Replace pointers to other versions")] = False,
    json: Json = False,
) -> None:
    """Take over what a run elsewhere made

    Writes the pointers of its outputs into this clone: the way back from a machine without git. The record comes from a
    remote if it is not here; datavc pull gets the data.

    Examples:
      datavc adopt xxh128:99aa06d3

    Exit codes: 0 done, 1 refused or not there, 2 usage, 10 no repository, 11 locked, 12 damaged.
    """
    from datavc.operations.adopt import adopt as take_over
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    adopted = take_over(repo, record, remote=remote, force=force, progress=session.progress)
    if json:
        print_json(adopted)
        return
    for path in adopted.datasets:
        print(f"{show_from_here(repo.root, path)}: pointer written")
    for path in adopted.unchanged:
        print(f"{show_from_here(repo.root, path)}: its pointer says that already")
    if adopted.git_add:
        next_command(f"git add {repo.typed(*dict.fromkeys(adopted.git_add))} && datavc pull")
