"""``datavc ls``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Json, Offline
from datavc.cli.render import print_json, print_table, show_from_here, show_path
from datavc.cli.revisions import past_path
from datavc.cli.session import current
from datavc.formats.amounts import human_size


def ls(
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[[REV:]PATH]", show_default=False, help="A dataset or a path in it, now or in a revision"
        ),
    ] = None,
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Folders too, all the way down")
    ] = False,
    long: Annotated[bool, typer.Option("-l", "--long", help="Kind, size, files and digest too")] = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """List datasets and the files in them

    From the pointers and trees alone: nothing of it need be in the workspace. Trees that are not in the cache either are
    fetched.

    Examples:
      datavc ls
      datavc ls -l data/train
      datavc ls -r data/train/cats
      datavc ls HEAD~3:
      datavc ls -l v1.0:data/train

    Exit codes: 0 done, 1 no such path, 2 usage, 10 no repository.
    """
    from datavc.operations.ls import ls as list_entries
    from datavc.operations.steps.naming.versions import is_digest
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    digest = path if path is not None and is_digest(path) else None
    revision, place = past_path(repo, path, "ls") if path is not None and digest is None else (None, None)
    rows = list_entries(
        repo,
        place,
        digest=digest,
        among=revision.datasets if revision is not None else None,
        recursive=recursive,
        offline=offline,
        progress=session.progress,
    )
    if json:
        print_json(rows)
        return
    is_past = revision is not None or digest is not None
    names = [show_path(row.path) if is_past else show_from_here(repo.root, row.path) for row in rows]
    if long:
        cells = [
            [row.kind, human_size(row.size), f"{row.files:,}", row.digest, name]
            for row, name in zip(rows, names, strict=True)
        ]
        print_table(cells, right=(1, 2))
    else:
        for row, name in zip(rows, names, strict=True):
            print(name + ("/" if row.kind == "folder" else ""))
