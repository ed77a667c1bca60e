"""Where and as what a dataset is stored, what came of it, and how much room there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datavc.formats.root import Root
from datavc.formats.tree import Entry
from datavc.operations.steps.examine import links_into
from datavc.operations.steps.linking import link_kind
from datavc.operations.steps.notes import current_commit
from datavc.repo import Repo
from datavc.store.cache import Cache
from datavc.workspace.links import LinkKind
from datavc.workspace.statcache import StatCache


@dataclass(slots=True)
class Stored:
    """What storing a dataset came to: bytes and files, ``stored_bytes`` as they lie in the packs."""

    entry: Entry
    root: Root
    new_files: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0
    read_bytes: int = 0


@dataclass(slots=True)
class Place:
    """Where and as what a dataset is stored."""

    cache: Cache
    stat_cache: StatCache
    workspace: bytes
    path: bytes
    commit: str | None
    links_into: bytes | None = None
    link: LinkKind = "copy"
    share_above: int = 1 << 20
    saved: bool = False


def place_of(repo: Repo, path: bytes, *, saved: bool = False) -> Place:
    """The place of the dataset at ``path``; ``saved`` marks unsaved work that is kept aside."""
    return Place(
        repo.cache,
        repo.stat_cache,
        repo.root_bytes,
        path,
        current_commit(repo),
        links_into(repo),
        "copy" if saved else link_kind(repo, path),
        repo.config.share_above,
        saved,
    )


def free_bytes(folder: Path) -> int:
    """What this user may still write on the file system of ``folder``."""
    seen = os.statvfs(folder)
    return seen.f_bavail * seen.f_frsize
