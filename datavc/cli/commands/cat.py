"""``datavc cat``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from datavc.cli.options import Offline
from datavc.cli.revisions import past_path
from datavc.cli.session import current


def cat(
    path: Annotated[
        str,
        typer.Argument(
            metavar="[REV:]PATH", show_default=False, help="A file of a dataset, now or as a revision has it"
        ),
    ],
    offline: Offline = False,
) -> None:
    """Write a file of a dataset to standard output

    As the pointer, or a revision, has it, out of the cache, whatever is in the workspace. What is not there is fetched,
    that file alone.

    Examples:
      datavc cat data/train/labels.csv | head
      datavc cat HEAD~3:data/train/labels.csv
      datavc cat data/train@v1:labels.csv

    Exit codes: 0 done, 1 no such file, 2 usage, 10 no repository, 12 the object is damaged.
    """
    from datavc.operations.cat import cat as write_file
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    revision, place = past_path(repo, path, "cat")
    among = revision.datasets if revision is not None else None
    write_file(repo, place, sys.stdout.buffer, among=among, offline=offline, progress=session.progress)
    sys.stdout.buffer.flush()
