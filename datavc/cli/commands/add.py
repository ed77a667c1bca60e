"""``datavc add``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import DryRun, Json, Paths
from datavc.cli.render import next_command, print_json, show_from_here, talk
from datavc.cli.session import current
from datavc.formats.amounts import count, files_and_bytes, human_size

if TYPE_CHECKING:
    from datavc.operations.add import AddedDataset, AddResult
    from datavc.repo import Repo


def add(
    paths: Paths = None,
    update: Annotated[bool, typer.Option("-u", "--update", help="Add every modified dataset")] = False,
    force: Annotated[bool, typer.Option("-f", "--force", help="Record over a pointer that moved")] = False,
    stage: Annotated[bool, typer.Option("--stage", help="Run the git add line too")] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Trust nothing: read files and cache, mend the cache")
    ] = False,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Put files or folders into the cache and write their pointers

    The data stays where it is; a small pointer beside it is what goes into git. A path inside a dataset updates that
    part of it. Killed, the same command goes on where it was.

    Examples:
      datavc add data/train
      datavc add data/train/cats
      datavc add -u --stage

    Exit codes: 0 done, 1 refused or failed and nothing recorded, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.add import add as add_datasets
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = add_datasets(
        repo,
        session.absolutes(paths),
        update_all=update,
        force=force,
        stage=stage,
        rehash=rehash,
        dry_run=dry_run,
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
        return
    for row in result.datasets:
        print(f"{show_from_here(repo.root, row.path)}: {_what(row, dry_run=dry_run)}")
    for path, standing in result.skipped:
        talk(f"{show_from_here(repo.root, path)}: {standing}, left alone")
    if not result.datasets and not result.skipped:
        talk("nothing was modified")
    if not dry_run:
        _say_next(repo, result, staged=stage)


def _what(row: AddedDataset, *, dry_run: bool) -> str:
    if dry_run and row.unchanged:
        return "unchanged"
    if dry_run:
        amount = files_and_bytes(row.new_files, row.new_bytes)
        return f"{amount} would be read" if row.new_files else "would be recorded"
    if row.unchanged:
        return f"unchanged, {files_and_bytes(row.files, row.size)}"
    news = [f"{files_and_bytes(row.new_files, row.new_bytes)} new"]
    if row.deduplicated_bytes:
        news.append(f"{human_size(row.deduplicated_bytes)} known already")
    news.append(f"{human_size(row.stored_bytes)} stored")
    return f"{count(row.files, 'file')}, {human_size(row.size)} ({', '.join(news)})"


def _say_next(repo: Repo, result: AddResult, *, staged: bool) -> None:
    if repo.git is None or not any(not row.unchanged for row in result.datasets):
        return
    if staged:
        next_command("git commit")
        return
    next_command(f"git add {repo.typed(*result.git_add)}")
