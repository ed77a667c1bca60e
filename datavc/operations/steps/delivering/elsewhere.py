"""Another folder than the workspace, as a repo in which nothing is recorded: for ``checkout --to``.

It shares the cache. What has to be remembered meanwhile lies beside the workspace state under a name that is made of the
folder's, so that the same command finishes what was interrupted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from datavc.durable import storage_errors
from datavc.errors import ConflictError, UsageError
from datavc.repo import Repo


@contextmanager
def elsewhere(repo: Repo, folder: Path, *, dry_run: bool = False) -> Iterator[Repo]:
    """A repo without git at ``folder``, which is made; its notes are gone once the block has ended well.

    Raises:
        ConflictError: there is something at ``folder`` that is no folder. UsageError: it is the workspace, or git's.
        StorageError: it cannot be made.
    """
    root = folder.resolve()
    if root == repo.root or root.is_relative_to(repo.private) or root.is_relative_to(repo.shared):
        raise UsageError(f"{folder} is not another folder", "choose one: --to DIR")
    if os.path.lexists(root) and not root.is_dir():
        raise ConflictError(f"{folder} is there, and is no folder", "choose another: --to DIR")
    made = not root.exists()
    private = repo.private / "elsewhere" / xxhash.xxh3_64_hexdigest(os.fsencode(root))
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        private.mkdir(parents=True, exist_ok=True)
    place = Repo(root, None, private, repo.shared)
    place.here = repo.here
    # Links into the cache belong into a workspace, where commands know of them.
    local = {"cache.dir": str(repo.cache_folder), "cache.link": ["reflink", "copy"]}
    place.__dict__["config"] = repo.config.overlaid("local", local)
    place.__dict__["cache"] = repo.cache
    with place.lock("checkout --to"):
        yield place
    shutil.rmtree(private, ignore_errors=True)
    if dry_run and made:
        os.rmdir(root)
