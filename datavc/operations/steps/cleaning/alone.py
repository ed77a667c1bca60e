"""Being the only one at work on a cache: for whoever deletes from it without waiting a grace."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from datavc.errors import ConflictError
from datavc.formats.paths import show
from datavc.repo import Repo
from datavc.store import layout


@contextmanager
def alone(repo: Repo, command: str) -> Iterator[list[Repo]]:
    """Keep every writing command out of all worktrees of this clone; yields them, this one first.

    Raises:
        ConflictError: other clones use the cache, and cannot be kept out. Locked: a command is still at work.
    """
    others = _other_clones(repo)
    if others:
        raise ConflictError(
            f"the cache {show(os.fsencode(repo.cache_folder))} is shared with {', '.join(others)}, "
            "and what they are at work on cannot be known",
            f"nothing may be dropped from a shared cache by datavc {command}",
        )
    worktrees = [repo, *(Repo(repo.root, repo.git, place, repo.shared) for place in _other_worktrees(repo))]
    with ExitStack() as locks:
        # In one order, so that two who want all locks do not wait for each other.
        for worktree in sorted(worktrees, key=lambda one: one.private):
            locks.enter_context(worktree.lock(command))
        yield worktrees


def _other_clones(repo: Repo) -> list[str]:
    """Where the other clones are that have noted in the cache that they use it; what cannot be read counts as one."""
    backend = repo.cache.backend
    here = (str(repo.shared), os.uname().nodename)
    found = []
    for file in backend.list(layout.CLONES):
        try:
            note = json.loads(backend.read(file.name))
            place, host = str(note["path"]), str(note["host"])
        except (ValueError, KeyError, TypeError, RecursionError):
            found.append(f"a clone of which {file.name} does not say where it is")
            continue
        if (place, host) != here and not was_here(repo, Path(place), host):
            found.append(f"{show(str(place).encode('utf-8', 'surrogateescape'))} on {host}")
    return sorted(found)


def was_here(repo: Repo, place: Path, host: str) -> bool:
    """Whether that is where this clone itself was, before it was moved: nothing is there, and the cache is its own."""
    is_own = repo.cache_folder == repo.shared / "cache"
    return is_own and host == os.uname().nodename and not os.path.lexists(place)


def _other_worktrees(repo: Repo) -> list[Path]:
    """The private folders of the other worktrees of this clone that datavc has been used in."""
    common = repo.shared.parent
    places = [repo.shared, *(common / "worktrees").glob("*/datavc")]
    return [place for place in places if place != repo.private and place.is_dir()]
