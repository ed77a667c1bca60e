"""``datavc checkout``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import DryRun, Json, RemoteName
from datavc.cli.render import next_command, print_json, show_from_here, show_path, talk
from datavc.cli.restoring import restore_record
from datavc.cli.revisions import split_revisions
from datavc.cli.session import current
from datavc.formats.amounts import count, files_and_bytes

if TYPE_CHECKING:
    from datavc.operations.checkout import CheckoutResult
    from datavc.operations.steps.delivering.switching import CheckedOut
    from datavc.repo import Repo


_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[REV] [--] [PATH]...",
        show_default=False,
        help="A revision (branch, tag, commit, HEAD~3, PATH@NAME, digest); datasets, or files and folders in them",
    ),
]
_Before = Annotated[
    str | None,
    typer.Option("--before", metavar="DATE", show_default=False, help="The last commit of HEAD until then"),
]
_To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="DIR", show_default=False, help="Write into DIR, and leave the workspace alone"
    ),
]
_Record = Annotated[
    str | None,
    typer.Option(
        "--record",
        metavar="RECORD",
        show_default=False,
        help="The code and data of a run, into the DIR of --to",
    ),
]

_Force = Annotated[
    bool, typer.Option("-f", "--force", help="Overwrite unsaved changes, after saving them aside")
]
_AllowPurged = Annotated[
    bool, typer.Option("--allow-purged", help="Leave out files that were purged, instead of stopping")
]


def checkout(
    words: _Words = None,
    before: _Before = None,
    to: _To = None,
    record: _Record = None,
    remote: RemoteName = None,
    force: _Force = False,
    allow_purged: _AllowPurged = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Make the workspace what the pointers, or a revision, say

    Only what differs is written; ignored files stay. Everything that is missing, does not fit or would be lost is
    found before anything is touched. Interrupted, the same command finishes.

    With REV, pointers, ignore lines and data become those of that revision, while git's HEAD stays: datavc checkout
    HEAD returns. Without PATH, datasets that REV lacks are dropped, once the cache has them. What the cache lacks of
    REV is fetched. A digest is a version of one dataset, wherever PATH says.

    Examples:
      datavc checkout
      datavc checkout data/train/cats
      datavc checkout HEAD~3
      datavc checkout v1.0 -- data/train
      datavc checkout data/train@v2
      datavc checkout --before 2026-01-31
      datavc checkout v1.0 --to /tmp/v1
      datavc checkout --force data/train
      datavc checkout xxh128:33119477 -- data/train
      datavc checkout --record xxh128:99aa06d3 --to /tmp/run

    Exit codes: 0 done, 1 refused or failed, 2 usage, 10 no repository, 11 locked, 12 damaged objects.
    """
    from datavc.operations.checkout import checkout as check_out
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if record is not None:
        restore_record(repo, record, to, words, remote, json=json)
        return
    revisions, paths = split_revisions(repo, words or (), "checkout", 1)
    result = check_out(
        repo,
        session.absolutes(paths),
        revision=revisions[0] if revisions else None,
        before=before,
        to=session.folder / to if to is not None else None,
        remote=remote,
        force=force,
        allow_purged=allow_purged,
        dry_run=dry_run,
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        _print(repo, result, to, dry_run=dry_run)


def _print(repo: Repo, result: CheckoutResult, to: str | None, *, dry_run: bool) -> None:
    for row in result.datasets:
        # Inside the DIR of --to, a path is what it is in the repository.
        name = show_from_here(repo.root, row.path) if to is None else show_path(row.path)
        print(f"{name}: {checked_out(row, dry_run=dry_run, revision=result.commit is not None)}")
    if not result.datasets:
        talk("there are no datasets")
    if result.commit is not None:
        _say_where(repo, result, to, dry_run=dry_run)


def _say_where(repo: Repo, result: CheckoutResult, to: str | None, *, dry_run: bool) -> None:
    from datavc.git.history import subject
    from datavc.operations.steps.naming.notes import current_commit

    assert repo.git is not None and result.commit is not None
    place = f"in {show_path(to)}: as" if to is not None else "as"
    talk(f"{place} in {result.commit[:12]} {subject(repo.git, result.commit)}")
    if to is None and not dry_run and result.commit != current_commit(repo):
        next_command("datavc checkout HEAD, to return")


def checked_out(row: CheckedOut, *, dry_run: bool, revision: bool = False) -> str:
    """What became of one dataset."""
    would = "would be " if dry_run else ""
    if row.dropped:
        return f"{would}dropped, {count(row.removed_files, 'file')}"
    purged = f", {count(row.purged_files, 'file')} purged and left out" if row.purged_files else ""
    if not row.written_files and not row.removed_files and not row.purged_files:
        says = "the revision" if revision else "the pointer"
        return f"nothing to do, {count(row.unchanged_files, 'file')} as {says} says"
    removed = f", {count(row.removed_files, 'file')} {would}removed" if row.removed_files else ""
    return f"{files_and_bytes(row.written_files, row.written_bytes)} {would}written{removed}{purged}"
