"""``datavc diff``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from datavc.cli.options import ExitCode, Json, Offline, Paths
from datavc.cli.render import from_here, print_json, show_path
from datavc.cli.session import current


def diff(
    paths: Paths = None,
    name_only: Annotated[bool, typer.Option("--name-only", help="Print paths alone")] = False,
    null: Annotated[bool, typer.Option("-z", "--null", help="Paths as they are, each ended by NUL")] = False,
    offline: Offline = False,
    json: Json = False,
    exit_code: ExitCode = False,
) -> int | None:
    """Show which files differ from what the pointers say

    A added, M changed, D removed, R renamed, with sizes. Needs no data in the cache; trees that are
    not there are fetched.

    Examples:
      datavc diff
      datavc diff --name-only data/train
      datavc diff --exit-code

    Exit codes: 0 done, with --exit-code 1 where anything differs and 4 on errors, 10 no repository.
    """
    from datavc.cli.commands.status import describe
    from datavc.operations.diff import diff as compare
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    jobs = session.workers
    rows = compare(repo, session.absolutes(paths), jobs=jobs, offline=offline, progress=session.progress)
    changes = [change for row in rows for change in row.changes]
    if json:
        print_json(rows)
    elif null:
        for change in changes:
            sys.stdout.buffer.write(from_here(repo.root, change.path) + b"\0")
        sys.stdout.buffer.flush()
    else:
        for change in changes:
            print(show_path(from_here(repo.root, change.path)) if name_only else describe(repo, change))
    return 1 if exit_code and changes else None
