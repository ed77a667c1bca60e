"""Whether all of a version can be had from a store. Each distinct tree is looked at once, however often it is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datavc.errors import DatavcError, MalformedError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.pack import LIST
from datavc.formats.tree import FOLDER, Tree
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.store import layout
from datavc.store.index import ObjectIndex
from datavc.store.purged import purged_digests
from datavc.store.reader import ObjectReader, Readable

ABSENT = "is not in the cache"
# More paths are not named one by one: in folders that name each other they may be a hundred million.
_MOST_PATHS = 10_000


class Flaw(NamedTuple):
    """A path inside a version, what is wrong with it, and the object that it is about."""

    path: bytes
    message: str
    thing: str


@dataclass(slots=True)
class _Flaws:
    """What is wrong in one version, by tree, and which trees are in which."""

    by_tree: dict[bytes, list[Flaw]] = field(default_factory=dict)
    above: dict[bytes, set[bytes]] = field(default_factory=dict)
    trees: dict[bytes, Tree] = field(default_factory=dict)


class Soundness:
    """Judges the versions in ``cache``. ``index`` says where objects are, ``damaged`` which are not what they should be,
    with the stored file that has them, and ``unreadable`` are packs of which nothing can be read. ``purged`` is no flaw."""

    def __init__(
        self,
        cache: Readable,
        index: ObjectIndex,
        damaged: Mapping[bytes, str],
        unreadable: Collection[bytes],
    ) -> None:
        self._cache = cache
        self._index = index
        self._reader = ObjectReader(cache.backend, cache.algorithm, index.find)
        self._damaged = damaged
        self._unreadable = unreadable
        self._sound: set[bytes] = set()
        self._listed: dict[bytes, Flaw | None] = {}
        self._purged = purged_digests(cache.backend, cache.algorithm)
        self.purged: set[bytes] = set()

    def flaws(self, version: Digest, kind: str) -> Iterator[Flaw]:
        """Everything of a version that cannot be had."""
        trees = TreeSource(self._cache, None, version, kind)
        if trees.kind != FOLDER:
            flaw = self._object(b"", version.raw, None)
            if flaw is not None:
                yield flaw
            return
        try:
            trees.require_walkable(trees.top)
        except MalformedError as error:
            yield Flaw(b"", f"cannot be listed: {error.message}", str(version))
            return
        except DatavcError:
            pass  # A tree that is gone or damaged is found again below, where its path is known.
        found = self._in_trees(trees)
        if found.by_tree:
            yield from _by_path(version, found)
        else:
            self._sound |= found.trees.keys()

    def amounts(self, version: Digest, kind: str, said: int) -> tuple[int, int] | None:
        """The bytes and files of a version, if enough of it is here to know. A whole blob is only asked whether it is
        of the size that is ``said``."""
        trees = TreeSource(self._cache, None, version, kind)
        if trees.kind == FOLDER:
            try:
                top = trees.tree(trees.top)
            except DatavcError:
                return None
            return top.size, top.count
        location = self._index.find(version.raw)
        if location is not None and not location[4] & LIST:
            return location[3], 1
        if location is not None:
            try:
                return self._reader.chunk_list(version.raw, location).total, 1
            except DatavcError:
                return None
        if self._cache.has_blob(version.raw, None):
            return (said if self._cache.has_blob(version.raw, said) else -1), 1
        return None

    def _in_trees(self, trees: TreeSource) -> _Flaws:
        found = _Flaws()
        pending, seen = [trees.top], {trees.top}
        while pending:
            name = pending.pop()
            try:
                tree = found.trees[name] = trees.tree(name)
            except DatavcError as error:
                message = ABSENT if isinstance(error, ObjectNotFound) else error.message
                found.by_tree[name] = [self._flaw(b"", message, name)]
                continue
            flaws = []
            for entry in entries(tree):
                if entry.kind == FOLDER:
                    found.above.setdefault(entry.digest, set()).add(name)
                    if entry.digest not in seen:
                        seen.add(entry.digest)
                        pending.append(entry.digest)
                elif name not in self._sound:
                    flaw = self._object(entry.name, entry.digest, entry.size)
                    if flaw is not None:
                        flaws.append(flaw)
            if flaws:
                found.by_tree[name] = flaws
        return found

    def _object(self, name: bytes, digest: bytes, size: int | None) -> Flaw | None:
        location = self._index.find(digest)
        if location is None and digest in self._purged:
            self.purged.add(digest)
            return None
        if location is None:
            if digest in self._damaged:
                return self._flaw(name, f"is damaged in {self._damaged[digest]}", digest)
            return None if self._cache.has_blob(digest, size) else self._flaw(name, ABSENT, digest)
        if digest in self._damaged or location[0] in self._unreadable:
            return self._flaw(name, f"is damaged in {layout.pack_path(location[0])}", digest)
        if not location[4] & LIST:
            return None
        if digest not in self._listed:
            self._listed[digest] = self._chunks(digest, location)
        flaw = self._listed[digest]
        return flaw._replace(path=name) if flaw is not None else None

    def _chunks(self, digest: bytes, location: tuple[bytes, int, int, int, int]) -> Flaw | None:
        """What is wrong with an object that is kept as a chunk list."""
        try:
            chunks = dict.fromkeys(self._reader.chunk_list(digest, location).digests)
        except DatavcError as error:
            return self._flaw(b"", error.message, digest)
        found = self._index.find_many(chunks)
        for chunk in chunks:
            if chunk not in found or chunk in self._damaged or found[chunk][0] in self._unreadable:
                return self._flaw(b"", "has a chunk that is missing or damaged", chunk)
        return None

    def _flaw(self, name: bytes, message: str, digest: bytes) -> Flaw:
        return Flaw(name, message, str(Digest(self._cache.algorithm, digest)))


def _by_path(version: Digest, found: _Flaws) -> Iterator[Flaw]:
    """What was found, at every path at which it is; folders in which nothing is wrong are not entered."""
    leading, pending = set(found.by_tree), list(found.by_tree)
    while pending:
        fresh = found.above.get(pending.pop(), set()) - leading
        leading |= fresh
        pending += fresh
    told = 0
    places = [(b"", version.raw)]
    while places:
        path, name = places.pop()
        for flaw in found.by_tree.get(name, ()):
            if told == _MOST_PATHS:
                yield Flaw(b"", f"has more than {_MOST_PATHS:,} paths of which this is so", str(version))
                return
            told += 1
            yield flaw._replace(path=b"/".join(filter(None, (path, flaw.path))))
        if name in found.trees:
            inner = [entry for entry in entries(found.trees[name]) if entry.kind == FOLDER]
            places += [
                (path + b"/" + entry.name if path else entry.name, entry.digest)
                for entry in reversed(inner)
                if entry.digest in leading
            ]
