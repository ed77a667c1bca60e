"""``datavc unprotect``."""

from __future__ import annotations

from datavc.cli.options import SomePaths
from datavc.cli.render import talk
from datavc.cli.session import current
from datavc.formats.amounts import count


def unprotect(paths: SomePaths) -> None:
    """Make linked files safe to edit in place

    Replaces hard links and symbolic links into the cache by copies that are yours to change.

    Examples:
      datavc unprotect data/train/labels.csv

    Exit codes: 0 done, 1 failed, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.unprotect import unprotect as make_own
    from datavc.repo import Repo

    session = current()
    result = make_own(Repo.find(session.folder), session.absolutes(paths))
    talk(f"{count(len(result.files), 'file')} made writable")
