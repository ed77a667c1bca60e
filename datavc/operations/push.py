"""``push``: send versions of datasets from the cache to a remote, and last of all the roots that say so.

Order (design section 4): packs, pack indexes, root; each only when what it names was seen there. A version whose root is
there costs one request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from datavc.errors import ConflictError, DatavcError, StorageError, UsageError
from datavc.formats.amounts import human_size
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.root import Root
from datavc.operations.steps.examining.examine import examine
from datavc.operations.steps.naming.chosen import WORKSPACE, Revisions, Version, chosen_versions
from datavc.operations.steps.naming.notes import uncommitted_pointers
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.transfers.pushing import Pushed, Pushing
from datavc.operations.steps.transfers.recordtransfer import absent_records, records_to_push
from datavc.operations.steps.transfers.remotenotes import RemoteNotes, read_notes, suspect, write_notes
from datavc.operations.steps.transfers.transfer import (
    DEFAULT_MEMORY,
    Traffic,
    threads_for,
    traffic_of,
    transfer_threads,
)
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.remote import RemoteStore
from datavc.store.tombstones import GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class PushedDataset:
    """What became of one version.

    ``outcome`` is ``complete`` (it was there), ``sent``, ``to send`` (a dry run) or ``failed``, with the reason in
    ``message``; ``since`` is when its root was written; ``size`` in bytes as they are stored.
    """

    path: bytes
    digest: Digest
    outcome: str
    since: str | None = None
    objects: int = 0
    packs: int = 0
    size: int = 0
    message: str | None = None
    hint: str | None = None


@dataclass(slots=True)
class PushResult:
    """One row per version, what was asked of the ``remote``, and what the user should know besides.

    ``records`` has a row for each record that the remote did not have.
    """

    remote: str
    datasets: list[PushedDataset] = field(default_factory=list)
    records: list[PushedDataset] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def failed(self) -> list[PushedDataset]:
        """What could not be pushed."""
        return [row for row in self.datasets if row.outcome == "failed"]


def push(
    repo: Repo,
    paths: list[bytes],
    *,
    remote: str | None = None,
    revisions: Revisions = WORKSPACE,
    check: bool = False,
    read: bool = False,
    dry_run: bool = False,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> PushResult:
    """Make the remote have all of the datasets that ``paths`` name (all without paths), as their pointers say.

    ``revisions`` takes the pointers at git revisions instead of the workspace's. ``check`` asks for every pack of what is
    said to be there; ``read`` reads and hashes them all, too. ``memory`` in bytes bounds what is held at once. What fails is
    in the result; if nothing else was done, it is raised.

    Raises:
        UsageError, NotFoundError: there is no such remote, dataset or revision.
        ObjectNotFound, IntegrityError: the cache lacks something, or is damaged.
        StorageError: the remote failed or refused.
    """
    versions = chosen_versions(repo, paths, revisions)
    for version in versions:
        if version.parts is not None:
            raise UsageError("a push sends whole datasets", f"datavc push {repo.typed(version.path)}")
    store = open_remote(repo, remote, create=not dry_run)
    result = PushResult(store.name)
    if not revisions:
        result.warnings = _warnings(repo, versions, jobs=jobs, progress=progress)
        for warning in result.warnings:
            progress.note(f"warning: {warning}")
    threads = threads_for(memory)
    with transfer_threads(threads, [store]) as executor:
        pushing = Pushing(repo, store, executor, threads=threads, progress=progress, read_all=read)
        run = _Run(repo, store, pushing, check=check or read, dry_run=dry_run)
        # Before the first write looks into the trash: what is not there now, gc may be removing still.
        roots = list(executor.map(store.root, [version.digest for version in versions]))
        for record in absent_records(
            store, records_to_push(repo, versions, everything=not paths and not revisions)
        ):
            result.records.append(run.push(record, None))
            if result.records[-1].message:
                progress.note(f"warning: {result.records[-1].message}")
        for version, root in zip(versions, roots, strict=True):
            result.datasets.append(run.push(version, root))
    if not dry_run:
        run.remember()
        _drop_pushed(repo, result, progress)
    result.traffic = traffic_of([store])
    if run.first_error is not None and len(result.failed) == len(result.datasets):
        raise run.first_error
    return result


def _drop_pushed(repo: Repo, result: PushResult, progress: Progress) -> None:
    """Where only what is not pushed shall be kept in the cache: what the remote is seen to hold goes."""
    if repo.config.get("cache.keep") != "unpushed":
        return
    from datavc.operations.evict import evict

    try:
        gone = evict(repo, [], remote=result.remote, progress=progress)
    except DatavcError as error:
        progress.note(f"warning: nothing was dropped from the cache: {error.message}")
        return
    if gone.dropped:
        progress.note(f"{human_size(gone.freed_bytes)} dropped from the cache, as cache.keep = unpushed says")


class _Run:
    """One push of several versions to one remote."""

    def __init__(
        self, repo: Repo, store: RemoteStore, pushing: Pushing, *, check: bool, dry_run: bool
    ) -> None:
        self._repo = repo
        self._store = store
        self._pushing = pushing
        self._check = check
        self._dry_run = dry_run
        self._notes = read_notes(repo, store.name)
        self._sound: set[bytes] = set()
        self._unsound: set[bytes] = set()
        self.first_error: DatavcError | None = None
        self._given_up: str | None = None

    def push(self, version: Version, root: Root | None) -> PushedDataset:
        """Push one version, unless its ``root`` is there. A remote that fails is not asked for the others."""
        suspects = self._notes.suspects.get(version.path)
        if suspects is None and self._check:
            suspects = set()
        if root is not None and suspects is None and (self._dry_run or not _is_old(root)):
            self._pushing.done(version)
            return PushedDataset(version.path, version.digest, "complete", root.when)
        if self._given_up is not None:
            return PushedDataset(version.path, version.digest, "failed", message=self._given_up)
        try:
            if root is not None and suspects is None:
                # Whoever collects garbage there may know nothing of this version, and goes by the age of roots.
                root = self._store.renew(version.digest)
                if root is not None:
                    self._pushing.done(version)
                    return PushedDataset(version.path, version.digest, "complete", root.when)
            pushed = self._send(version, root, suspects)
        except DatavcError as error:
            self.first_error = self.first_error or error
            self._unsound.add(version.path)
            if isinstance(error, ConflictError):
                # Its root may be there, and name what was just deleted: the next push believes nothing.
                suspect(self._repo, self._store.name, version.path, ())
                self._notes = read_notes(self._repo, self._store.name)
            if isinstance(error, StorageError):
                self._given_up = f"not tried, because {self._store.describe()} failed"
            return PushedDataset(
                version.path, version.digest, "failed", message=error.message, hint=error.hint
            )
        if not self._dry_run:
            self._pushing.done(version)
            self._sound.add(version.path)
        outcome = "complete" if pushed.was_there else "to send" if self._dry_run else "sent"
        since = pushed.root.when if pushed.root is not None else None
        return PushedDataset(
            version.path, version.digest, outcome, since, pushed.objects, pushed.packs, pushed.size
        )

    def _send(self, version: Version, root: Root | None, suspects: set[bytes] | None) -> Pushed:
        """Send what is missing; a ``root`` that turns out to be sound is renewed where it is old."""
        bandwidth, dry_run = self._notes.bandwidth, self._dry_run
        pushed = self._pushing.push(version, root, suspects, bandwidth, dry_run=dry_run)
        if root is None or not pushed.was_there or dry_run or not _is_old(root):
            return pushed
        renewed = self._store.renew(version.digest)
        return Pushed(renewed, was_there=True) if renewed is not None else self._send(version, None, suspects)

    def remember(self) -> None:
        """Keep what was learned of the remote for the next push."""
        proved = self._sound - self._unsound
        kept = {path: packs for path, packs in self._notes.suspects.items() if path not in proved}
        known = RemoteNotes(self._notes.bandwidth, kept)
        # The length of packs hangs on it: one that was interrupted must make the same packs again.
        if self.first_error is None and self._pushing.bandwidth is not None:
            known.bandwidth = self._pushing.bandwidth
        if known != self._notes:
            write_notes(self._repo, self._store.name, known)


def _is_old(root: Root) -> bool:
    """Whether a root is older than half of the grace that gc gives to what it does not know."""
    age = time.time() - datetime.fromisoformat(root.when).timestamp()
    return age > GRACE_SECONDS / 2


def _warnings(repo: Repo, versions: list[Version], *, jobs: int, progress: Progress) -> list[str]:
    """What is not going to be pushed, although the user may think so."""
    warnings = []
    uncommitted = uncommitted_pointers(repo)
    for version in versions:
        path = show(version.path)
        if _is_modified(repo, version, jobs=jobs, progress=progress):
            warnings.append(
                f"{path} was changed since it was added; what is pushed is what its pointer says "
                f"(datavc add {repo.typed(version.path)})"
            )
        if version.path in uncommitted:
            warnings.append(
                f"the pointer of {path} is not committed, so nobody who clones will see what is pushed"
            )
    return warnings


def _is_modified(repo: Repo, version: Version, *, jobs: int, progress: Progress) -> bool:
    """Whether the workspace has what the pointer does not say. What cannot be looked at hinders no push."""
    try:
        view = examine(repo, version.path, repo.read_pointer(version.path), jobs=jobs, progress=progress)
    except DatavcError as error:
        progress.note(f"warning: {show(version.path)} cannot be looked at: {error.message}")
        return False
    return view.standing in ("modified", "diverged")
