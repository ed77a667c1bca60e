"""``purge``: delete files for good, from the cache and every remote at once, and see that they do not come back.

First it is told where they are: versions, revisions, what was made of them, runs. Then every store that can be reached gets
notes of what is purged, and then loses the bytes (:mod:`datavc.store.purging`). Killed anywhere, the same command finishes,
and so does one without arguments, which purges everywhere what is purged anywhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datavc.backends.base import Backend
from datavc.errors import DatavcError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.purged import Purged, is_reason
from datavc.formats.times import utc_text
from datavc.operations.steps.cleaning.affected import (
    AffectedRecord,
    AffectedVersion,
    Contents,
    PurgedFile,
    derived_from,
)
from datavc.operations.steps.cleaning.alone import all_worktrees
from datavc.operations.steps.cleaning.clones import clones_of
from datavc.operations.steps.cleaning.collecting import tell_of_versions
from datavc.operations.steps.health.named import named_by_pointers
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.note import check_note
from datavc.store.purged import purged_digests, read_purged, write_purged
from datavc.store.purging import StorePurge
from datavc.store.remote import RemoteStore
from datavc.store.who import who_am_i

Confirm = Callable[["PurgeResult"], bool]


@dataclass(slots=True)
class PurgedStore:
    """What a purge did in one place, or in a dry run would: stored files of ``size`` bytes are rewritten or deleted.

    ``shared`` are purged files whose bytes stay there, as a part of files that are not purged; ``shared_bytes`` are parts of
    purged files that other files have too, and that stay.
    """

    place: str
    packs: int = 0
    files: int = 0
    size: int = 0
    shared: list[Digest] = field(default_factory=list)
    shared_bytes: int = 0


@dataclass(slots=True)
class PurgeResult:
    """What is purged, where it was, and what nobody could see to.

    Into ``unread`` versions nobody could look; ``unreached`` are remotes, with the reason; ``clones`` those that use the same
    cache, or have stored versions that have it on a remote; ``workspace`` files here that still have the bytes.
    """

    files: list[PurgedFile] = field(default_factory=list)
    versions: list[AffectedVersion] = field(default_factory=list)
    derived: list[tuple[bytes, Digest]] = field(default_factory=list)
    records: list[AffectedRecord] = field(default_factory=list)
    stores: list[PurgedStore] = field(default_factory=list)
    unread: list[Digest] = field(default_factory=list)
    unreached: list[tuple[str, str]] = field(default_factory=list)
    clones: list[str] = field(default_factory=list)
    workspace: list[bytes] = field(default_factory=list)
    done: bool = False


def purge(
    repo: Repo,
    words: list[bytes | str],
    *,
    reason: str | None,
    remote: str | None = None,
    dry_run: bool = False,
    confirm: Confirm | None = None,
    progress: Progress = SILENT,
) -> PurgeResult:
    """Purge what ``words`` mean: absolute paths, of which all goes that they ever were, and digests as text.

    Without words, everything is purged everywhere that is noted as purged in the cache or on a remote that can be reached.
    With a ``remote`` only that one and the cache. ``confirm`` is asked before anything is changed.

    Raises:
        UsageError: no reason, or one of several lines; there is no such remote. NotFoundError: nothing has that path.
        Locked: another command is at work. IntegrityError: a store is damaged. StorageError: one failed; the same goes on.
    """
    if words and (reason is None or not is_reason(reason)):
        raise UsageError(
            "a purge has a reason, of one line, which others will be told", 'datavc purge PATH --reason "..."'
        )
    return _Purge(repo, remote, progress, dry_run=dry_run).run(words, reason, confirm)


@dataclass(slots=True)
class _Store:
    """A place to purge; ``remote`` is None for the cache."""

    backend: Backend
    executor: Executor
    remote: RemoteStore | None
    result: PurgedStore


class _Purge:
    def __init__(self, repo: Repo, remote: str | None, progress: Progress, *, dry_run: bool) -> None:
        self._repo = repo
        self._names = (
            [repo.remote(remote).name] if remote is not None else [one.name for one in repo.remotes()]
        )
        self._progress = progress
        self._dry_run = dry_run
        self._result = PurgeResult()
        self._chunks: dict[bytes, int] = {}

    def run(self, words: list[bytes | str], reason: str | None, confirm: Confirm | None) -> PurgeResult:
        result = self._result
        with self._stores() as stores:
            notes = self._notes(words, reason, stores)
            if not notes:
                return result
            gone = {note.digest.raw for note in notes}
            for store in stores:
                self._survey(store, gone)
            is_done = not words and not any(store.result.size for store in stores)
            if self._dry_run or not (is_done or confirm is None or confirm(result)):
                return result
            with all_worktrees(self._repo, "purge"):
                # Before any store loses anything, all know what must not come back.
                for store in stores:
                    write_purged(store.backend, notes)
                for store in stores:
                    self._purge(store, gone)
                shutil.rmtree(self._repo.shared / "reading", ignore_errors=True)
        result.done = True
        return result

    @contextmanager
    def _stores(self) -> Iterator[list[_Store]]:
        """The cache, and the remotes that can be reached."""
        repo = self._repo
        with ExitStack() as kept:
            backend = repo.cache.backend
            executor = kept.enter_context(transfer_threads(1, []))
            stores = [_Store(backend, executor, None, PurgedStore(backend.describe()))]
            for name in self._names:
                try:
                    store = open_remote(repo, name, create=not self._dry_run)
                    check_note(store.backend, create=False)
                    purged_digests(store.backend, repo.algorithm)
                except DatavcError as error:
                    self._result.unreached.append((name, error.message))
                    continue
                executor = kept.enter_context(transfer_threads(threads_for(DEFAULT_MEMORY), [store]))
                stores.append(_Store(store.backend, executor, store, PurgedStore(store.describe())))
            yield stores

    def _notes(self, words: list[bytes | str], reason: str | None, stores: list[_Store]) -> list[Purged]:
        """What is purged, and what is said of it. Fills the result with where it is."""
        repo = self._repo
        known = self._known(stores)
        with looking_afar(repo, offline=False, progress=self._progress):
            contents = Contents(repo, self._versions())
            meant = contents.meant(words)
            if not words:
                meant = {raw: PurgedFile(note.digest, note.size, None) for raw, note in known.items()}
            self._result.versions = contents.versions_with(set(meant))
        self._result.unread = sorted(contents.unread)
        self._result.files = list(meant.values())
        self._tell(stores)
        return [
            known.get(raw)
            or Purged(file.digest, file.size, reason or "", who_am_i(), utc_text(), repo.config.repo_id)
            for raw, file in meant.items()
        ]

    def _known(self, stores: list[_Store]) -> dict[bytes, Purged]:
        """What is noted as purged anywhere."""
        found: dict[bytes, Purged] = {}
        for store in stores:
            for raw in purged_digests(store.backend, self._repo.algorithm) - found.keys():
                note = read_purged(store.backend, Digest(self._repo.algorithm, raw))
                if note is not None:
                    found[raw] = note
        return found

    def _versions(self) -> dict[tuple[Digest, str], dict[bytes, list[str]]]:
        """The versions that pointers name, in all of history, and those that only roots in the cache name."""
        versions = named_by_pointers(self._repo).versions
        for _, root in self._repo.cache.roots():
            if root is not None and root.kind != "record":
                versions.setdefault((root.digest, root.kind), {}).setdefault(root.path, [])
        return versions

    def _tell(self, stores: list[_Store]) -> None:
        """Runs, what they made, who else may have it, and files in this workspace."""
        repo, result = self._repo, self._result
        digests = [file.digest for file in result.files] + [version.digest for version in result.versions]
        with contextlib.suppress(DatavcError):
            derived = derived_from(repo, digests)
            result.derived, result.records = derived.data, derived.records
        result.clones = [str(clone) for clone in clones_of(repo) if clone.standing not in ("this", "gone")]
        for store in stores:
            if store.remote is not None:
                roots = [
                    store.remote.root(digest) for digest in sorted({one.digest for one in result.versions})
                ]
                who = {root.who for root in roots if root is not None and root.who != who_am_i()}
                result.clones += sorted(f"{one}, who pushed to {store.remote.name}" for one in who)
        here = {(state.path, state.base) for state in repo.states()}
        current = [version for version in result.versions if (version.path, version.digest) in here]
        result.workspace = sorted(
            path for version in current for path in version.files if os.path.lexists(repo.absolute(path))
        )

    def _survey(self, store: _Store, gone: set[bytes]) -> None:
        self._progress.begin(f"looking into {store.result.place}")
        with self._repo.cache.scratch() as scratch:
            survey = self._store_purge(store, gone, scratch).survey()
        self._progress.end()
        self._chunks |= survey.chunks
        row = store.result
        row.packs, row.files, row.size = len(survey.packs), len(survey.files), survey.size
        row.shared = [Digest(self._repo.algorithm, raw) for raw in sorted(survey.shared)]
        row.shared_bytes = survey.shared_bytes
        self._result.stores.append(row)

    def _purge(self, store: _Store, gone: set[bytes]) -> None:
        self._progress.begin(f"rewriting {store.result.place}")
        with self._repo.cache.scratch() as scratch:
            self._store_purge(store, gone, scratch).run()
        self._progress.end()
        tell_of_versions(store.backend, self._progress)

    def _store_purge(self, store: _Store, gone: set[bytes], scratch: Path) -> StorePurge:
        return StorePurge(
            store.backend,
            self._repo.algorithm,
            gone,
            scratch,
            store.executor,
            repo_id=self._repo.config.repo_id,
            chunks=self._chunks,
            progress=self._progress,
        )
