"""``cat``: the content of one file of a dataset, out of the cache, or fetched for it."""

from __future__ import annotations

from typing import BinaryIO

from datavc.errors import ObjectNotFound, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER
from datavc.operations.listing import find_digest, find_entry
from datavc.operations.steps.transfers.afar import looking_afar, obtain_file
from datavc.operations.steps.trees.expiry import expired
from datavc.progress import SILENT, Progress
from datavc.repo import Dataset, Repo


def cat(
    repo: Repo,
    path: bytes | None,
    out: BinaryIO,
    *,
    digest: str | None = None,
    among: list[Dataset] | None = None,
    offline: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Write what the pointer has at the absolute ``path`` to ``out``; each piece is verified before it is written.

    ``among`` are the datasets of a revision that stand in place of the workspace's. What is not here is
    fetched, the one file alone, unless ``offline``.

    Raises:
        NotFoundError: there is no such path. UsageError: it is a folder.
        ObjectNotFound, DigestMismatch: its bytes cannot be had, or are damaged.
    """
    inner = b""
    with looking_afar(repo, offline=offline, progress=progress):
        if digest is not None:
            trees, entry = find_digest(repo, digest)
            version = Digest(repo.algorithm, trees.top)
        else:
            assert path is not None
            dataset, _, inner, entry = find_entry(repo, path, among)
            version = dataset.digest
    if entry.kind == FOLDER:
        shown = show(repo.relative(path)) if path is not None else str(digest)
        typed = repo.typed(repo.relative(path)) if path is not None else str(digest)
        raise UsageError(f"{shown} is a folder", f"datavc ls {typed}")
    pieces = repo.cache.reader(version).stream(entry.digest)
    try:
        first = next(pieces, b"")
    except ObjectNotFound as error:
        if offline or path is None or not obtain_file(repo, version, inner, progress):
            raise expired([repo.cache.backend], repo.config.repo_id, version) or error from None
        pieces = repo.cache.reader(version).stream(entry.digest)
        first = next(pieces, b"")
    out.write(first)
    for piece in pieces:
        out.write(piece)
