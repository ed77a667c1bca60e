"""``gc``: delete what no version needs any more, from the cache or a remote. Nothing goes before it was doomed for a grace.

A version goes when nothing names it: no ref, reflog, stash or index of git, no worktree, no clone that shares the cache.
First its root is removed, and a tombstone names the stored files that nothing else needs; a later run, a grace after,
deletes these. Until then ``restore`` brings all of it back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace

from datavc.backends.base import Backend
from datavc.errors import ConflictError, DatavcError, OutOfSpace, UsageError
from datavc.formats.amounts import human_size
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.formats.tombstone import Tombstone
from datavc.operations.steps.cleaning.collecting import checked_clock, opened
from datavc.operations.steps.cleaning.expiring import Expire, expiring
from datavc.operations.steps.cleaning.marking import Marks, mark, needed_blobs
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.store import layout
from datavc.store.cache import clone_id
from datavc.store.expired import expired_digests, forget_expiry, write_expiry
from datavc.store.garbage import (
    Census,
    Claim,
    Garbage,
    NeededBlobs,
    StoredRoot,
    delete_roots,
    doom,
    find_garbage,
    forget_tombstone,
    new_id,
    read_roots,
    remove_roots,
    removed_roots,
    sweep,
    take_census,
    tidy,
)
from datavc.store.roots import begin_writing, read_root
from datavc.store.tombstones import GRACE_SECONDS, SHORTEST_GRACE_SECONDS, Doomed, read_tombstones

Confirm = Callable[["GcResult"], bool]


@dataclass(frozen=True, slots=True)
class GcVersion:
    """A version: what it was, who stored it when. ``size`` in bytes, before anything is shared or compressed."""

    path: bytes
    digest: Digest
    size: int
    files: int
    when: str
    who: str
    saved: bool


@dataclass(slots=True)
class GcResult:
    """What goes, or in a dry run would, in the ``place``.

    ``removed`` versions are needed by nothing, ``expired`` ones by history alone, and they were asked for; ``unknown`` ones
    are needed by nothing that this clone knows of, and stay; ``recent``
    counts those that are too young. ``doomed_bytes`` are deleted a grace after this run, ``freed_bytes`` in it;
    ``waiting_bytes`` wait since an earlier run, until ``next`` at the earliest. ``clones`` could not be read: all stays.
    """

    place: str
    removed: list[GcVersion] = field(default_factory=list)
    expired: list[GcVersion] = field(default_factory=list)
    unknown: list[GcVersion] = field(default_factory=list)
    restored: list[GcVersion] = field(default_factory=list)
    clones: list[str] = field(default_factory=list)
    recent: int = 0
    doomed_bytes: int = 0
    freed_bytes: int = 0
    waiting_bytes: int = 0
    next: str | None = None
    done: bool = False


def gc(
    repo: Repo,
    *,
    remote: str | None = None,
    grace: float = GRACE_SECONDS,
    older_than: float | None = None,
    expire: bytes | None = None,
    most: bool = False,
    restore: bool = False,
    dry_run: bool = False,
    confirm: Confirm | None = None,
    progress: Progress = SILENT,
) -> GcResult:
    """Doom what nothing needs, in the cache or on the ``remote``, and delete what was doomed a ``grace`` ago.

    Times are in seconds. A grace of 0 deletes at once, and needs the store to itself. ``older_than`` lets versions of a
    remote go that other clones have stored, and of which nothing here tells; with ``expire``, the absolute path of a
    dataset, instead old versions of that to which history alone leads. ``most`` allows that more than half goes.
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
        if older_than is None or restore:
            raise UsageError(
                "what expires is older than so many days", "datavc gc --expire PATH --older-than 180"
            )
        rule, older_than = Expire(repo.relative(expire).removesuffix(POINTER_SUFFIX), older_than), None
    with opened(repo, remote, now=grace == 0, dry_run=dry_run) as (backend, executor):
        work = _Gc(repo, backend, executor, progress, is_remote=remote is not None)
        if restore:
            return work.restore(dry_run=dry_run)
        return work.run(grace, older_than, rule, most=most, dry_run=dry_run, confirm=confirm)


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
        most: bool,
        dry_run: bool,
        confirm: Confirm | None,
    ) -> GcResult:
        """One run: what was doomed goes, what nothing needs is doomed."""
        result = self._result
        marks = self._marks()
        marks.digests -= self._expired_before(dry_run=dry_run)
        if not dry_run:
            self._put_back(marks.digests)
        doomed = read_tombstones(self._backend)
        due = [one for one in doomed.values() if not one.waits or self._now - one.since >= grace]
        census = take_census(self._backend, self._executor)
        expired = self._expiring(census, marks, rule) if rule is not None else []
        gone = self._choose(census, marks, grace, older_than) + expired
        needed = self._needed(marks)
        kept = [stored for stored in census.roots if stored not in gone]
        garbage = find_garbage(census, kept, doomed.values(), needed)
        self._foresee(census, due, doomed.values(), garbage, grace)
        if not most:
            _refuse_most(self._backend, census, due, garbage)
        if dry_run or not (due or gone or garbage) or not (confirm is None or confirm(result)):
            return result
        result.freed_bytes = self._sweep(due, needed, {stored.name for stored in kept})
        for stored in expired:
            write_expiry(self._backend, stored.root)
        self._let_go(gone, kept, census, doomed.values(), needed, grace)
        tidy(self._backend, self._now - max(grace, SHORTEST_GRACE_SECONDS))
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

    def _expired_before(self, *, dry_run: bool) -> set[Digest]:
        """What expired in an earlier run. What was stored again since has not."""
        backend, repo_id = self._backend, self._repo.config.repo_id
        expired = set()
        for digest in expired_digests(backend, repo_id):
            if read_root(backend, repo_id, digest) is None:
                expired.add(digest)
            elif not dry_run:
                forget_expiry(backend, repo_id, digest)
        return expired

    def _expiring(self, census: Census, marks: Marks, rule: Expire) -> list[StoredRoot]:
        found = expiring(self._repo, self._backend, self._executor, census.roots, marks, rule, self._now)
        marks.digests -= {stored.root.digest for stored in found}
        self._result.expired = sorted((_version(stored.root) for stored in found), key=_by_path)
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
                result.unknown.append(_version(root))
            elif age < grace:
                result.recent += 1
            else:
                result.removed.append(_version(root))
                gone.append(stored)
        result.removed.sort(key=_by_path)
        result.unknown.sort(key=_by_path)
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
            result.next = _time(min(one.since for one in waiting) + grace)
        elif garbage and grace:
            result.next = _time(self._now + grace)
        if grace:
            result.doomed_bytes = garbage.size
        else:
            result.freed_bytes += garbage.size

    def _let_go(
        self,
        gone: list[StoredRoot],
        kept: list[StoredRoot],
        census: Census,
        doomed: Collection[Doomed],
        needed: NeededBlobs,
        grace: float,
    ) -> None:
        """Remove the roots, look once more what all the others need, and doom the rest; without a grace delete it."""
        backend, repo_id, id_ = self._backend, self._repo.config.repo_id, new_id()
        if gone and grace:
            try:
                remove_roots(backend, repo_id, id_, gone)
            except OutOfSpace as error:
                raise OutOfSpace(
                    f"{error.message}: there is no room to note what goes", "datavc gc --grace 0"
                ) from error
        elif gone:
            delete_roots(backend, gone)
        roots = read_roots(backend, self._executor, [stored.name for stored in kept])
        garbage = find_garbage(census, roots, doomed, needed)
        if not garbage and not (gone and grace):
            return
        if grace:
            # Also where nothing but roots goes: it says that they are removed now, and how long they can be brought back.
            doom(backend, repo_id, id_, garbage)
            self._result.doomed_bytes = garbage.size
            return
        stone = Tombstone(
            repo_id,
            "",
            _time(self._now),
            tuple(garbage.indexes),
            tuple(map(layout.sealed_name, garbage.packs)),
            tuple(name.rpartition("/")[2] for name in garbage.blobs),
        )
        at_once = Doomed(id_, stone, self._now, waits=False)
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
        self._put_back(None, dry_run=dry_run)
        self._result.done = not dry_run
        return self._result

    def _put_back(self, wanted: set[Digest] | None, *, dry_run: bool = False) -> None:
        """Put back those removed roots that are wanted again, or all of them; what is gone already stays so."""
        for id_, (_, roots) in removed_roots(self._backend).items():
            lost = False
            for root in roots:
                is_theirs = root.repo != self._repo.config.repo_id
                if is_theirs or (wanted is not None and root.digest not in wanted):
                    lost = True
                    continue
                there = read_root(self._backend, root.repo, root.digest)
                if (there is not None and there.complete) or dry_run:
                    continue
                try:
                    begin_writing(self._backend, self._repo.algorithm).publish(_renewed(root))
                except (ConflictError, DatavcError) as error:
                    self._progress.note(f"warning: {root.digest.short} is not brought back: {error.message}")
                    lost = True
                    continue
                forget_expiry(self._backend, root.repo, root.digest)
                self._result.restored.append(_version(root))
            if not lost and not dry_run:
                forget_tombstone(self._backend, id_)


def _renewed(root: Root) -> Root:
    return replace(root, nonce=os.urandom(8).hex())


def _refuse_most(backend: Backend, census: Census, due: Collection[Doomed], garbage: Garbage) -> None:
    total = sum(census.packs.values())
    going = sum(garbage.packs.values()) + sum(_size(census, one.tombstone, blobs=False) for one in due)
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


def _version(root: Root) -> GcVersion:
    return GcVersion(root.path, root.digest, root.size, root.files, root.when, root.who, root.saved)


def _by_path(version: GcVersion) -> tuple[bytes, str]:
    return version.path, version.when


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
