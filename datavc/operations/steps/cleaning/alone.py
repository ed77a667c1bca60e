"""Being the only one at work on a cache: for whoever deletes from it without waiting a grace."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datavc.errors import ConflictError
from datavc.formats.paths import show
from datavc.operations.steps.cleaning.clones import clones_of, is_own_past
from datavc.repo import Repo
from datavc.store.cachelock import to_oneself


@contextmanager
def alone(repo: Repo, command: str) -> Iterator[list[Repo]]:
    """Keep every writing command out of all worktrees of this clone; yields them, this one first.

    Raises:
        ConflictError: other clones use the cache, and cannot be kept out. Locked: a command is still at work.
        StorageError: the file system has no locks.
    """
    others = _other_clones(repo)
    if others:
        raise ConflictError(
            f"the cache {show(os.fsencode(repo.cache_folder))} is shared with {', '.join(others)}, "
            "and what they are at work on cannot be known",
            f"nothing may be dropped from a shared cache by datavc {command}; which clones are gone: datavc cache list",
        )
    with all_worktrees(repo, command) as worktrees:
        yield worktrees


@contextmanager
def all_worktrees(repo: Repo, command: str) -> Iterator[list[Repo]]:
    """As :func:`alone`, also where other clones use the cache: those at work are waited for. Raises Locked."""
    worktrees = [repo, *(Repo(repo.root, repo.git, place, repo.shared) for place in _other_worktrees(repo))]
    with ExitStack() as locks:
        # In one order, so that two who want all locks do not wait for each other.
        for worktree in sorted(worktrees, key=lambda one: one.private):
            locks.enter_context(worktree.lock(command, needed=True))
        # Fetching and recording runs need no worktree, and keep no other command waiting.
        locks.enter_context(to_oneself(repo.cache.folder))
        yield worktrees


def _other_clones(repo: Repo) -> list[str]:
    """The other clones that have noted in the cache that they use it; what cannot be read counts as one."""
    return [
        str(clone) for clone in clones_of(repo) if clone.standing != "this" and not is_own_past(repo, clone)
    ]


def _other_worktrees(repo: Repo) -> list[Path]:
    """The private folders of the other worktrees of this clone that datavc has been used in."""
    common = repo.shared.parent
    places = [repo.shared, *(common / "worktrees").glob("*/datavc")]
    return [place for place in places if place != repo.private and place.is_dir()]
