"""``fsck --repair``: put aside what is damaged in the cache, and get it again from the workspace and from remotes.

Nothing is deleted. Order: what is sound in damaged packs is stored anew and the rest put into ``quarantine/``; what files of
unchanged datasets have is stored again; what is still missing is fetched; roots are written for what is whole again.
Killed anywhere, the same command goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.operations.add import add
from datavc.operations.fsck import FsckResult, fsck
from datavc.operations.steps.examining.examine import examine
from datavc.operations.steps.naming.chosen import Version, earlier_versions
from datavc.operations.steps.transfers.fetching import Fetching
from datavc.operations.steps.transfers.sources import Remotes, Sources
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.checklog import ANEW
from datavc.store.mending import Mender


@dataclass(frozen=True, slots=True)
class RepairedVersion:
    """A version that was not wholly here. ``failed`` says why it is not now either."""

    path: bytes
    digest: Digest
    failed: str | None = None


@dataclass(slots=True)
class RepairResult:
    """What was found wrong ``before``, what became of the versions that were not whole, and what is wrong ``after``."""

    before: FsckResult
    after: FsckResult
    versions: list[RepairedVersion] = field(default_factory=list)


def repair(repo: Repo, *, jobs: int = 1, progress: Progress = SILENT) -> RepairResult:
    """Mend the cache as far as the workspace and the remotes have what it lacks.

    Raises:
        StorageError: the cache cannot be read or written. Locked: another command is at work.
    """
    before = fsck(repo, rule=ANEW, jobs=jobs, progress=progress)
    if not before.problems:
        return RepairResult(before, before)
    # A root that was valid says what must be here; once its indexes are replaced it proves nothing.
    promised = _promised(repo)
    mender = Mender(repo.cache, progress.note)
    with repo.lock("fsck --repair"):
        mender.mend(None)
    _take_from_workspace(repo, jobs, progress)
    versions = _fetch(repo, [version for version in promised if _is_short(repo, version)], progress)
    with repo.lock("fsck --repair"):
        mender.finish()
    return RepairResult(before, fsck(repo, rule=ANEW, jobs=jobs, progress=progress), versions)


def _promised(repo: Repo) -> list[Version]:
    """The versions that roots or pointers name."""
    found: dict[Digest, Version] = {}
    for _, root in repo.cache.roots():
        if (
            root is not None
            and root.complete
            and root.kind != "record"
            and root.digest.algorithm == repo.algorithm
        ):
            found[root.digest] = Version(
                root.path, root.digest, root.kind, root.size, root.files, root.commit
            )
    for dataset in repo.datasets():
        pointer = dataset.pointer
        found.setdefault(
            dataset.digest,
            Version(dataset.path, dataset.digest, pointer.kind, pointer.size, pointer.files, None),
        )
    return list(found.values())


def _is_short(repo: Repo, version: Version) -> bool:
    return repo.cache.root(version.digest) is None


def _take_from_workspace(repo: Repo, jobs: int, progress: Progress) -> None:
    """Store the files of unchanged datasets again; those of others would make another version of them."""
    for dataset in repo.datasets():
        try:
            view = examine(repo, dataset.path, dataset.pointer, jobs=jobs, progress=progress, rehash=True)
            if view.standing == "clean" and view.scan.exists:
                add(
                    repo,
                    [os.path.join(repo.root_bytes, dataset.path)],
                    rehash=True,
                    jobs=jobs,
                    progress=progress,
                )
        except DatavcError as error:
            progress.note(f"warning: nothing was taken from {show(dataset.path)}: {error.message}")


def _fetch(repo: Repo, versions: list[Version], progress: Progress) -> list[RepairedVersion]:
    """What of these versions is not here, from whichever remote has it; and a root for each that is whole then."""
    done = []
    remotes = Remotes(repo, None, progress)
    threads = threads_for(DEFAULT_MEMORY)
    with transfer_threads(threads, remotes.stores) as executor:
        for version in versions:
            neighbours = partial(earlier_versions, repo, version)
            sources = Sources(remotes, version.digest, whole=False, neighbours=neighbours)
            failed = None
            try:
                fetching = Fetching(
                    repo.cache, version, sources, None, executor, threads=threads, progress=progress
                )
                fetching.run()
            except DatavcError as error:
                failed = error.message
            done.append(RepairedVersion(version.path, version.digest, failed))
    return done
