"""``datavc remove``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import DryRun, SomePaths
from datavc.cli.render import next_command, show_from_here
from datavc.cli.session import current


def remove(
    paths: SomePaths,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the data from the workspace too")] = False,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Delete even what the cache does not have")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Stop keeping datasets

    Takes the pointer and the ignore line away. The data stays unless --delete is given; what git's history names stays
    in the cache.

    Examples:
      datavc remove data/old
      datavc remove --delete data/old

    Exit codes: 0 done, 1 refused, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.remove import remove as remove_datasets
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = remove_datasets(
        repo,
        session.absolutes(paths),
        delete=delete,
        force=force,
        dry_run=dry_run,
        jobs=session.workers,
        progress=session.progress,
    )
    for path in result.removed:
        what = "pointer and data" if delete else "pointer (the data stays)"
        print(f"{show_from_here(repo.root, path)}: {what} {'would be ' if dry_run else ''}removed")
    if repo.git is not None and result.git_add:
        next_command(f"git add {repo.typed(*dict.fromkeys(result.git_add))}")
