"""``datavc remote status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.options import ExitCode, Json, Paths, RemoteName
from datavc.cli.render import next_command, print_json, show_from_here, styled, talk
from datavc.cli.session import current
from datavc.cli.transfers import PARTLY_DONE

if TYPE_CHECKING:
    from datavc.operations.remote_status import RemoteStanding


def remote_status(
    paths: Paths = None, remote: RemoteName = None, json: Json = False, exit_code: ExitCode = False
) -> int | None:
    """Say which datasets are complete on which remote

    As the pointers in the workspace have them: one request for each, to all remotes or to the one that is named.
    What the remote says is believed; 'datavc push --check' asks for every pack.

    Examples:
      datavc remote status
      datavc remote status -r backup data/train

    Exit codes: 0 done, with --exit-code 1 where something is not there and 4 on errors, 2 usage, 3 a remote
    failed, 10 no repository.
    """
    from datavc.operations.remote_status import remote_status as ask
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    rows = ask(repo, session.absolutes(paths), remote=remote)
    if json:
        print_json(rows)
    else:
        for row in rows:
            print(f"{show_from_here(repo.root, row.path)}: {_standing(row)}")
        for hint in dict.fromkeys(row.hint for row in rows if row.hint):
            talk(f"hint: {hint}")
        if not rows:
            talk("there are no datasets")
        missing = dict.fromkeys(row.remote for row in rows if row.outcome == "not there")
        if missing:
            next_command(f"datavc push -r {next(iter(missing))}")
    if any(row.outcome == "failed" for row in rows):
        return PARTLY_DONE
    return 1 if exit_code and any(row.outcome != "complete" for row in rows) else None


def _standing(row: RemoteStanding) -> str:
    if row.outcome == "complete":
        return f"{styled(f'complete on {row.remote}', 'green')} since {row.since}"
    if row.outcome == "failed":
        return f"{row.remote} could not be asked: {row.message}"
    return styled(f"not on {row.remote}", "yellow")
