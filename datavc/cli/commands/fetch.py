"""``datavc fetch``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import AllBranches, AllTags, DryRun, Json, Memory, Paths, RemoteName, Revs
from datavc.cli.render import print_json, show_from_here
from datavc.cli.session import current
from datavc.cli.transfers import PARTLY_DONE, memory_bytes, print_summary, revisions
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from pathlib import Path

    from datavc.operations.fetch import FetchedDataset


def fetch(
    paths: Paths = None,
    remote: RemoteName = None,
    rev: Revs = None,
    all_branches: AllBranches = False,
    all_tags: AllTags = False,
    trees: Annotated[
        bool, typer.Option("--trees", help="Fetch what lists folders, and no files: enough for ls and diff")
    ] = False,
    dry_run: DryRun = False,
    memory: Memory = "512MiB",
    json: Json = False,
) -> int | None:
    """Get datasets from a remote into the cache

    The workspace stays as it is: datavc pull changes that too. The digest of a record gets that record. Everything is
    verified before it is kept. What the default remote lacks is asked of the others. Interrupted, the same command goes
    on where it was.

    Examples:
      datavc fetch
      datavc fetch data/train/cats
      datavc fetch -r backup --all-tags
      datavc fetch --trees
      datavc fetch xxh128:99aa06d3

    Exit codes: 0 done, 1 failed, 2 usage, 3 some could not be fetched, 10 no repository, 12 damaged on the remote.
    """
    from datavc.operations.fetch import fetch as get
    from datavc.operations.steps.naming.versions import is_digest
    from datavc.operations.steps.transfers.obtaining import obtain_record
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if paths and all(map(is_digest, paths)):
        records = [obtain_record(repo, word, remote, session.progress) for word in paths]
        if json:
            print_json({"records": records})
        for record in records if not json else ():
            print(f"record {record}: here")
        return None
    result = get(
        repo,
        session.absolutes(paths),
        remote=remote,
        revisions=revisions(rev, all_branches=all_branches, all_tags=all_tags),
        trees_only=trees,
        dry_run=dry_run,
        memory=memory_bytes(memory),
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        for row in result.datasets:
            print(fetched(repo.root, row))
        print_summary(result)
    return PARTLY_DONE if result.failed else None


def fetched(root: Path, row: FetchedDataset) -> str:
    """What became of one version, or of the parts of it that were asked for."""
    paths = [row.path + b"/" + part for part in row.parts or ()] or [row.path]
    name = ", ".join(show_from_here(root, path) for path in paths)
    if row.outcome == "failed":
        return f"{name}: not fetched: {row.message}"
    if row.outcome == "here":
        return f"{name}: in the cache already"
    verb = "would be fetched" if row.outcome == "to fetch" else "fetched"
    return f"{name}: {count(row.objects, 'object')}, {human_size(row.size)} {verb}"
