"""Bringing back removed versions: while their bytes are there, and what has expired only where that is asked for."""

from __future__ import annotations

import os
from dataclasses import replace

from datavc.backends.base import Backend
from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations.steps.cleaning.outcome import GcVersion, version_of
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store.expired import expired_digests, forget_expiry
from datavc.store.garbage import forget_tombstone, removed_roots
from datavc.store.roots import begin_writing, read_root


def expired_before(repo: Repo, backend: Backend, *, dry_run: bool) -> set[Digest]:
    """What expired in an earlier run. What was stored again since has not: its note is forgotten. Raises StorageError."""
    repo_id, expired = repo.config.repo_id, set()
    for digest in expired_digests(backend, repo_id):
        if read_root(backend, repo_id, digest) is None:
            expired.add(digest)
        elif not dry_run:
            forget_expiry(backend, repo_id, digest)
    return expired


def put_back(
    repo: Repo, backend: Backend, wanted: set[Digest] | None, progress: Progress, *, dry_run: bool = False
) -> list[GcVersion]:
    """Put back those removed roots that are ``wanted`` again, or all of them; what is gone already stays so.

    Raises:
        MalformedError: what is noted of them cannot be read. StorageError.
    """
    restored = []
    for id_, removed in removed_roots(backend).items():
        # What says that it is under way stays: by it, writers know that a root which is there may still be deleted.
        lost = removed.under_way
        for root in removed.roots:
            is_theirs = root.repo != repo.config.repo_id
            if is_theirs or (wanted is not None and root.digest not in wanted):
                lost = True
                continue
            there = read_root(backend, root.repo, root.digest)
            if (there is not None and there.complete) or dry_run:
                continue
            try:
                begin_writing(backend, repo.algorithm).publish(_renewed(root))
            except DatavcError as error:
                progress.note(f"warning: {root.digest.short} is not brought back: {error.message}")
                lost = True
                continue
            forget_expiry(backend, root.repo, root.digest)
            restored.append(version_of(root))
        if not lost and not dry_run:
            forget_tombstone(backend, id_)
    return restored


def _renewed(root: Root) -> Root:
    return replace(root, nonce=os.urandom(8).hex())
