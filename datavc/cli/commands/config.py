"""``datavc config``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from datavc.cli.options import Json
from datavc.cli.render import print_json, print_table
from datavc.cli.session import current
from datavc.errors import UsageError


def config(
    key: Annotated[
        str | None, typer.Argument(metavar="[KEY]", show_default=False, help="For instance cache.dir")
    ] = None,
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", show_default=False, help="What to set it to")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="For this clone alone")] = False,
    user: Annotated[bool, typer.Option("--user", help="For all repositories of this user")] = False,
    unset: Annotated[bool, typer.Option("--unset", help="Remove the key")] = False,
    show_origin: Annotated[
        bool, typer.Option("--show-origin", help="Say where each value comes from")
    ] = False,
    json: Json = False,
) -> None:
    """Show or change settings

    Without --local or --user a value goes into datavc.toml, which is committed. The order in which they count:
    DATAVC_* variables, --local, --user, datavc.toml.

    Examples:
      datavc config --show-origin
      datavc config --local cache.dir /data/datavc-cache
      datavc config --local cache.link hardlink,copy

    Exit codes: 0 done, 1 the key is not set, 2 a value that the key does not take, 10 no repository.
    """
    from datavc.operations.config import config as configure
    from datavc.repo import Repo

    if local and user:
        raise UsageError("--local and --user are two places", "choose one")
    if unset and (key is None or value is not None):
        raise UsageError("--unset takes one key and no value", "datavc config --unset KEY")
    where = "local" if local else "user" if user else "repo"
    rows = configure(Repo.find(current().folder), key, value, where=where, unset=unset)
    if json:
        print_json(rows)
    elif value is not None:
        return
    elif key is not None and not show_origin:
        for row in rows:
            print(_text(row.value))
    else:
        print_table([[*([row.origin] if show_origin else []), row.key, _text(row.value)] for row in rows])


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
