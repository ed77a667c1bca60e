"""``remote status``: which versions, of those that the workspace's pointers name, are complete on which remote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from datavc.errors import DatavcError, NotFoundError
from datavc.formats.digest import Digest
from datavc.operations.selection import select
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.repo import Dataset, Repo

_THREADS = 4


@dataclass(frozen=True, slots=True)
class RemoteStanding:
    """A version on a remote. ``outcome`` is ``complete`` (``since`` when), ``not there`` or ``failed`` (``message``)."""

    remote: str
    path: bytes
    digest: Digest
    outcome: str
    since: str | None = None
    message: str | None = None
    hint: str | None = None


def remote_status(repo: Repo, paths: list[bytes], *, remote: str | None = None) -> list[RemoteStanding]:
    """How the datasets that ``paths`` name, hold or lie in stand on one remote, or on all: one request for each.

    A root is believed; ``push --check`` asks for every pack.

    Raises:
        UsageError: there is no such remote. NotFoundError: a path has nothing to do with any dataset.
    """
    names = [repo.remote(remote).name] if remote is not None else [known.name for known in repo.remotes()]
    if not names:
        repo.remote(None)
    datasets = [item.dataset for item in select(repo, paths)]
    rows: list[RemoteStanding] = []
    for name in names:
        rows += _on_one(repo, name, datasets)
    return rows


def _on_one(repo: Repo, name: str, datasets: list[Dataset]) -> list[RemoteStanding]:
    try:
        store = open_remote(repo, name)
    except NotFoundError:
        # A folder that nobody has written to yet is an empty store.
        return [RemoteStanding(name, found.path, found.digest, "not there") for found in datasets]
    except DatavcError as error:
        return [_failed(name, found, error) for found in datasets]

    def ask(found: Dataset) -> RemoteStanding:
        try:
            root = store.root(found.digest)
        except DatavcError as error:
            return _failed(name, found, error)
        if root is None:
            return RemoteStanding(name, found.path, found.digest, "not there")
        return RemoteStanding(name, found.path, found.digest, "complete", root.when)

    try:
        with ThreadPoolExecutor(_THREADS) as executor:
            return list(executor.map(ask, datasets))
    finally:
        store.backend.close()


def _failed(name: str, found: Dataset, error: DatavcError) -> RemoteStanding:
    return RemoteStanding(name, found.path, found.digest, "failed", None, error.message, error.hint)
