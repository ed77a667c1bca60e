"""``fsck --repair``: put aside what is damaged in the cache, and get it again from wherever it still is.

Nothing is deleted. Order: what is sound in damaged packs is stored anew and the rest put into ``quarantine/``; what files of
unchanged datasets have is stored again, then what single files of the workspace and other clones' caches have; what is still
missing is fetched; roots are written for what is whole again. Killed anywhere, the same command goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from datavc.errors import DatavcError, MalformedError
from datavc.formats.amounts import count
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.operations.add import add
from datavc.operations.fsck import FsckResult, fsck
from datavc.operations.steps.examining.examine import examine
from datavc.operations.steps.health.databases import set_aside_databases
from datavc.operations.steps.health.named import Records, named_by_pointers
from datavc.operations.steps.health.salvaging import Salvage, flaws_now, other_caches
from datavc.operations.steps.naming.chosen import Version, earlier_versions
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.transfers.fetching import Fetching
from datavc.operations.steps.transfers.recordtransfer import record_version
from datavc.operations.steps.transfers.sources import Remotes, Sources
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.checklog import ANEW
from datavc.store.mending import Mender
from datavc.store.note import STORE_FORMAT
from datavc.store.upgrading import upgrade_store


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


def repair(
    repo: Repo, *, others: Iterable[Path] = (), jobs: int = 1, progress: Progress = SILENT
) -> RepairResult:
    """Mend the cache as far as the workspace, caches of other clones and the remotes have what it lacks.

    ``others`` are folders of other caches, or in other clones; those that are noted in this cache are looked at anyway.

    Raises:
        NotFoundError: one of ``others`` is none. Locked: another command is at work.
        StorageError: the cache cannot be read or written.
    """
    caches = other_caches(repo, others, progress)
    set_aside_databases(repo, progress)
    before = fsck(repo, rule=ANEW, jobs=jobs, progress=progress)
    if not before.problems:
        return RepairResult(before, _upgraded(repo, before, jobs, progress))
    # A root that was valid says what must be here; once its indexes are replaced it proves nothing.
    promised = _promised(repo)
    mender = Mender(repo.cache, progress.note)
    with repo.lock("fsck --repair"):
        mender.mend(None)
    _take_from_workspace(repo, jobs, progress)
    salvage = Salvage(repo, progress)
    with repo.lock("fsck --repair"):
        try:
            salvage.from_workspace(promised)
        except DatavcError as error:
            progress.note(f"warning: not all was taken from the workspace: {error.message}")
        for other in caches:
            try:
                salvage.from_cache(other, promised)
            except DatavcError as error:
                progress.note(f"warning: not all was taken from {other.folder}: {error.message}")
    versions = _fetch(repo, _short(repo, promised), progress)
    with repo.lock("fsck --repair"):
        mender.finish()
    after = fsck(repo, rule=ANEW, jobs=jobs, progress=progress)
    return RepairResult(before, _upgraded(repo, after, jobs, progress), versions)


def _upgraded(repo: Repo, found: FsckResult, jobs: int, progress: Progress) -> FsckResult:
    """A sound cache of an earlier format is written anew in the present one, and the workspace states. Else ``found``."""
    backend = repo.cache.backend
    if found.format == STORE_FORMAT:
        return found
    if any(problem.kind != "pointer" for problem in found.problems):
        progress.note(f"the cache stays of format {found.format}, which is read for ever, until it is whole")
        return found
    with (
        repo.lock("fsck --repair"),
        transfer_threads(threads_for(DEFAULT_MEMORY), ()) as executor,
        repo.cache.scratch() as scratch,
    ):
        packs = upgrade_store(backend, scratch, executor, progress=progress)
        for state in repo.states():
            repo.write_state(state)
    backend.close()
    progress.note(
        f"the cache was of format {found.format} and is of format {STORE_FORMAT} now; "
        f"{count(packs, 'pack')} of the old format {'is' if packs == 1 else 'are'} left to datavc gc"
    )
    return fsck(repo, rule=ANEW, jobs=jobs, progress=progress)


def _promised(repo: Repo) -> list[Version]:
    """The records, and behind them the versions, that roots or pointers name; of an unreadable root its name tells."""
    named = named_by_pointers(repo)
    found: dict[Digest, Version] = {}
    unreadable = set()
    for name, root in repo.cache.roots():
        if root is None:
            with suppress(MalformedError):
                unreadable.add(Digest.parse_file_name(name.rpartition("/")[2]))
        elif root.complete and root.digest.algorithm == repo.algorithm:
            found[root.digest] = Version.of_root(root)
    for path, pointer in named.pointers:
        if (pointer.digest, pointer.kind) in named.current or pointer.digest in unreadable:
            found.setdefault(pointer.digest, Version.of_pointer(path, pointer))
    records = Records(repo).reached(
        (digest for digest, version in found.items() if version.kind == RECORD), named.records
    )
    for digest in records:
        if digest in unreadable or not repo.remotes():
            found.setdefault(digest, record_version(digest))
    return sorted(found.values(), key=lambda version: version.kind != RECORD)


def _short(repo: Repo, versions: list[Version]) -> list[Version]:
    """Those of which no root proves that they are here, or of which something is not."""
    flawed = {version.digest for version, *_ in flaws_now(repo, versions)}
    return [
        version for version in versions if version.digest in flawed or repo.cache.root(version.digest) is None
    ]


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
