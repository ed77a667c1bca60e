"""Opening remotes by name."""

from __future__ import annotations

from datavc.backends.opening import open_backend
from datavc.errors import UsageError
from datavc.repo import Repo
from datavc.store.remote import RemoteStore


def open_remote(repo: Repo, name: str | None, *, create: bool = False) -> RemoteStore:
    """The remote called ``name``, or the default one; ``create`` makes a folder that is not there yet.

    Raises:
        UsageError: there is no such remote.
        NotFoundError, StorageError: it cannot be opened.
    """
    chosen = name or repo.config.get("remote.default")
    url = repo.config.get(f"remote.{chosen}.url") if chosen else None
    if not url:
        raise UsageError(
            f"there is no remote {chosen}" if chosen else "there is no remote", "datavc remote add NAME URL"
        )
    if "://" not in str(url):
        url = str((repo.root / str(url)).resolve())
    return RemoteStore(
        str(chosen), open_backend(str(url), create=create), repo.config.repo_id, repo.algorithm
    )
