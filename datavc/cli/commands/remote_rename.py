"""``datavc remote rename``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import OneRemote
from datavc.cli.places import show_address
from datavc.cli.session import current


def remote_rename(
    name: OneRemote,
    new_name: Annotated[str, typer.Argument(metavar="NEW", show_default=False, help="Its new name")],
) -> None:
    """Give a remote another name

    In datavc.toml and the local config. It stays the default if it was.

    Examples:
      datavc remote rename origin lab

    Exit codes: 0 done, 1 there is one of that name, 2 usage, 10 no repository.
    """
    from datavc.operations.remote_rename import remote_rename as rename
    from datavc.repo import Repo

    renamed = rename(Repo.find(current().folder), name, new_name)
    print(f"{renamed.name}: {show_address(renamed.url)}")
