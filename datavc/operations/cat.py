"""``cat``: the content of one file of a dataset, out of the cache."""

from __future__ import annotations

from typing import BinaryIO

from datavc.errors import UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER
from datavc.operations.listing import find_digest, find_entry
from datavc.repo import Repo


def cat(repo: Repo, path: bytes | None, out: BinaryIO, *, digest: str | None = None) -> None:
    """Write what the pointer has at the absolute ``path`` to ``out``; each piece is verified before it is written.

    Raises:
        NotFoundError: there is no such path. UsageError: it is a folder.
        ObjectNotFound, DigestMismatch: its bytes are not in the cache, or damaged.
    """
    if digest is not None:
        trees, entry = find_digest(repo, digest)
        version = Digest(repo.algorithm, trees.top)
    else:
        assert path is not None
        dataset, _, _, entry = find_entry(repo, path)
        version = dataset.digest
    if entry.kind == FOLDER:
        shown = show(repo.relative(path)) if path is not None else str(digest)
        typed = repo.typed(repo.relative(path)) if path is not None else str(digest)
        raise UsageError(f"{shown} is a folder", f"datavc ls {typed}")
    for piece in repo.cache.reader(version).stream(entry.digest):
        out.write(piece)
