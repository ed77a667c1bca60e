"""``datavc pull``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.commands.checkout import checked_out
from datavc.cli.commands.fetch import fetched
from datavc.cli.options import DryRun, Json, Memory, Paths, RemoteName
from datavc.cli.render import print_json, show_from_here, talk
from datavc.cli.session import current
from datavc.cli.transfers import PARTLY_DONE, memory_bytes, print_summary

if TYPE_CHECKING:
    from pathlib import Path

    from datavc.operations.pull import PullResult


def pull(
    paths: Paths = None,
    remote: RemoteName = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Overwrite unsaved changes, after saving them aside")
    ] = False,
    dry_run: DryRun = False,
    memory: Memory = "512MiB",
    json: Json = False,
) -> int | None:
    """Get datasets from a remote, and check them out

    That is datavc fetch and datavc checkout. The pointers in the workspace say which versions: git pull brings newer
    ones. A path inside a dataset moves what that takes, and no more.

    Examples:
      datavc pull
      datavc pull data/train/cats
      datavc pull -r backup

    Exit codes: 0 done, 1 refused or failed, 2 usage, 3 some could not be fetched, 10 no repository, 11 locked, 12 damaged.
    """
    from datavc.operations.pull import pull as get
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = get(
        repo,
        session.absolutes(paths),
        remote=remote,
        force=force,
        dry_run=dry_run,
        memory=memory_bytes(memory),
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        print_pulled(repo.root, result, dry_run=dry_run)
    return PARTLY_DONE if result.fetched.failed else None


def print_pulled(root: Path, result: PullResult, *, dry_run: bool) -> None:
    """Say what came, what was checked out, and whose pointers these are; ``root`` is the repository's."""
    for row in result.fetched.datasets:
        if row.outcome != "here" or dry_run:
            print(fetched(root, row))
    for done in result.checked_out.datasets:
        print(f"{show_from_here(root, done.path)}: {checked_out(done, dry_run=False)}")
    print_summary(result.fetched)
    if result.commit is not None and result.fetched.datasets:
        names = ", ".join(show_from_here(root, path) for path in result.uncommitted)
        besides = f"; those of {names} are not committed" if names else ""
        talk(f"these are the pointers of commit {result.commit[:12]} ({result.subject}){besides}")
