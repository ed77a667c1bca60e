"""What ``datavc checkout --record`` says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from datavc.cli.render import print_json, show_path, talk
from datavc.cli.session import current
from datavc.errors import PartialFailure, UsageError
from datavc.formats.amounts import count

if TYPE_CHECKING:
    from datavc.repo import Repo


def restore_record(
    repo: Repo, record: str, to: str | None, words: list[str] | None, remote: str | None, *, json: bool
) -> None:
    """Write the code and data of a run into a folder.

    Raises:
        UsageError: there is no folder to write into, or something else is asked at once.
        PartialFailure: some of the data is nowhere. Others as :func:`datavc.operations.restore.restore`.
    """
    from datavc.operations.restore import restore

    if to is None or words:
        raise UsageError(
            "a record is checked out whole, into a folder of its own", "datavc checkout --record R --to DIR"
        )
    session = current()
    restored = restore(
        repo,
        record,
        session.folder / to,
        remote=remote,
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(restored)
    else:
        print(
            f"{show_path(to)}: {count(restored.code, 'file')} of code, {count(len(restored.data), 'piece')} of data"
        )
        if restored.notebook is not None:
            where = show_path(os.path.join(os.fsencode(to), restored.notebook))
            print(f"{where}: {count(restored.cells, 'cell')} that had run, as a notebook")
        talk(f"it ran: {show_path(' '.join(restored.argv))}")
    if restored.missing:
        rest = "; ".join(f"{show_path(path)} {reason}" for path, reason in restored.missing[:10])
        raise PartialFailure(f"not everything could be had: {rest}")
