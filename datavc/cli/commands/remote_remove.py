"""``datavc remote remove``."""

from __future__ import annotations

from datavc.cli.options import OneRemote
from datavc.cli.places import show_address
from datavc.cli.render import next_command, talk
from datavc.cli.session import current


def remote_remove(name: OneRemote) -> None:
    """Forget a remote; nothing there is deleted

    Takes it out of datavc.toml and the local config.

    Examples:
      datavc remote remove backup

    Exit codes: 0 done, 2 there is no such remote, 10 no repository.
    """
    from datavc.operations.remote_remove import remote_remove as remove
    from datavc.repo import Repo

    repo = Repo.find(current().folder)
    removed = remove(repo, name)
    print(f"{removed.name}: forgotten; what is at {show_address(removed.url)} stays")
    if removed.default is not None:
        talk(f"the default remote is {removed.default}")
    elif repo.remotes():
        talk("there is no default remote now")
        next_command("datavc config remote.default NAME")
