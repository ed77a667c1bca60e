"""Where and as what a dataset is stored, what came of it, and how much room there is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datavc.errors import OutOfSpace
from datavc.formats.root import Root
from datavc.formats.tree import Entry
from datavc.operations.steps.examining.examine import links_into
from datavc.operations.steps.naming.notes import current_commit
from datavc.operations.steps.storing.linking import link_kind
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


def require_free_files(folder: Path, needed: int) -> None:
    """Refuse to make more files and folders than the file system of ``folder`` says that it has room for.

    Raises:
        OutOfSpace: it has not.
    """
    if needed <= 0:
        return
    seen = os.statvfs(folder)
    # Btrfs, FAT and others make room as they go, and say 0.
    if seen.f_files and needed > seen.f_favail:
        raise OutOfSpace(
            f"the checkout makes {needed:,} files and folders, and the file system of {folder} has room for "
            f"{seen.f_favail:,} (df -i); nothing was touched",
            "remove files there, or check out a part: datavc checkout DATASET/SUB",
        )
