"""``fetch``: get versions of datasets from remotes into the cache. The workspace stays as it is."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from itertools import chain

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations.steps.naming.chosen import (
    WORKSPACE,
    Revisions,
    Version,
    chosen_versions,
    earlier_versions,
)
from datavc.operations.steps.transfers.fetching import Fetching
from datavc.operations.steps.transfers.recordtransfer import record_version
from datavc.operations.steps.transfers.remotenotes import suspect
from datavc.operations.steps.transfers.sources import Remotes, Sources
from datavc.operations.steps.transfers.transfer import (
    DEFAULT_MEMORY,
    Traffic,
    threads_for,
    traffic_of,
    transfer_threads,
)
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.cachelock import relied_on


@dataclass(frozen=True, slots=True)
class FetchedDataset:
    """What became of one version, or of the sub-paths ``parts`` of it.

    ``outcome`` is ``here`` (it was), ``fetched``, ``to fetch`` (a dry run) or ``failed``, with the reason in ``message``;
    ``objects`` are files and folders that the cache lacked, ``size`` their bytes as they are stored.
    """

    path: bytes
    digest: Digest
    outcome: str
    objects: int = 0
    size: int = 0
    parts: list[bytes] | None = None
    message: str | None = None
    hint: str | None = None


@dataclass(slots=True)
class FetchResult:
    """One row per version, and what was asked of remotes."""

    datasets: list[FetchedDataset] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def failed(self) -> list[FetchedDataset]:
        """What could not be fetched."""
        return [row for row in self.datasets if row.outcome == "failed"]


def fetch(
    repo: Repo,
    paths: list[bytes],
    *,
    remote: str | None = None,
    revisions: Revisions = WORKSPACE,
    trees_only: bool = False,
    dry_run: bool = False,
    memory: int = DEFAULT_MEMORY,
    progress: Progress = SILENT,
) -> FetchResult:
    """Make the cache have what the pointers of ``paths`` say (datasets, or sub-paths of them; all without paths).

    Without a ``remote``, what the default one lacks is asked of the others. ``trees_only`` leaves files away. ``memory`` in
    bytes bounds what is held at once. What fails is in the result; if nothing else was done, it is raised.

    Raises:
        UsageError, NotFoundError: there is no such remote, dataset, sub-path or revision.
        ObjectNotFound: no remote has it, DigestMismatch: or only damaged.
        StorageError, OutOfSpace: a remote or the cache failed. Locked: somebody is deleting from the cache.
    """
    versions = chosen_versions(repo, paths, revisions)
    remotes = Remotes(repo, remote, progress)
    run = _Run(repo, remotes, threads=threads_for(memory), progress=progress)
    result = FetchResult()
    with (
        relied_on(repo.cache.folder),
        transfer_threads(threads_for(memory), remotes.stores) as executor,
    ):
        for record in dict.fromkeys(version.record for version in versions):
            if record is not None and record.algorithm == repo.algorithm and not dry_run:
                run.fetch_record(record, executor)
        for version in versions:
            result.datasets.append(run.fetch(version, executor, trees_only=trees_only, dry_run=dry_run))
    result.traffic = traffic_of(remotes.stores)
    if run.first_error is not None and len(result.failed) == len(result.datasets):
        raise run.first_error
    return result


class _Run:
    """One fetch of several versions."""

    def __init__(self, repo: Repo, remotes: Remotes, *, threads: int, progress: Progress) -> None:
        self._repo = repo
        self._remotes = remotes
        self._threads = threads
        self._progress = progress
        self._fetched: dict[bytes, Digest] = {}
        self.first_error: DatavcError | None = None

    def fetch(
        self, version: Version, executor: Executor, *, trees_only: bool, dry_run: bool
    ) -> FetchedDataset:
        """Fetch one version, unless its root says that it is here."""
        parts = list(version.parts) if version.parts is not None else None
        row = FetchedDataset(version.path, version.digest, "here", parts=parts)
        if self._repo.cache.root(version.digest) is not None:
            self._fetched[version.path] = version.digest
            return row
        sources = Sources(
            self._remotes,
            version.digest,
            whole=parts is None and not trees_only,
            neighbours=lambda: earlier_versions(self._repo, version),
        )
        try:
            done = Fetching(
                self._repo.cache,
                version,
                sources,
                self._base(version),
                executor,
                threads=self._threads,
                progress=self._progress,
            ).run(trees_only=trees_only, dry_run=dry_run)
        except DatavcError as error:
            self.first_error = self.first_error or error
            return replace(row, outcome="failed", message=error.message, hint=error.hint)
        finally:
            for store, packs in sources.suspects().items():
                suspect(self._repo, store, version.path, packs)
        if parts is None and not trees_only and not dry_run:
            self._fetched[version.path] = version.digest
        outcome = "to fetch" if dry_run else "fetched"
        return replace(row, outcome=outcome if done.objects else "here", objects=done.objects, size=done.size)

    def fetch_record(self, record: Digest, executor: Executor) -> bool:
        """Fetch a record and all that it goes back to. Whether it is here now; if not, that is said, and no error."""
        cache = self._repo.cache
        if cache.root(record) is not None:
            return True
        sources = Sources(self._remotes, record, whole=True)
        try:
            Fetching(
                cache,
                record_version(record),
                sources,
                None,
                executor,
                threads=self._threads,
                progress=self._progress,
            ).run()
        except (DatavcError, RecursionError) as error:
            self._progress.note(f"warning: how some data was made is not known here: {error}")
            return False
        return True

    def _base(self, version: Version) -> Root | None:
        """The root of the nearest earlier version of which everything is here."""
        fetched = self._fetched.get(version.path)
        for digest in chain([fetched] if fetched else (), earlier_versions(self._repo, version)):
            root = self._repo.cache.root(digest)
            if root is not None:
                return root
        return None
