"""Which ignore rules hold for a dataset: the ``.datavcignore`` files of the folders above it, out of the repo."""

from __future__ import annotations

from datavc.repo import Repo
from datavc.workspace.ignore import IgnoreRules

IGNORE_NAME = ".datavcignore"


def ignore_rules(repo: Repo, path: bytes) -> IgnoreRules | None:
    """The rules for the dataset at ``path``; None where there are none. Inside a dataset such a file is data."""
    texts: dict[bytes, bytes] = {}
    folder = b""
    for part in (b"", *path.split(b"/")[:-1]):
        folder = folder + b"/" + part if folder else part
        file = repo.absolute(folder) / IGNORE_NAME
        try:
            texts[folder] = file.read_bytes()
        except OSError:
            continue
    return IgnoreRules(texts) if texts else None
