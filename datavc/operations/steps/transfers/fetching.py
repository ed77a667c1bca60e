"""Fetching one version: its trees, then what of its files the cache lacks, and last a root that says so."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from datavc.errors import (
    DatavcError,
    DigestMismatch,
    MalformedError,
    NotFoundError,
    ObjectNotFound,
    PurgedError,
    StorageError,
    StoredFileNotFound,
)
from datavc.formats.amounts import count
from datavc.formats.digest import Digest
from datavc.formats.paths import SubPaths, show
from datavc.formats.record import MAX_RECORD_BYTES
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.storing.reachable import Reachable
from datavc.operations.steps.transfers.closure import affected_paths
from datavc.operations.steps.transfers.gathering import Gathering
from datavc.operations.steps.transfers.recordtransfer import closure_records, name_of
from datavc.operations.steps.transfers.sources import Source, Sources
from datavc.operations.steps.trees.difference import fresh_entries, walk_difference
from datavc.operations.steps.trees.expiry import expired
from datavc.operations.steps.trees.trees import TreeSource
from datavc.progress import Progress
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.index import ObjectIndex
from datavc.store.purged import read_purged, write_purged
from datavc.store.roots import new_root, read_root


@dataclass(slots=True)
class Fetched:
    """What a fetch of one version came to: files and folders that the cache lacked, and bytes as they are stored."""

    objects: int = 0
    size: int = 0


class Fetching:
    """Fetches ``version`` out of ``sources`` into ``cache``. ``base`` is the root of an earlier version that is all here."""

    def __init__(
        self,
        cache: Cache,
        version: Version,
        sources: Sources,
        base: Root | None,
        executor: Executor,
        *,
        threads: int,
        progress: Progress,
    ) -> None:
        self._cache = cache
        self._version = version
        self._sources = sources
        self._executor = executor
        self._threads = threads
        self._progress = progress
        own = read_root(cache.backend, cache.repo_id, version.digest)
        self._reachable = Reachable(cache, cache.algorithm, _inherited(cache, own, base))
        kind = "file" if version.kind == RECORD else version.kind
        self._target = TreeSource(cache, None, version.digest, kind)
        has_trees = base is not None and base.kind == "folder"
        self._base = TreeSource(cache, None, base.digest, "folder") if base and has_trees else None
        self._blobs = cache.blob_sizes()
        self._purged = cache.purged()
        self._skipped: set[bytes] = set()
        self._objects = 0
        # Of a record: itself and those before it, with their sizes in bytes.
        self._records: list[tuple[Digest, int]] = []

    def run(self, *, trees_only: bool = False, dry_run: bool = False) -> Fetched:
        """Get everything, and publish the root. ``trees_only`` leaves files away; ``dry_run`` reads trees and keeps nothing.

        Raises:
            ObjectNotFound: no remote has it all, DigestMismatch: or not in one piece; the paths are named. PurgedError: it
                is one file, which was purged; in a folder such files are left out.
            NotFoundError: the version has no such sub-path.
            StorageError, OutOfSpace: a remote or the cache failed. What was verified is kept.
        """
        with self._cache.scratch() as scratch:
            gathering = Gathering(
                self._cache,
                self._reachable,
                self._sources,
                None if dry_run else scratch,
                self._executor,
                threads=self._threads,
                progress=self._progress,
            )
            try:
                self._gather(gathering, trees_only=trees_only)
                gathering.close()
            except BaseException:
                with contextlib.suppress(DatavcError, OSError):
                    gathering.rescue()
                raise
            self._skipped |= gathering.purged.keys()
        if not dry_run:
            self._note_purged(gathering.purged)
        self._tell_purged()
        if not dry_run:
            self._publish(complete=self._version.parts is None and not trees_only)
        return Fetched(self._objects, gathering.size)

    def _gather(self, gathering: Gathering, *, trees_only: bool) -> None:
        files = self._walk(gathering)
        if trees_only:
            return
        missing = self._missing(files)
        self._objects += len(missing)
        gathering.files(missing)
        self._refuse_lost(gathering)

    def _walk(self, gathering: Gathering) -> dict[bytes, int]:
        """Gets the trees that are not here. Every file whose bytes may not be here either, with its size."""
        version, target = self._version, self._target
        if version.kind == RECORD:
            return self._walk_records(gathering)
        if target.kind != FOLDER:
            return {version.digest.raw: version.size}
        files = self._walk_folder(gathering, target, self._base)
        for part in version.parts or ():
            if target.entry_at(part, part.rpartition(b"/")[2]) is None:
                raise NotFoundError(f"{show(version.path + b'/' + part)} is not in the dataset", "datavc ls")
        return files

    def _walk_folder(
        self, gathering: Gathering, target: TreeSource, base: TreeSource | None
    ) -> dict[bytes, int]:
        parts = SubPaths(self._version.parts) if self._version.parts is not None else None

        def obtain(digests: Sequence[bytes]) -> None:
            missing = self._missing(dict.fromkeys(digests))
            if missing:
                for digest, content in self._metas(gathering, missing).items():
                    target.take(digest, content)

        files: dict[bytes, int] = {}
        for step in walk_difference(target, base, parts, obtain):
            for entry in fresh_entries(step, parts):
                files.setdefault(entry.digest, entry.size)
        return files

    def _walk_records(self, gathering: Gathering) -> dict[bytes, int]:
        """Gets a record and those before it, and the trees of what they keep."""
        reader = self._cache.reader(self._version.digest)

        def read(digests: list[Digest]) -> dict[Digest, bytes]:
            missing = self._missing(dict.fromkeys(digest.raw for digest in digests))
            came = self._metas(gathering, missing) if missing else {}
            return {
                digest: came[digest.raw]
                if digest.raw in came
                else reader.read(digest.raw, limit=MAX_RECORD_BYTES)
                for digest in digests
            }

        files: dict[bytes, int] = {}
        for digest, encoded, record in closure_records(self._version.digest, read):
            self._records.append((digest, len(encoded)))
            for kept in record.objects.values():
                if kept.kind == "folder":
                    target = TreeSource(self._cache, None, kept.digest, "folder")
                    files |= self._walk_folder(gathering, target, None)
                else:
                    files[kept.digest.raw] = kept.size
        return files

    def _metas(self, gathering: Gathering, missing: list[bytes]) -> dict[bytes, bytes]:
        self._objects += len(missing)
        contents = gathering.trees(missing)
        self._refuse_lost(gathering)
        return contents

    def _missing(self, objects: Mapping[bytes, int | None]) -> list[bytes]:
        """Those that the cache lacks; the others will be reached by the new root. A tree has no size."""
        self._skipped |= objects.keys() & self._purged
        objects = {digest: size for digest, size in objects.items() if digest not in self._purged}
        rows = self._reachable.known.find_many(objects)
        here = {digest for digest, row in rows.items() if self._reachable.is_whole(digest, row)}
        self._reachable.found(here)
        return [
            digest
            for digest, size in objects.items()
            if digest not in here and (size is None or self._blobs.get(digest) != size)
        ]

    def _note_purged(self, purged: dict[bytes, Source]) -> None:
        """Keep the notes of what a remote must not have any more."""
        for raw, source in purged.items():
            note = read_purged(source.store.backend, Digest(self._cache.algorithm, raw))
            if note is not None:
                write_purged(self._cache.backend, [note])

    def _tell_purged(self) -> None:
        """Raises PurgedError where nothing is left."""
        if self._skipped:
            version = self._version
            if version.digest.raw in self._skipped:
                note = read_purged(self._cache.backend, version.digest)
                raise PurgedError(
                    f"{name_of(version)} cannot be fetched: {version.digest.short} was {note or 'purged'}"
                )
            files = count(len(self._skipped), "file")
            self._progress.note(f"{name_of(version)}: {files} of it are purged, and do not come")

    def _refuse_lost(self, gathering: Gathering) -> None:
        """Raises DigestMismatch, ObjectNotFound, StorageError where something could not be got."""
        lost = gathering.lost
        if not lost:
            return
        if None in lost.values() and not self._sources.failures:
            self._sources.fall_short()
        version = self._version
        name = name_of(version)
        paths = affected_paths(self._target, version.path, set(lost))
        digest, loss = min(lost.items(), key=lambda item: (item[1] is None, item[1] and item[1].wrong))
        thing = Digest(self._cache.algorithm, digest)
        if loss is not None:
            where = f"{layout.pack_path(loss.pack)} of {loss.source.store.describe()}"
            hint = "datavc push --check{} -r {}, in a clone that has it, sends it again"
            if loss.wrong == "is damaged":
                raise DigestMismatch(
                    f"{name} cannot be fetched: object {thing} in {where} is damaged: {paths}",
                    hint.format(" --read", loss.source.store.name),
                )
            hint = hint.format("", loss.source.store.name)
            raise ObjectNotFound(f"{name} cannot be fetched: {where} {loss.wrong}: {paths}", hint)
        if self._sources.failures:
            failure = self._sources.failures[-1]
            raise StorageError(f"{name} cannot be fetched: {failure.message}", failure.hint)
        places = [self._cache.backend, *(store.backend for store in self._sources.asked)]
        known = expired(places, self._cache.repo_id, version.digest)
        if known is not None:
            raise known
        asked = ", ".join(store.describe() for store in self._sources.asked)
        raise ObjectNotFound(
            f"{name} cannot be fetched: {version.digest.short} is not, or not wholly, on {asked}: {paths}",
            self._sources.remedy(),
        )

    def _publish(self, *, complete: bool) -> None:
        names = self._reachable.publish()
        if not names:
            # Nothing but whole blobs: they need no root.
            return
        for digest, size in reversed(self._records[1:]):
            # What the newest of them reaches has all that those before it reach.
            if self._cache.root(digest) is None:
                make = new_root(
                    self._cache.repo_id, digest, kind=RECORD, size=size, files=1, path=b"", commit=None
                )
                self._cache.publish_root(make, names)
        make = new_root(
            self._cache.repo_id,
            self._version.digest,
            kind=self._version.kind,
            size=self._records[0][1] if self._records else self._version.size,
            files=self._version.files,
            path=self._version.path,
            commit=self._version.commit,
            complete=complete,
        )
        self._cache.publish_root(make, names)


def _inherited(cache: Cache, own: Root | None, base: Root | None) -> tuple[str, ...]:
    """The pack indexes that a new root takes over: those of an earlier, partial fetch, and of the version before."""
    mine = tuple(name for name in own.indexes if _is_whole(cache, name)) if own else ()
    wanted = dict.fromkeys([*mine, *(base.indexes if base else ())])
    here = set(cache.index_names()) if wanted else set()
    return tuple(name for name in wanted if name in here)


def _is_whole(cache: Cache, name: str) -> bool:
    """Whether the pack index is here, and what it names: an eviction may have been killed, and no root may rely on it."""
    try:
        return not ObjectIndex(cache.backend, cache.algorithm, (name,)).missing_packs()
    except (StoredFileNotFound, MalformedError):
        return False
