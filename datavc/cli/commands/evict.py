"""``datavc evict``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import DryRun, Json, Paths, RemoteName
from datavc.cli.render import print_json, show_from_here, talk
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size
from datavc.formats.config import parse_size

if TYPE_CHECKING:
    from datavc.operations.evict import EvictResult
    from datavc.repo import Repo


def evict(
    paths: Paths = None,
    remote: RemoteName = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size",
            metavar="SIZE",
            show_default=False,
            help="The oldest first, until the cache is so small",
        ),
    ] = None,
    workspace: Annotated[
        bool, typer.Option("--workspace", help="Unchanged files in the workspace too; the pointers stay")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Drop from this machine what a remote holds

    Every version in the cache goes of which a remote has the root and, asked for one by one, every pack. What was never
    pushed stays, and so does what a remote has lost. 'datavc pull' brings it back.

    Examples:
      datavc evict --dry-run
      datavc evict data/train --workspace
      datavc evict --max-size 100GB

    Exit codes: 0 done, 1 refused or failed, 2 usage, 10 no repository, 11 locked, 12 the cache is damaged.
    """
    from datavc.operations.evict import evict as drop
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = drop(
        repo,
        session.absolutes(paths),
        remote=remote,
        max_size=_size(max_size),
        workspace=workspace,
        dry_run=dry_run,
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        _print(repo, result, dry_run=dry_run)


def _size(text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(f"--max-size {error}, not {text!r}") from None


def _print(repo: Repo, result: EvictResult, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    for done in result.emptied:
        name = show_from_here(repo.root, done.path)
        if done.reason is None:
            print(f"{name}: {count(done.files, 'file')} {would}taken out of the workspace")
        else:
            print(f"{name}: stays in the workspace: {done.reason}")
    for row in result.dropped:
        name = show_from_here(repo.root, row.path)
        print(f"{name}: {row.digest.short} {would}dropped from the cache; {row.remote} holds it")
    for row in result.kept:
        print(f"{show_from_here(repo.root, row.path)}: {row.digest.short} stays in the cache: {row.reason}")
    talk(f"{human_size(result.freed_bytes)} {would}freed; the cache has {human_size(result.cache_bytes)}")
