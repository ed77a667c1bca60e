"""``gc``: delete what no version needs any more, from the cache or a remote. Nothing goes before it was doomed for a grace.

A version goes when nothing names it: no ref, reflog, stash or index of git, no worktree, no clone that shares the cache.
First its root is removed, and a tombstone names the stored files that nothing else needs; a later run, a grace after,
deletes these. Until then ``restore`` brings all of it back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Executor
from contextlib import nullcontext

from datavc.backends.base import Backend
from datavc.errors import ConflictError, OutOfSpace, UsageError
from datavc.formats.amounts import human_size
from datavc.formats.times import utc_text
from datavc.formats.tombstone import Tombstone
from datavc.operations.steps.cleaning.collecting import checked_clock, opened, tell_of_versions
from datavc.operations.steps.cleaning.expiring import Expire, expiring
from datavc.operations.steps.cleaning.marking import Marks, mark, needed_blobs
from datavc.operations.steps.cleaning.outcome import GcResult, by_path, version_of
from datavc.operations.steps.cleaning.repacking import RepackPlan, carry_out, plan_repack, require_room
from datavc.operations.steps.cleaning.restoring import expired_before, put_back
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.store import layout
from datavc.store.cache import clone_id
from datavc.store.census import Census, StoredRoot, read_roots, take_census
from datavc.store.claim import Claim
from datavc.store.expired import write_expiry
from datavc.store.garbage import (
    Garbage,
    NeededBlobs,
    delete_roots,
    doom,
    find_garbage,
    remove_roots,
    sweep,
    tidy,
)
from datavc.store.rewriting import begin_rewriting
from datavc.store.tombstones import GRACE_SECONDS, SHORTEST_GRACE_SECONDS, Doomed, new_id, read_tombstones

Confirm = Callable[["GcResult"], bool]


def gc(
    repo: Repo,
    *,
    remote: str | None = None,
    grace: float = GRACE_SECONDS,
    older_than: float | None = None,
    expire: bytes | None = None,
    most: bool = False,
    repack: bool = False,
    restore: bool = False,
    dry_run: bool = False,
    confirm: Confirm | None = None,
    progress: Progress = SILENT,
) -> GcResult:
    """Doom what nothing needs, in the cache or on the ``remote``, and delete what was doomed a ``grace`` ago.

    Times are in seconds. A grace of 0 deletes at once, and needs the store to itself. ``older_than`` lets versions of a
    remote go that other clones have stored, and of which nothing here tells; with ``expire``, the absolute path of a
    dataset, instead old versions of that to which history alone leads. ``most`` allows that more than half goes.
    ``repack`` writes what is needed of packs that are half dead, or tiny and many, into new ones.
    ``restore`` brings back what was removed instead. ``confirm`` is asked before anything is deleted.

    Raises:
        UsageError: a grace between 0 and a day; there is no such remote. ConflictError: refused, as the message says.
        Locked: another gc is at work. IntegrityError: the store is damaged. StorageError: it failed, or lies.
    """
    if 0 < grace < SHORTEST_GRACE_SECONDS:
        raise UsageError(
            "a grace is at least a day", "--grace 0 deletes at once: nobody may use the store meanwhile"
        )
    rule = None
    if older_than is not None and remote is None and expire is None:
        raise UsageError("--older-than is about what other clones stored on a remote", "datavc gc -r NAME")
    if expire is not None:
        if older_than is None:
            hint = "datavc gc --expire PATH --older-than 180"
            raise UsageError("what expires is older than so many days", hint)
        rule, older_than = Expire(repo.relative(expire).removesuffix(POINTER_SUFFIX), older_than), None
    if restore and (repack or rule):
        raise UsageError("--restore brings back, and removes nothing", "datavc gc --restore")
    with opened(repo, remote, now=grace == 0, dry_run=dry_run) as (backend, executor):
        work = _Gc(repo, backend, executor, progress, is_remote=remote is not None)
        if restore:
            return work.restore(dry_run=dry_run)
        return work.run(grace, older_than, rule, repack=repack, most=most, dry_run=dry_run, confirm=confirm)


class _Gc:
    def __init__(
        self, repo: Repo, backend: Backend, executor: Executor, progress: Progress, *, is_remote: bool
    ) -> None:
        self._repo = repo
        self._backend = backend
        self._executor = executor
        self._progress = progress
        self._is_remote = is_remote
        self._result = GcResult(backend.describe())
        self._now = checked_clock(backend)

    def run(
        self,
        grace: float,
        older_than: float | None,
        rule: Expire | None = None,
        *,
        repack: bool = False,
        most: bool,
        dry_run: bool,
        confirm: Confirm | None,
    ) -> GcResult:
        """One run: what was doomed goes, what nothing needs is doomed; with ``repack`` packs are rewritten."""
        result = self._result
        guard = begin_rewriting(self._backend) if repack else None
        marks = self._marks()
        marks.digests -= expired_before(self._repo, self._backend, dry_run=dry_run)
        if not dry_run:
            result.restored = put_back(self._repo, self._backend, marks.digests, self._progress)
        doomed = read_tombstones(self._backend)
        due = [one for one in doomed.values() if not one.waits or self._now - one.since >= grace]
        census = take_census(self._backend, self._executor)
        expired = self._expiring(census, marks, rule) if rule is not None else []
        gone = self._choose(census, marks, grace, older_than) + expired
        needed = self._needed(marks)
        kept = [stored for stored in census.roots if stored not in gone]
        garbage = find_garbage(census, kept, doomed.values(), needed)
        self._foresee(census, due, doomed.values(), garbage, grace)
        plan = self._plan_repack(census, kept) if repack else None
        if not (most or dry_run):
            _refuse_most(self._backend, census, due, garbage, plan.freed_bytes if plan is not None else 0)
        has_work = due or gone or garbage or plan
        if dry_run or not has_work:
            return result
        if plan is not None:
            require_room(self._backend, plan)
        if not (confirm is None or confirm(result)):
            return result
        result.freed_bytes = self._sweep(due, needed, {stored.name for stored in kept})
        for stored in expired:
            write_expiry(self._backend, stored.root)
        id_ = new_id()
        self._remove(gone, id_, grace)
        if plan is not None and guard is not None:
            with self._repo.cache.scratch() as scratch:
                carry_out(self._backend, scratch, self._executor, census, kept, plan, guard, self._progress)
            census = take_census(self._backend, self._executor)
        self._let_go(id_, kept, census, doomed.values(), needed, grace, has_removed=bool(gone))
        tidy(self._backend, self._now - max(grace, SHORTEST_GRACE_SECONDS))
        tell_of_versions(self._backend, self._progress)
        result.done = True
        return result

    def _marks(self) -> Marks:
        marks = mark(self._repo, shared=not self._is_remote)
        if self._is_remote and marks.unknown:
            raise ConflictError(
                "this clone has only a part of git's history, so it cannot know what is still needed",
                "git fetch --unshallow",
            )
        self._result.clones = marks.unknown
        return marks

    def _expiring(self, census: Census, marks: Marks, rule: Expire) -> list[StoredRoot]:
        found = expiring(self._repo, self._backend, self._executor, census.roots, marks, rule, self._now)
        marks.digests -= {stored.root.digest for stored in found}
        self._result.expired = sorted((version_of(stored.root) for stored in found), key=by_path)
        return found

    def _needed(self, marks: Marks) -> NeededBlobs:
        return (lambda roots: None) if self._is_remote else needed_blobs(self._repo, marks)

    def _choose(
        self, census: Census, marks: Marks, grace: float, older_than: float | None
    ) -> list[StoredRoot]:
        """The roots of this repo that nothing needs, that are old enough, and that are ours to judge."""
        result, gone = self._result, []
        expired = {version.digest for version in result.expired}
        mine = clone_id(self._repo.shared)
        for stored in census.roots:
            root = stored.root
            if stored.name.endswith(layout.RESCUE):
                # Of a writer that was killed.
                if root.repo == self._repo.config.repo_id and self._now - stored.modified >= grace:
                    gone.append(stored)
                continue
            if (
                root.repo != self._repo.config.repo_id
                or root.kind == "record"
                or root.digest in marks.digests | expired
            ):
                continue
            age = self._now - stored.modified
            if marks.unknown or (self._is_remote and root.clone != mine and not _is_older(age, older_than)):
                result.unknown.append(version_of(root))
            elif age < grace:
                result.recent += 1
            else:
                result.removed.append(version_of(root))
                gone.append(stored)
        result.removed.sort(key=by_path)
        result.unknown.sort(key=by_path)
        return gone

    def _foresee(
        self,
        census: Census,
        due: Collection[Doomed],
        doomed: Collection[Doomed],
        garbage: Garbage,
        grace: float,
    ) -> None:
        result = self._result
        result.freed_bytes = sum(_size(census, one.tombstone) for one in due)
        waiting = [one for one in doomed if one not in due]
        result.waiting_bytes = sum(_size(census, one.tombstone) for one in waiting)
        if waiting:
            result.next = utc_text(min(one.since for one in waiting) + grace)
        elif garbage and grace:
            result.next = utc_text(self._now + grace)
        if grace:
            result.doomed_bytes = garbage.size
        else:
            result.freed_bytes += garbage.size

    def _plan_repack(self, census: Census, kept: list[StoredRoot]) -> RepackPlan:
        # What is far away is looked at in a copy. A cache needs none: the disk may be full.
        near = self._repo.cache.scratch() if self._is_remote else nullcontext(None)
        with near as scratch:
            plan = plan_repack(self._backend, scratch, self._executor, census, kept, self._progress)
        self._result.repacked = plan.packs
        self._result.repacked_bytes, self._result.repack_frees_bytes = plan.needed_bytes, plan.freed_bytes
        return plan

    def _remove(self, gone: list[StoredRoot], id_: str, grace: float) -> None:
        if not grace:
            delete_roots(self._backend, gone)
        elif gone:
            try:
                remove_roots(self._backend, self._repo.config.repo_id, id_, gone)
            except OutOfSpace as error:
                raise OutOfSpace(
                    f"{error.message}: there is no room to note what goes", "datavc gc --grace 0"
                ) from error

    def _let_go(
        self,
        id_: str,
        kept: list[StoredRoot],
        census: Census,
        doomed: Collection[Doomed],
        needed: NeededBlobs,
        grace: float,
        *,
        has_removed: bool,
    ) -> None:
        """Look once more what all roots need, and doom the rest; without a grace delete it."""
        backend, repo_id = self._backend, self._repo.config.repo_id
        roots = read_roots(backend, self._executor, [stored.name for stored in kept])
        garbage = find_garbage(census, roots, doomed, needed)
        if not garbage and not (has_removed and grace):
            return
        if grace:
            # Also where nothing but roots goes: it says that they are removed now, and how long they can be brought back.
            doom(backend, repo_id, id_, garbage)
            self._result.doomed_bytes = garbage.size
            return
        at_once = Doomed(id_, garbage.tombstone(repo_id), self._now, waits=False)
        self._result.freed_bytes += self._sweep([at_once], needed, {stored.name for stored in roots})

    def _sweep(self, due: Collection[Doomed], needed: NeededBlobs, expected: Collection[str]) -> int:
        freed = 0
        self._progress.begin("deleting")
        for one in due:
            claim = Claim(self._backend, one.id) if self._is_remote else None
            hold = claim.hold if claim is not None else lambda: None
            freed += sweep(
                self._backend,
                one,
                self._executor,
                needed,
                expected,
                hold,
                lambda size: self._progress.advance(size=size, files=1),
            )
            if claim is not None:
                claim.release()
        self._progress.end()
        return freed

    # Bringing back

    def restore(self, *, dry_run: bool) -> GcResult:
        """Bring back every version that was removed and is still there wholly; then nothing of it is doomed."""
        self._result.restored = put_back(self._repo, self._backend, None, self._progress, dry_run=dry_run)
        self._result.done = not dry_run
        return self._result


def _refuse_most(
    backend: Backend, census: Census, due: Collection[Doomed], garbage: Garbage, others: int
) -> None:
    total = sum(census.packs.values())
    going = (
        others + sum(garbage.packs.values()) + sum(_size(census, one.tombstone, blobs=False) for one in due)
    )
    if going > total / 2:
        raise ConflictError(
            f"more than half of {backend.describe()} would go: {human_size(going)} of {human_size(total)}",
            "look with --dry-run whether that is meant; then add --most",
        )


def _size(census: Census, stone: Tombstone, *, blobs: bool = True) -> int:
    size = sum(census.packs.get(layout.sealed_raw(name), 0) for name in stone.packs)
    if blobs:
        named = set(stone.blobs)
        size += sum(size for name, size in census.blobs.items() if name.rpartition("/")[2] in named)
        size += sum(census.indexes.get(name, 0) for name in stone.indexes)
    return size


def _is_older(age: float, older_than: float | None) -> bool:
    return older_than is not None and age >= older_than
