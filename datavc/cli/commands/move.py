"""``datavc move``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.render import next_command, show_from_here
from datavc.cli.session import current


def move(
    old: Annotated[str, typer.Argument(metavar="OLD", show_default=False, help="The dataset")],
    new: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="Its new path, or a folder")],
) -> None:
    """Rename a dataset, its files and its pointer

    Nothing is read or stored again.

    Examples:
      datavc move data/train data/train-2024
      datavc mv data/train archive/

    Exit codes: 0 done, 1 refused, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.move import move as move_dataset
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = move_dataset(repo, session.absolute(old), session.absolute(new))
    print(f"{show_from_here(repo.root, result.old)} -> {show_from_here(repo.root, result.new)}")
    if result.git_add:
        next_command(f"git add {repo.typed(*result.git_add)}")
