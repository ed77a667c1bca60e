"""``datavc checkout``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import DryRun, Json, Paths
from datavc.cli.render import print_json, show_path, talk
from datavc.cli.session import current
from datavc.formats.amounts import count, files_and_bytes

if TYPE_CHECKING:
    from datavc.operations.checkout import CheckedOut


def checkout(
    paths: Paths = None,
    force: Annotated[
        bool, typer.Option("-f", "--force", help="Overwrite unsaved changes, after saving them aside")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make the workspace what the pointers say

    Only what differs is written; ignored files stay. Everything that is missing, does not fit or would be lost is
    found before anything is touched. Interrupted, the same command finishes. A digest in front of one path takes that
    version instead, and leaves the pointer alone.

    Examples:
      datavc checkout
      datavc checkout data/train/cats
      datavc checkout --force data/train
      datavc checkout xxh128:33119477 -- data/train

    Exit codes: 0 done, 1 refused or failed, 2 usage, 10 no repository, 11 locked, 12 damaged objects.
    """
    from datavc.operations.checkout import checkout as check_out
    from datavc.operations.steps.versions import is_digest
    from datavc.repo import Repo

    session = current()
    words = list(paths or ())
    digest = words.pop(0) if words and is_digest(words[0]) else None
    result = check_out(
        Repo.find(session.folder),
        session.absolutes(words),
        digest=digest,
        force=force,
        dry_run=dry_run,
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
        return
    for row in result.datasets:
        print(checked_out_sentence(row, dry_run=dry_run))
    if not result.datasets:
        talk("there are no datasets")


def checked_out_sentence(row: CheckedOut, *, dry_run: bool) -> str:
    """What became of one dataset."""
    name = show_path(row.path)
    if not row.written_files and not row.removed_files:
        return f"{name}: nothing to do, {count(row.unchanged_files, 'file')} as the pointer says"
    would = "would be " if dry_run else ""
    removed = f", {count(row.removed_files, 'file')} {would}removed" if row.removed_files else ""
    return f"{name}: {files_and_bytes(row.written_files, row.written_bytes)} {would}written{removed}"
