"""Versions and records that are named by their digests, brought from remotes into the cache when they are not there."""

from __future__ import annotations

from collections.abc import Iterable

from datavc.errors import DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import RECORD, find_record
from datavc.operations.steps.transfers.fetching import Fetching
from datavc.operations.steps.transfers.recordtransfer import record_version
from datavc.operations.steps.transfers.sources import Remotes, Sources
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.remote import RemoteStore
from datavc.store.roots import read_root


def obtain(
    repo: Repo, versions: Iterable[Version], remote: str | None, progress: Progress
) -> list[tuple[Version, DatavcError]]:
    """Fetch those of ``versions`` that the cache lacks; which could not be had, and why."""
    failed: list[tuple[Version, DatavcError]] = []
    lacking = [version for version in versions if repo.cache.root(version.digest) is None]
    if not lacking:
        return []
    if not repo.remotes():
        return [(version, NotFoundError(f"{version.digest} is not in the cache")) for version in lacking]
    remotes, threads = Remotes(repo, remote, progress), threads_for(DEFAULT_MEMORY)
    with transfer_threads(threads, remotes.stores) as executor:
        for version in lacking:
            sources = Sources(remotes, version.digest, whole=True)
            try:
                Fetching(
                    repo.cache, version, sources, None, executor, threads=threads, progress=progress
                ).run()
            except DatavcError as error:
                failed.append((version, error))
    return failed


def obtain_record(repo: Repo, text: str, remote: str | None, progress: Progress) -> Digest:
    """The record whose digest begins with ``text``, in the cache or from a remote, with all that it goes back to.

    Raises:
        NotFoundError, UsageError: there is none, or there are several. StorageError, IntegrityError: it could not be had.
    """
    here = find_record(repo, text)
    if here is not None and repo.cache.root(here) is not None:
        return here
    found = {
        root.digest
        for store in (Remotes(repo, remote, progress) if repo.remotes() else ())
        for root in remote_records(store, text)
    }
    if not found:
        raise NotFoundError(f"no record {text} is here or on a remote", "datavc runs")
    if len(found) > 1:
        raise UsageError(f"{text} is ambiguous: {', '.join(sorted(map(str, found)))}", "type more digits")
    digest = found.pop()
    for _, error in obtain(repo, [record_version(digest)], remote, progress):
        raise error
    return digest


def remote_records(store: RemoteStore, text: str = "") -> list[Root]:
    """The roots of records on a remote whose digests begin with ``text``. Raises StorageError."""
    prefix = f"{layout.ROOTS}{store.repo_id}/"
    wanted = prefix + text.replace(":", "-", 1)
    found = []
    for file in store.backend.list(prefix):
        if file.name.startswith(wanted):
            try:
                digest = Digest.parse_file_name(file.name.removeprefix(prefix))
            except DatavcError:
                continue
            root = read_root(store.backend, store.repo_id, digest)
            if (
                root is not None
                and root.kind == RECORD
                and root.complete
                and digest.algorithm == store.algorithm
            ):
                found.append(root)
    return found
