"""``datavc tag``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, print_table, show_from_here, show_path, talk
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import files_and_bytes

if TYPE_CHECKING:
    from datavc.operations.tag import DatasetTag

_Path = Annotated[
    str | None,
    typer.Argument(metavar="[PATH]", show_default=False, help="A dataset; without NAME: list its tags"),
]
_Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", show_default=False, help="What to call its version")
]
_Rev = Annotated[
    str, typer.Argument(metavar="[REV]", show_default=False, help="Whose version, if not that of HEAD")
]


def tag(
    path: _Path = None,
    name: _Name = None,
    rev: _Rev = "HEAD",
    message: Annotated[
        str | None,
        typer.Option("-m", "--message", metavar="TEXT", show_default=False, help="Make an annotated tag"),
    ] = None,
    force: Annotated[bool, typer.Option("-f", "--force", help="Move a tag that there is")] = False,
    json: Json = False,
) -> None:
    """Name versions of datasets, or list their names

    The tag is git's own, called PATH@NAME, and means PATH as the tagged commit has it. It may stand wherever a revision
    may, and travels as git's tags do.

    Examples:
      datavc tag data/train v1
      datavc tag data/train v0 HEAD~3
      datavc tag
      datavc tag data/train v1 && datavc checkout data/train@v1

    Exit codes: 0 done, 1 no such dataset or the name is taken, 2 usage, 10 no repository.
    """
    from datavc.operations.tag import tag as make
    from datavc.operations.tag import tags
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if name is None or path is None:
        if message is not None or force:
            raise UsageError("a tag needs a dataset and a name", "datavc tag PATH NAME")
        rows = tags(repo, session.absolute(path) if path is not None else None)
        if json:
            print_json(rows)
        else:
            _print(rows)
        return
    result = make(repo, session.absolute(path), name, revision=rev, message=message, force=force)
    if json:
        print_json(result)
        return
    made = result.made
    print(f"{show_path(made.tag)}: {made.digest}, commit {made.commit[:12]}")
    if result.differs:
        talk(
            f"{show_from_here(repo.root, made.path)} has another version in the workspace than the tagged one"
        )
    next_command(result.push)


def _print(rows: list[DatasetTag]) -> None:
    if not rows:
        talk("no dataset has a tag of its own: datavc tag PATH NAME makes one")
    print_table(
        [
            [
                show_path(row.tag),
                row.commit[:12],
                (row.date or "")[:10],
                files_and_bytes(row.files, row.size) if row.digest is not None else "no such dataset",
                row.digest.short if row.digest is not None else "",
            ]
            for row in rows
        ]
    )
