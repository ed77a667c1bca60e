"""``datavc git merge``: the merge driver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datavc.cli.render import next_command, show_path, talk
from datavc.cli.session import current


def git_merge(
    base: Annotated[
        str, typer.Argument(metavar="BASE", show_default=False, help="%O: a file, empty if none")
    ],
    ours: Annotated[
        str, typer.Argument(metavar="OURS", show_default=False, help="%A: a file; takes the result")
    ],
    theirs: Annotated[str, typer.Argument(metavar="THEIRS", show_default=False, help="%B: a file")],
    length: Annotated[int, typer.Argument(metavar="LENGTH", show_default=False, help="%L: of markers")],
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="%P: the pointer's path")],
    virtual: Annotated[bool, typer.Option("--virtual", help="Settle conflicts for the base")] = False,
) -> int | None:
    """Merge two pointers file by file, as git's merge driver

    datavc install has git call it. Files that both sides changed are conflicts, listed by path; the pointer then gets
    conflict markers, and datavc resolve settles them.

    Examples:
      datavc git merge %O %A %B %L %P

    Exit codes: 0 merged, 1 there are conflicts, or it failed.
    """
    from datavc.errors import DatavcError
    from datavc.operations.merge import merge_files

    session = current()
    path = name.encode("utf-8", "surrogateescape")
    files = [Path(word) for word in (base, ours, theirs)]
    try:
        merged = merge_files(
            session.folder, path, *files, length=length, virtual=virtual, progress=session.progress
        )
    except DatavcError as error:
        talk(f"CONFLICT (datavc): {show_path(path)} could not be merged: {error.message}")
        if error.hint:
            next_command(error.hint)
        return 1
    for conflict in merged.conflicts:
        talk(f"CONFLICT (datavc): {show_path(conflict.path)}: {conflict.reason}")
    if merged.conflicts:
        next_command("datavc resolve")
        return 1
    if not merged.complete:
        talk(
            f"{show_path(path.removesuffix(b'.datavc'))}: merged; some of its files are not here yet: datavc pull"
        )
    return None
