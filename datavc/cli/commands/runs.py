"""``datavc runs``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Json, RemoteName
from datavc.cli.render import next_command, print_json, print_table, show_path, talk
from datavc.cli.session import current
from datavc.formats.paths import show_some


def runs(
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=1, show_default=False, help="Only the newest N")
    ] = None,
    remote: RemoteName = None,
    json: Json = False,
) -> None:
    """List the records of runs, the newest first

    Those that failed too. With -r those on a remote; datavc fetch RECORD brings one here.

    Examples:
      datavc runs
      datavc runs --limit 5 --json
      datavc runs -r store

    Exit codes: 0 done, 1 failed, 2 usage, 10 no repository.
    """
    from datavc.operations.runs import runs as list_runs
    from datavc.repo import Repo

    session = current()
    rows = list_runs(Repo.find(session.folder), limit, remote=remote, progress=session.progress)
    if json:
        print_json(rows)
        return
    if not rows:
        talk("no run was recorded here")
        next_command("datavc run COMMAND")
        return
    print_table(
        [
            (
                row.record.short,
                row.start[:19].replace("T", " "),
                row.status,
                row.stage or "",
                show_path(row.command)[:60],
                f"made {show_some(row.made)}" if row.made else "",
            )
            for row in rows
        ]
    )
