"""Which objects of a store some roots need, so that what lies beside them in packs can be told from it.

Marks are one byte for each object that the roots' pack indexes name, beside its digest: 17 bytes, where a set takes 100.
An object is needed wherever it lies: what is kept whole in one pack may be a chunk list in another, and both are read.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from functools import partial

from datavc.backends.base import Backend
from datavc.errors import IntegrityError, ObjectNotFound, StoredFileNotFound
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pack import LIST
from datavc.formats.packindex import PackIndexReader
from datavc.formats.record import MAX_RECORD_BYTES, decode_record
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER, MAX_TREE_BYTES, decode_tree
from datavc.store import layout
from datavc.store.index import Location, open_index
from datavc.store.reader import ObjectReader


class Live:
    """The objects that ``roots`` need: all that a complete one reaches, and all that the indexes of another name.

    ``backend`` is read often, in small pieces: one that is far away is to be wrapped.

    Raises:
        IntegrityError: something that a complete root reaches cannot be read, so nobody knows what it needs.
    """

    def __init__(self, backend: Backend, roots: Iterable[Root]) -> None:
        self._backend = backend
        self._roots = list(roots)
        self._readers: dict[str, PackIndexReader] = {}
        partly = {name for root in self._roots if not root.complete for name in root.indexes}
        for name in dict.fromkeys(name for root in self._roots for name in root.indexes):
            try:
                self._readers[name] = open_index(backend, name)
            except StoredFileNotFound:
                # Whoever was writing an incomplete one was killed, or is being refused.
                if any(root.complete and name in root.indexes for root in self._roots):
                    raise
                partly.discard(name)
        algorithms = {reader.algorithm for reader in self._readers.values()}
        self._marks = {
            algorithm: _Marks([one for one in self._readers.values() if one.algorithm == algorithm])
            for algorithm in algorithms
        }
        self._walked: set[tuple[str, bytes]] = set()
        for name in partly:
            for row in self._readers[name].rows():
                self._marks[self._readers[name].algorithm].mark(row[0])
        for root in self._roots:
            if root.complete:
                self._walk(root)
        self._expand(partly)

    def __contains__(self, digest: bytes) -> bool:
        return any(digest in marks for marks in self._marks.values())

    def _mark(self, algorithm: str, digest: bytes) -> None:
        if algorithm in self._marks:
            self._marks[algorithm].mark(digest)

    def _walk(self, root: Root) -> None:
        algorithm = root.digest.algorithm
        readers = [self._readers[name] for name in root.indexes if self._readers[name].algorithm == algorithm]
        reader = ObjectReader(self._backend, algorithm, partial(_find, readers))
        try:
            if root.kind == "record":
                self._walk_record(reader, root.digest)
            else:
                self._walk_version(reader, root.digest, root.kind)
        except ObjectNotFound as error:
            raise IntegrityError(
                f"the root of {root.digest.short} promises what is not there: {error.message}", "datavc fsck"
            ) from error

    def _walk_record(self, reader: ObjectReader, top: Digest) -> None:
        pending = [top]
        while pending:
            digest = pending.pop()
            key = f"record {digest.algorithm}", digest.raw
            if key in self._walked:
                continue
            self._walked.add(key)
            self._mark(digest.algorithm, digest.raw)
            record = decode_record(reader.read(digest.raw, limit=MAX_RECORD_BYTES))
            for kept in record.objects.values():
                self._walk_version(reader, kept.digest, kept.kind)
            pending += [parent for parent in record.parents if parent.algorithm == top.algorithm]

    def _walk_version(self, reader: ObjectReader, top: Digest, kind: str) -> None:
        self._mark(top.algorithm, top.raw)
        pending = [top.raw] if kind == "folder" else []
        while pending:
            digest = pending.pop()
            if (top.algorithm, digest) in self._walked:
                continue
            self._walked.add((top.algorithm, digest))
            tree = decode_tree(reader.read(digest, limit=MAX_TREE_BYTES), top.algorithm)
            for row_kind, row_digest in zip(tree.kinds, tree.digests, strict=True):
                self._mark(top.algorithm, row_digest)
                if row_kind == FOLDER:
                    pending.append(row_digest)

    def _expand(self, partly: set[str]) -> None:
        """Mark what the chunk lists of needed objects name, wherever such a list lies."""
        done: set[tuple[str, bytes, bytes]] = set()
        grew = True
        while grew:
            grew = False
            for name, reader in self._readers.items():
                marks = self._marks[reader.algorithm]
                for digest, ordinal, *rest in reader.rows():
                    location: Location = (reader.packs[ordinal][0], *rest)  # type: ignore[assignment]
                    key = reader.algorithm, digest, location[0]
                    if not location[4] & LIST or digest not in marks or key in done:
                        continue
                    done.add(key)
                    grew = True
                    self._expand_one(reader.algorithm, digest, location, is_partly=name in partly)

    def _expand_one(self, algorithm: str, digest: bytes, location: Location, *, is_partly: bool) -> None:
        readers = [reader for reader in self._readers.values() if reader.algorithm == algorithm]
        try:
            for listed in ObjectReader(self._backend, algorithm, partial(_find, readers)).levels(
                digest, location
            ):
                for chunk in listed.digests:
                    self._mark(algorithm, chunk)
        except ObjectNotFound as error:
            if not is_partly:
                name = layout.pack_path(location[0])
                raise IntegrityError(
                    f"the chunk list of {Digest(algorithm, digest)} in {name} cannot be read: {error.message}",
                    "datavc fsck",
                ) from error


def _find(readers: list[PackIndexReader], wanted: bytes) -> Location | None:
    for reader in readers:
        row = reader.find(wanted)
        if row is not None:
            return (reader.packs[row[1]][0], *row[2:])
    return None


class _Marks:
    """A mark for each digest that some pack indexes of one algorithm name."""

    def __init__(self, readers: list[PackIndexReader]) -> None:
        self._length = len(hash_function(readers[0].algorithm)(b""))
        digests = bytearray()
        last = b""
        for digest in heapq.merge(*((row[0] for row in reader.rows()) for reader in readers)):
            if digest != last:
                digests += digest
                last = digest
        self._digests = bytes(digests)
        self._flags = bytearray(len(digests) // self._length)

    def mark(self, digest: bytes) -> None:
        """Mark it, if it is there."""
        place = self._place(digest)
        if place is not None:
            self._flags[place] = 1

    def __contains__(self, digest: bytes) -> bool:
        place = self._place(digest)
        return place is not None and bool(self._flags[place])

    def _place(self, digest: bytes) -> int | None:
        length, digests = self._length, self._digests
        low, high = 0, len(self._flags)
        while low < high:
            middle = (low + high) // 2
            found = digests[middle * length : (middle + 1) * length]
            if found < digest:
                low = middle + 1
            elif found > digest:
                high = middle
            else:
                return middle
        return None
