"""``datavc diff``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import ExitCode, Json, Offline
from datavc.cli.render import from_here, print_json, show_from_here, show_path, talk
from datavc.cli.revisions import split_range, split_revisions
from datavc.cli.session import current
from datavc.formats.amounts import human_size

if TYPE_CHECKING:
    from datavc.operations.steps.comparing.compare import Change
    from datavc.repo import Repo

_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[A [B]] [--] [PATH]...",
        show_default=False,
        help="Revisions to compare, if not the pointers with the workspace; datasets, or files and folders in them",
    ),
]
_Markdown = Annotated[bool, typer.Option("--md", help="Print Markdown, as for a comment on a pull request")]
# A comment on GitHub takes 65,536 characters.
_MOST_ROWS = 400


def diff(
    words: _Words = None,
    name_only: Annotated[bool, typer.Option("--name-only", help="Print paths alone")] = False,
    null: Annotated[bool, typer.Option("-z", "--null", help="Paths as they are, each ended by NUL")] = False,
    markdown: _Markdown = False,
    offline: Offline = False,
    json: Json = False,
    exit_code: ExitCode = False,
) -> int | None:
    """Show which files differ from the pointers or between revisions

    A added, M changed, D removed, R renamed, with sizes. With A, from that revision to the workspace; with A and B, from
    one revision to the other. Needs no data in the cache; trees that are not there are fetched.

    Examples:
      datavc diff
      datavc diff --name-only data/train
      datavc diff HEAD~3
      datavc diff v1.0 v2.0 -- data/train
      datavc diff --md main HEAD
      datavc diff --exit-code

    Exit codes: 0 done, with --exit-code 1 where anything differs and 4 on errors, 2 usage, 10 no repository.
    """
    from datavc.operations.diff import diff as compare
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    revisions, paths = split_revisions(repo, split_range(repo, words or ()), "diff", 2)
    old, new = [*revisions, None, None][:2]
    rows = compare(
        repo,
        session.absolutes(paths),
        old=old,
        new=new,
        jobs=session.workers,
        offline=offline,
        progress=session.progress,
    )
    changes = [change for row in rows for change in row.changes]
    if json:
        print_json(rows)
    elif null:
        for change in changes:
            sys.stdout.buffer.write(from_here(repo.root, change.path) + b"\0")
        sys.stdout.buffer.flush()
    elif markdown:
        _print_markdown(changes)
    else:
        _print(repo, changes, name_only=name_only, summary=bool(revisions) and not name_only)
    return 1 if exit_code and changes else None


def _print(repo: Repo, changes: list[Change], *, name_only: bool, summary: bool) -> None:
    from datavc.cli.commands.status import describe

    for change in changes:
        print(show_from_here(repo.root, change.path) if name_only else describe(repo, change))
    if changes and summary:
        talk(_summary(changes))


def _summary(changes: list[Change]) -> str:
    """``2 added, 1 removed (+1.2 MiB)``."""
    counts = []
    for word in ("added", "changed", "removed", "renamed"):
        amount = sum(change.status == word for change in changes)
        if amount:
            counts.append(f"{amount:,} {word}")
    growth = sum(change.size - (change.old_size or 0) for change in changes)
    sign = "+" if growth > 0 else "-"
    return ", ".join(counts) + (f" ({sign}{human_size(abs(growth))})" if growth else "")


def _print_markdown(changes: list[Change]) -> None:
    """A table; paths are relative to the root, since its readers are nowhere."""
    if not changes:
        print("No dataset differs.")
        return
    print(f"**{_summary(changes)}**\n")
    print("| | path | before | after |\n|---|---|--:|--:|")
    for change in changes[:_MOST_ROWS]:
        path = _cell(change.path)
        if change.old_path is not None:
            path = f"{_cell(change.old_path)} → {path}"
        before = human_size(change.old_size) if change.old_size is not None else ""
        after = human_size(change.size) if change.status != "removed" else ""
        print(f"| {change.status} | {path} | {before} | {after} |")
    if len(changes) > _MOST_ROWS:
        print(f"\nand {len(changes) - _MOST_ROWS:,} more")


def _cell(path: bytes) -> str:
    """A path as code in a cell of a table."""
    text = show_path(path).replace("|", "\\|")
    # Code that has backticks in it is put between longer runs of them.
    fence = "`"
    while fence in text:
        fence += "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
