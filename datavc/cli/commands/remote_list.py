"""``datavc remote list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.options import Json
from datavc.cli.places import show_address
from datavc.cli.render import next_command, print_json, print_table, talk
from datavc.cli.session import current

if TYPE_CHECKING:
    from datavc.operations.remote_list import ListedRemote


def remote_list(json: Json = False) -> None:
    """List the remotes

    The default one first, each with its address and what is special about it. -v tells what the last probe found.

    Examples:
      datavc remote list
      datavc remote list -v

    Exit codes: 0 done, 2 the configuration is wrong, 10 no repository.
    """
    from datavc.operations.remote_list import remote_list as list_remotes
    from datavc.repo import Repo

    session = current()
    rows = list_remotes(Repo.find(session.folder))
    if json:
        print_json(rows)
        return
    print_table([[row.name, show_address(row.url), ", ".join(_words(row))] for row in rows])
    if session.verbose:
        for row in rows:
            if row.probed is not None:
                found = "; ".join(row.problems) or "nothing wrong"
                talk(f"{row.name}: probed {row.probed}{'' if row.is_fresh else ' (long ago)'}: {found}")
            else:
                talk(f"{row.name}: never probed from here")
    if not rows:
        talk("there are no remotes")
        next_command("datavc remote add NAME URL")


def _words(row: ListedRemote) -> list[str]:
    words = [f"{key} {value}" for key, value in row.settings.items()]
    if row.is_default:
        words.insert(0, "default")
    if row.read_only:
        words.append("read-only")
    if row.origin != "repo":
        words.append(f"from {row.origin}")
    if not row.is_allowed:
        words.append("not allowed yet")
    return words
