"""``datavc resolve``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.commands.git_hook import tell_followed
from datavc.cli.options import Json, Paths
from datavc.cli.render import next_command, print_json, show_from_here, talk
from datavc.cli.session import current
from datavc.errors import UsageError

if TYPE_CHECKING:
    from datavc.operations.resolve import Resolved
    from datavc.repo import Repo

CONFLICTS_LEFT = 1


def resolve(
    paths: Paths = None,
    ours: Annotated[bool, typer.Option("--ours", help="Take our version of the paths")] = False,
    theirs: Annotated[bool, typer.Option("--theirs", help="Take their version of the paths")] = False,
    json: Json = False,
) -> int | None:
    """Settle pointers that a merge left in conflict

    Without --ours or --theirs, both versions of each dataset are merged file by file, as the merge driver does, and
    what both changed is listed. --ours and --theirs take one side's version: of a dataset, or of a path inside one,
    and then the rest is merged as soon as every conflict is decided. What is settled is staged, and checked out unless
    unsaved work is in the way. In a rebase, ours is the branch that you rebase onto, as always with git.

    Examples:
      datavc resolve
      datavc resolve --ours data/train
      datavc resolve --theirs data/train/labels.csv data/train/cats

    Exit codes: 0 all settled, 1 conflicts are left or it failed, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.resolve import resolve as settle
    from datavc.repo import Repo

    if ours and theirs:
        raise UsageError("--ours and --theirs exclude each other", "datavc resolve --help")
    session = current()
    repo = Repo.find(session.folder)
    side = "ours" if ours else "theirs" if theirs else None
    rows = settle(repo, session.absolutes(paths), side=side, jobs=session.workers, progress=session.progress)
    left = [row for row in rows if row.conflicts]
    if json:
        print_json(rows)
    else:
        for row in rows:
            _print(repo, row)
        if not rows:
            talk("no pointer is in conflict")
    if left:
        worst = left[0].conflicts[0].path
        next_command(
            f"datavc resolve --ours {repo.typed(worst)}, or datavc resolve --theirs {repo.typed(worst)}"
        )
    elif rows:
        next_command("git commit, or whatever git status says")
    return CONFLICTS_LEFT if left else None


def _print(repo: Repo, row: Resolved) -> None:
    name = show_from_here(repo.root, row.path)
    for conflict in row.conflicts:
        print(f"{show_from_here(repo.root, conflict.path)}: {conflict.reason}")
    if row.removed:
        print(f"{name}: no dataset any more")
    elif row.pointer is not None:
        print(f"{name}: settled as {row.pointer.digest.short}")
    if row.followed is not None:
        tell_followed(repo, row.followed)
