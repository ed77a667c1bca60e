"""After a checkout of a revision: .gitignore files that have the lines of the revision's get their order too.

Lines are taken out and put at the end one by one, which leaves them in another order than they were committed in; git would
show that as a change. Files in which the user has other lines keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable

from datavc.durable import write_durably
from datavc.repo import Repo


def settle_ignore_lines(repo: Repo, commit: str, datasets: Iterable[bytes]) -> None:
    """Give the .gitignore files beside these datasets the bytes that ``commit`` has, where only the order differs.

    Raises:
        StorageError: one cannot be written.
    """
    if repo.git is None:
        return
    from datavc.git.ignorefile import ignore_file
    from datavc.git.linefile import lines_of
    from datavc.git.pointerlog import blobs_at

    paths = sorted({ignore_file(path) for path in datasets})
    for path, wanted in zip(paths, blobs_at(repo.git, [(commit, path) for path in paths]), strict=True):
        file = repo.absolute(path)
        if wanted is None or file.is_symlink() or not file.is_file():
            continue
        here = file.read_bytes()
        if here != wanted and sorted(lines_of(here)) == sorted(lines_of(wanted)):
            write_durably(file, wanted)
