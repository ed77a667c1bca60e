"""``cache list``: which clones use the cache, so that gc keeps what they need."""

from __future__ import annotations

from datavc.operations.steps.cleaning.clones import Clone, clones_of
from datavc.repo import Repo


def cache_list(repo: Repo) -> list[Clone]:
    """Every clone that has noted in the cache that it uses it, this one first. Raises StorageError."""
    return clones_of(repo)
