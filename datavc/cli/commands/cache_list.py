"""``datavc cache list``."""

from __future__ import annotations

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, print_table, show_path
from datavc.cli.session import current

_WORDS = {
    "this": "this clone",
    "there": "there",
    "gone": "gone",
    "elsewhere": "on another machine",
    "unreadable": "its note cannot be read",
}


def cache_list(json: Json = False) -> None:
    """List the clones that use the cache

    gc keeps what any of them needs; of one that it cannot ask, because it is gone or on another machine, everything.

    Examples:
      datavc cache list

    Exit codes: 0 done, 1 the cache cannot be read, 10 no repository.
    """
    from datavc.operations.cache_list import cache_list as list_clones
    from datavc.repo import Repo

    clones = list_clones(Repo.find(current().folder))
    if json:
        print_json(clones)
        return
    print_table(
        [
            [
                clone.id[:12],
                show_path(clone.folder) if clone.place else "",
                clone.host,
                clone.user,
                clone.since[:10],
                _WORDS[clone.standing],
            ]
            for clone in clones
        ]
    )
    if any(clone.standing == "gone" for clone in clones):
        next_command("datavc cache forget --gone, if none of them is on a disk that is not mounted")
