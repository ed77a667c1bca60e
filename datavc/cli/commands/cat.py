"""``datavc cat``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from datavc.cli.options import Offline
from datavc.cli.session import current


def cat(
    path: Annotated[str, typer.Argument(metavar="PATH", show_default=False, help="A file of a dataset")],
    offline: Offline = False,
) -> None:
    """Write a file of a dataset to standard output

    As the pointer has it, out of the cache, whatever is in the workspace. What is not there is fetched, that file alone.

    Examples:
      datavc cat data/train/labels.csv | head

    Exit codes: 0 done, 1 no such file, 10 no repository, 12 the object is damaged.
    """
    from datavc.operations.cat import cat as write_file
    from datavc.operations.steps.versions import is_digest
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if is_digest(path):
        write_file(repo, None, sys.stdout.buffer, digest=path, offline=offline, progress=session.progress)
    else:
        write_file(
            repo, session.absolute(path), sys.stdout.buffer, offline=offline, progress=session.progress
        )
    sys.stdout.buffer.flush()
