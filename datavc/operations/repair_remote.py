"""``fsck -r NAME --repair``: send a remote again what it lost or has damaged, of the versions that this cache has.

Before that its pack indexes are made again from its own packs, for whatever repo, which needs no cache.

Nothing is deleted: a stored file is copied into ``quarantine/`` there before it is replaced, and what is still sound in a
damaged pack stays readable until a root names something better. Killed anywhere, the same command goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from datavc.errors import (
    DatavcError,
    IntegrityError,
    MalformedError,
)
from datavc.formats.amounts import count, human_size
from datavc.formats.digest import Digest
from datavc.operations.fsck import FsckResult
from datavc.operations.fsck_remote import fsck_remote
from datavc.operations.repair import RepairedVersion, RepairResult
from datavc.operations.steps.health.named import named_by_pointers
from datavc.operations.steps.health.rerooting import mend_indexes
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.transfers.pushing import Pushing
from datavc.operations.steps.transfers.remotenotes import trust
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.checklog import ANEW
from datavc.store.index import ObjectIndex
from datavc.store.note import STORE_FORMAT
from datavc.store.reindexing import can_be_read
from datavc.store.remote import RemoteStore
from datavc.store.replacing import copy_aside
from datavc.store.roots import list_roots
from datavc.store.upgrading import old_packs, upgrade_store


def repair_remote(
    repo: Repo, remote: str, *, full: bool = False, progress: Progress = SILENT
) -> RepairResult:
    """Mend what ``fsck_remote`` finds wrong, by name, length and the server's checksums, or with ``full`` by reading all.

    Raises:
        UsageError: there is no such remote. StorageError: it cannot be listed, or refuses to be written.
    """
    before = fsck_remote(repo, remote, full=full, rule=ANEW, progress=progress)
    if not before.problems:
        return RepairResult(before, _upgraded(repo, remote, before, full=full, progress=progress))
    store = open_remote(repo, remote, create=True)
    damaged = _damaged_packs(before)
    again = mend_indexes(store, damaged, _damaged_objects(before), progress)
    done = []
    threads = threads_for(DEFAULT_MEMORY)
    with transfer_threads(threads, [store]) as executor:
        pushing = Pushing(repo, store, executor, threads=threads, progress=progress, broken=damaged)
        for version in _versions(repo, store):
            failed = None
            root = store.root(version.digest)
            try:
                pushed = pushing.push(version, root, damaged, None, dry_run=False)
            except DatavcError as error:
                failed = error.message
            else:
                pushing.done(version)
                if pushed.root is root and version.digest not in again:
                    continue
            done.append(RepairedVersion(version.path, version.digest, failed))
    after = fsck_remote(repo, remote, full=full, rule=ANEW, progress=progress)
    if after.problems:
        # What was replaced must be looked at anew, not through files that are still open.
        retired = _retire(open_remote(repo, remote), after, progress)
        after.problems = [
            problem
            for problem in after.problems
            if problem.object not in retired and problem.message.rpartition(" ")[2] not in retired
        ]
    if not after.problems:
        if full:
            trust(repo, remote)
        # What this cache lacks need not be sent where nothing is lost.
        done = [
            replace(mended, failed=None) for mended in done if not mended.failed or mended.digest in again
        ]
    return RepairResult(before, _upgraded(repo, remote, after, full=full, progress=progress), done)


def _upgraded(repo: Repo, remote: str, found: FsckResult, *, full: bool, progress: Progress) -> FsckResult:
    """A sound remote of an earlier format is written anew in the present one, where all is to be read. Else ``found``."""
    if found.format == STORE_FORMAT or found.problems:
        return found
    store = open_remote(repo, remote, create=True)
    with (
        transfer_threads(threads_for(DEFAULT_MEMORY), [store]) as executor,
        repo.cache.scratch() as scratch,
    ):
        packs, _ = old_packs(store.backend, executor)
        what = f"{count(len(packs), 'pack')}, {human_size(sum(packs.values()))}"
        if not full:
            progress.note(
                f"{store.describe()} is of format {found.format}, which is read for ever; "
                f"with --full, --repair writes it anew: {what}, received and sent"
            )
            return found
        progress.note(
            f"{store.describe()} is written anew in format {STORE_FORMAT}: {what}, received and sent"
        )
        upgrade_store(store.backend, scratch, executor, progress=progress)
    return fsck_remote(repo, remote, full=True, rule=ANEW, progress=progress)


def _retire(store: RemoteStore, found: FsckResult, progress: Progress) -> set[str]:
    """Put aside what is damaged and what no root leads to any more, of whatever repo. Returns the names of stored files.

    Where a root cannot be read, or somebody is about to write one, nobody knows what it leads to: then all stays.
    """
    backend = store.backend
    files = [file.name for file in backend.list(layout.ROOTS)]
    roots = [root for _, root in list_roots(backend)]
    if None in roots or any(name.endswith(layout.RESCUE) for name in files):
        return set()
    needed = {layout.index_path(name) for root in roots if root is not None for name in root.indexes}
    damaged = {problem.object for problem in found.problems if problem.kind in ("pack", "pack index")}
    named: dict[str, set[str]] = {}
    for file in list(backend.list(layout.INDEXES)):
        try:
            index = store.index([file.name.removeprefix(layout.INDEXES)], whole=True)
            named[file.name] = {layout.pack_path(pack) for pack in index.packs()}
        except IntegrityError:
            if file.name in needed:
                return set()
    useless = {name for name, packs in named.items() if name not in needed and not packs.isdisjoint(damaged)}
    useless = _all_elsewhere(store, useless, named.keys() - useless, damaged)
    leads_to = {pack for name, packs in named.items() if name not in useless for pack in packs}
    retired = (damaged - needed - leads_to) | useless
    for name in sorted(retired):
        progress.note(f"warning: {name} of {store.describe()} is put aside: no root leads to it any more")
        copy_aside(backend, name)
        backend.delete(name)
    return retired


def _all_elsewhere(store: RemoteStore, useless: set[str], kept: set[str], damaged: set[str]) -> set[str]:
    """Those of the pack indexes ``useless`` of which all that can be read can be read through those that are ``kept``."""

    def opened(names: Iterable[str]) -> ObjectIndex:
        return store.index([name.removeprefix(layout.INDEXES) for name in names], whole=True)

    others = opened(sorted(kept))
    others.drop(
        layout.sealed_raw(name.rpartition("/")[2]) for name in damaged if name.startswith(layout.PACKS)
    )

    def has_more(name: str) -> bool:
        index = opened([name])
        rows = dict(index.locations())
        found = others.find_many(rows)
        reader = store.reader(index)
        return any(
            layout.pack_path(location[0]) not in damaged or can_be_read(reader, digest, location)
            for digest, location in rows.items()
            if digest not in found
        )

    return {name for name in useless if not has_more(name)}


def _damaged_packs(found: FsckResult) -> set[bytes]:
    packs = set()
    for problem in found.problems:
        if problem.kind == "pack":
            with suppress(MalformedError):
                packs.add(layout.pack_of(problem.object))
    return packs


def _damaged_objects(found: FsckResult) -> dict[bytes, str]:
    """With where they lie."""
    hit = [problem for problem in found.problems if problem.kind == "object"]
    return {Digest.parse(problem.object).raw: problem.message.rpartition(" ")[2] for problem in hit}


def _versions(repo: Repo, store: RemoteStore) -> list[Version]:
    """What this repo has roots of there, records first. Of an unreadable root, which is put aside, what is known here."""
    found: dict[Digest, Version] = {}
    unreadable = set()
    for name, root in list_roots(store.backend, store.repo_id):
        if root is None:
            with suppress(MalformedError):
                unreadable.add(Digest.parse_file_name(name.rpartition("/")[2]))
            copy_aside(store.backend, name)
        elif root.complete and root.digest.algorithm == repo.algorithm:
            found[root.digest] = Version.of_root(root)
    for _, known in repo.cache.roots():
        if known is not None and known.complete and known.digest in unreadable:
            found[known.digest] = Version.of_root(known)
    if unreadable:
        for path, pointer in named_by_pointers(repo).pointers:
            if pointer.digest in unreadable:
                found.setdefault(pointer.digest, Version.of_pointer(path, pointer))
    return sorted(found.values(), key=lambda version: version.kind != RECORD)
