"""Which ignore rules hold for a dataset: the ``.datavcignore`` files of the folders above it, as git tracks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.repo import Repo

if TYPE_CHECKING:
    from datavc.workspace.ignore import IgnoreRules

IGNORE_NAME = b".datavcignore"


def ignore_rules(repo: Repo, path: bytes) -> IgnoreRules | None:
    """The rules for the dataset at ``path``; None where there are none. Inside a dataset such a file is data.

    In a git repository only files that git tracks count, so that every clone records the same.
    """
    texts: dict[bytes, bytes] = {}
    folder = b""
    for part in (b"", *path.split(b"/")[:-1]):
        folder = (folder + b"/" if folder else b"") + part
        try:
            texts[folder] = (repo.absolute(folder) / IGNORE_NAME.decode()).read_bytes()
        except OSError:
            continue
    if texts and repo.git is not None:
        from datavc.git.pointers import tracked_below

        names = {(folder + b"/" if folder else b"") + IGNORE_NAME: folder for folder in texts}
        tracked = set(tracked_below(repo.git, names))
        texts = {folder: texts[folder] for name, folder in names.items() if name in tracked}
    if not texts:
        return None
    from datavc.workspace.ignore import IgnoreRules

    return IgnoreRules(texts).for_dataset(path)
