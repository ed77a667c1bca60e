"""Pack indexes of a remote that were lost or damaged, made again from its packs, and the roots that named them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace

from datavc.backends.base import Backend
from datavc.errors import ConflictError, DatavcError, IntegrityError
from datavc.formats.digest import Digest
from datavc.formats.record import MAX_RECORD_BYTES
from datavc.formats.root import Root
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.transfers.recordtransfer import closure_records
from datavc.operations.steps.trees.soundness import Flaw, Soundness
from datavc.progress import Progress
from datavc.store import layout
from datavc.store.index import ObjectIndex
from datavc.store.reader import ObjectReader
from datavc.store.reindexing import rebuild_indexes
from datavc.store.remote import RemoteStore
from datavc.store.roots import list_roots


def mend_indexes(
    store: RemoteStore, lost: Set[bytes], damaged: Mapping[bytes, str], progress: Progress
) -> set[Digest]:
    """Make the pack indexes again; returns the versions of the store's repo whose roots count again by that.

    A root of any repo that names one which did not come out as it was gets others instead, if they tell where all of it is.
    Nothing is promised again of the packs ``lost``, nor of the objects that were found ``damaged``, with where.

    Raises:
        StorageError: the remote failed or refused.
    """
    store.begin_writing()
    sound, spoilt = _judged(store)
    roots = [root for _, root in list_roots(store.backend) if root is not None and root.complete]
    hit = [root for root in roots if not sound.keys() >= set(root.indexes)]
    if not hit and not spoilt:
        return set()
    store.prepare()
    progress.note(f"pack indexes of {store.describe()} are made again from its packs")
    rebuild_indexes(
        store.backend, spoilt, {pack for packs in sound.values() for pack in packs}, store.algorithm
    )
    mending = _Mending(store, lost, damaged, _judged(store)[0])
    return {root.digest for root in hit if mending.counts_again(root) and root.repo == store.repo_id}


def _judged(store: RemoteStore) -> tuple[dict[str, dict[bytes, int]], list[str]]:
    """The sound pack indexes, with the packs that each names, and the damaged ones."""
    sound, damaged = {}, []
    for file in sorted(store.backend.list(layout.INDEXES)):
        name = file.name.removeprefix(layout.INDEXES)
        try:
            sound[name] = store.index([name], whole=True).packs()
        except IntegrityError:
            damaged.append(name)
    return sound, damaged


@dataclass(slots=True)
class _Afar:
    """What pack indexes of a remote tell of it."""

    backend: Backend
    algorithm: str
    index: ObjectIndex

    def has_blob(self, raw: bytes, size: int | None) -> bool:
        """Remotes have none."""
        return False

    def reader(self, digest: Digest | None = None) -> ObjectReader:
        """Reads what is there, whatever the cache has."""
        return ObjectReader(self.backend, self.algorithm, self.index.find)


class _Mending:
    def __init__(
        self,
        store: RemoteStore,
        lost: Set[bytes],
        damaged: Mapping[bytes, str],
        sound: dict[str, dict[bytes, int]],
    ) -> None:
        self._store = store
        self._lost = lost
        self._damaged = damaged
        self._sound = sound

    def counts_again(self, root: Root) -> bool:
        """Whether all that the root names is there, or what it is to name instead, which is published then."""
        if self._sound.keys() >= set(root.indexes):
            return True
        names = self._names(root) if root.digest.algorithm == self._store.algorithm else None
        if names is None:
            return False
        try:
            self._store.publish_root(
                lambda indexes: replace(root, indexes=indexes, nonce=os.urandom(8).hex()), names
            )
        except ConflictError:
            return False  # Some of it is being deleted as garbage: whoever pushes it again says so.
        return True

    def _names(self, root: Root) -> list[str] | None:
        """Pack indexes that tell where all of a version is; None where none do."""
        names = [name for name in root.indexes if name in self._sound]
        try:
            while missing := self._missing(root, names):
                more = [name for name in self._sound if name not in names and self._has(name, missing)]
                if not more:
                    return None
                names += more
        except DatavcError:
            return None  # A record that is damaged.
        return names

    def _has(self, name: str, digests: set[bytes]) -> bool:
        return bool(self._index([name]).find_many(digests))

    def _index(self, names: list[str]) -> ObjectIndex:
        index = self._store.index(names, whole=True)
        index.drop(self._lost)
        return index

    def _missing(self, root: Root, names: list[str]) -> set[bytes]:
        """What of a version those pack indexes do not find, as far as can be seen; of records, what they go back to too."""
        index = self._index(names)
        afar = _Afar(self._store.backend, self._store.algorithm, index)
        judge = Soundness(afar, index, self._damaged, self._lost)
        if root.kind != RECORD:
            return _things(judge.flaws(root.digest, root.kind))
        missing: set[bytes] = set()
        reader = afar.reader(root.digest)

        def read(digests: list[Digest]) -> dict[Digest, bytes]:
            missing.update(digest.raw for digest in digests if index.find(digest.raw) is None)
            return {
                digest: reader.read(digest.raw, limit=MAX_RECORD_BYTES)
                for digest in digests
                if digest.raw not in missing
            }

        for _, _, record in closure_records(root.digest, read):
            for kept in record.objects.values():
                missing |= _things(judge.flaws(kept.digest, "folder" if kept.kind == "folder" else "file"))
        return missing


def _things(flaws: Iterator[Flaw]) -> set[bytes]:
    return {Digest.parse(flaw.thing).raw for flaw in flaws}
