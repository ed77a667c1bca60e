"""Dropping versions from the cache: their roots, and the pack indexes, packs and blobs that nothing else here needs.

Order: the roots are marked as incomplete, then packs, pack indexes and blobs go, the roots last. Killed in between, the
versions are not here any more, and whoever drops them again finds in their roots what is left of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from datavc.errors import ConflictError, DatavcError, IntegrityError, ObjectNotFound, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.record import MAX_RECORD_BYTES, decode_record
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.index import ObjectIndex, list_indexes
from datavc.store.roots import list_roots, write_root


@dataclass(slots=True)
class Drop:
    """What goes: stored names with their sizes in bytes."""

    roots: list[Root] = field(default_factory=list)
    packs: dict[str, int] = field(default_factory=dict)
    indexes: dict[str, int] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(sum(part.values()) for part in (self.packs, self.indexes, self.blobs))


class Eviction:
    """What is in the cache, looked at once. Whoever makes one must be alone in it.

    Raises:
        ConflictError, IntegrityError: there is a root or pack index that cannot be read, so nobody knows what it needs.
    """

    def __init__(self, repo: Repo, shown: Iterable[Digest]) -> None:
        """``shown`` are the versions that worktrees show: links may lead into their blobs."""
        self._repo = repo
        self._cache: Cache = repo.cache
        backend = self._cache.backend
        self._shown = {digest.raw for digest in shown}
        self.roots: list[Root] = []
        for name, root in list_roots(backend):
            if root is None:
                raise ConflictError(
                    f"{name} in the cache {self._cache.folder} cannot be read, and nobody knows what it needs",
                    "datavc fsck",
                )
            self.roots.append(root)
        self._packs = {file.name: file.size for file in backend.list(layout.PACKS)}
        self._blobs = {file.name: file.size for file in backend.list(layout.BLOBS)}
        self._indexes = list_indexes(backend)
        self._named = {name: self._packs_of(name) for name in self._indexes}
        self._blob_digests: dict[Digest, set[bytes] | None] = {}

    @property
    def size(self) -> int:
        """Bytes in the cache."""
        return sum(sum(part.values()) for part in (self._packs, self._indexes, self._blobs))

    def plan(self, dropped: Iterable[Root]) -> Drop:
        """What can go with those roots: only what they name, and nothing else does."""
        drop = Drop(list(dropped))
        gone = {(root.repo, root.digest) for root in drop.roots}
        kept = [root for root in self.roots if (root.repo, root.digest) not in gone]
        kept_indexes = {name for root in kept for name in root.indexes}
        # A pack index that no root names is that of a run that was interrupted: what it wrote is nowhere else.
        named = {name for root in drop.roots for name in root.indexes}
        indexes = (named - kept_indexes) & self._indexes.keys()
        needed = {pack for name in self._indexes.keys() - indexes for pack in self._named[name]}
        packs = {pack for name in indexes for pack in self._named[name]} - needed
        drop.indexes = {layout.index_path(name): self._indexes[name] for name in sorted(indexes)}
        drop.packs = {name: self._packs[name] for name in sorted(packs & self._packs.keys())}
        drop.blobs = self._blobs_of(drop.roots, kept)
        return drop

    def carry_out(self, drop: Drop) -> None:
        """Delete it. Raises StorageError."""
        backend = self._cache.backend
        for root in drop.roots:
            if root.complete:
                write_root(backend, replace(root, complete=False))
        for name in (*drop.packs, *drop.indexes, *drop.blobs):
            backend.delete(name)
        for root in drop.roots:
            backend.delete(layout.root_path(root.repo, root.digest))
        backend.close()

    def _packs_of(self, name: str) -> set[str]:
        index = ObjectIndex(self._cache.backend, self._cache.algorithm, (name,), look=False)
        try:
            return {layout.pack_path(pack) for pack in index.packs()}
        except (IntegrityError, StoredFileNotFound) as error:
            raise IntegrityError(
                f"the pack index {name} cannot be read: {error.message}", "datavc fsck"
            ) from error

    def _blobs_of(self, dropped: list[Root], kept: list[Root]) -> dict[str, int]:
        """Whole blobs that only the dropped versions consist of, and none that a worktree shows: it may be linked to."""
        if not self._blobs:
            return {}
        wanted: set[bytes] = set()
        for root in dropped:
            wanted |= self._files_of(root) or set()
        for root in (*kept, *(root for root in dropped if root.digest.raw in self._shown)):
            files = self._files_of(root)
            if files is None:
                return {}
            wanted -= files
        names = {layout.blob_path(self._cache.algorithm, digest) for digest in wanted}
        return {name: self._blobs[name] for name in sorted(names & self._blobs.keys())}

    def _files_of(self, root: Root) -> set[bytes] | None:
        """The digests of a version's files; None where that cannot be known."""
        if root.digest not in self._blob_digests:
            # A remote holds what is dropped, so of a version that is here in part, its links alone could miss it.
            self._blob_digests[root.digest] = files_of(self._cache, root, partly=True)
        return self._blob_digests[root.digest]


def files_of(cache: Cache, root: Root, *, partly: bool = False) -> set[bytes] | None:
    """The digests of the files that a root's version, or what a record keeps, consists of; None where nobody can know.

    With ``partly`` it is enough, of a root that is not complete, what is known from the trees that are here.
    """
    if root.digest.algorithm != cache.algorithm:
        return None
    files: set[bytes] = set()
    try:
        for digest, kind in _parts(cache, root):
            if kind == "folder":
                files |= _files_below(cache, digest, partly=partly and not root.complete)
            else:
                files.add(digest.raw)
    except DatavcError:
        return None
    return files


def _parts(cache: Cache, root: Root) -> list[tuple[Digest, str]]:
    if root.kind != "record":
        return [(root.digest, root.kind)]
    encoded = cache.reader(root.digest).read(root.digest.raw, limit=MAX_RECORD_BYTES)
    # What a record that was fetched keeps may be here as a whole blob alone. The records that it names have roots.
    return [(kept.digest, kept.kind) for kept in decode_record(encoded).objects.values()]


def _files_below(cache: Cache, top: Digest, *, partly: bool) -> set[bytes]:
    source = TreeSource(cache, None, top, "folder")
    files: set[bytes] = set()
    pending, seen = [top.raw], {top.raw}
    while pending:
        try:
            tree = source.tree(pending.pop())
        except ObjectNotFound:
            if partly:
                continue
            raise
        for entry in entries(tree):
            if entry.kind != FOLDER:
                files.add(entry.digest)
            elif entry.digest not in seen:
                seen.add(entry.digest)
                pending.append(entry.digest)
    return files
