"""Records in the cache: a record's objects, the record, and last its root. And back: reading a record by its digest."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from datavc.errors import DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pack import DATA, MAX_ENTRY_BYTES, META, WHOLE
from datavc.formats.record import MAX_RECORD_BYTES, Record, StoredObject, decode_record, encode_record
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER, KIND_NAMES, Tree, encode_tree
from datavc.operations.steps.naming.notes import current_commit
from datavc.operations.steps.storing.reachable import Reachable
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.blobwriter import BlobWriter, pack_chunks
from datavc.store.cache import Cache
from datavc.store.cachelock import relied_on
from datavc.store.chunking import BLOB_CUTS, cut_points
from datavc.store.compression import Compressor
from datavc.store.packstream import PackStream, closing_streams
from datavc.store.roots import new_root, read_root

RECORD = "record"
_SPELLING = re.compile(r"([a-z0-9]+):([0-9a-f]{8,})")


class RecordWriter:
    """Gathers what one record keeps beside it. ``parents`` are the records that it will name: all of them must be here."""

    def __init__(self, cache: Cache, data: PackStream, meta: PackStream, reachable: Reachable) -> None:
        self._algorithm = cache.algorithm
        self._purged = cache.purged()
        self._data = data
        self._meta = meta
        self._reachable = reachable
        self._hash = hash_function(cache.algorithm)
        self._compressor = Compressor()
        self._blobs = BlobWriter(cache.algorithm, data, meta, reachable.has)
        self.objects: dict[str, StoredObject] = {}

    def blob(self, name: str, content: bytes) -> None:
        """Keep a blob."""
        digest = self._store_blob(content, name.encode())
        self.objects[name] = StoredObject("file", Digest(self._algorithm, digest), len(content), 1)

    def folder(self, name: str, files: Mapping[bytes, tuple[str, bytes]]) -> Digest:
        """Keep files, by path as kind and content, as a tree."""
        rows: dict[bytes, dict[bytes, tuple[int, int, int, bytes]]] = {b"": {}}
        for path, (kind, content) in files.items():
            parent, _, last = path.rpartition(b"/")
            digest = self._store_blob(content, last.rpartition(b".")[2])
            rows.setdefault(parent, {})[last] = (KIND_NAMES.index(kind), len(content), 1, digest)
            while parent:
                parent = parent.rpartition(b"/")[0]
                rows.setdefault(parent, {})
        tree, top = Tree(self._algorithm, [], b"", array("Q"), [], []), b""
        for path in sorted(rows, key=lambda path: (-path.count(b"/") - bool(path), path)):
            tree = _tree(self._algorithm, rows[path])
            encoded = encode_tree(tree)
            top = self._hash(encoded)
            if not self._reachable.has_whole(top):
                self._meta.add_tree(top, encoded, self._reachable.has)
            if path:
                parent, _, last = path.rpartition(b"/")
                rows[parent][last] = (FOLDER, tree.size, tree.count, top)
        made = Digest(self._algorithm, top)
        self.objects[name] = StoredObject("folder", made, tree.size, tree.count)
        return made

    def record(self, values: Mapping[str, Any]) -> tuple[Digest, int]:
        """Keep the record itself, which names what was kept before."""
        rows = {
            name: {"kind": kept.kind, "digest": str(kept.digest), "size": kept.size, "files": kept.files}
            for name, kept in self.objects.items()
        }
        encoded = encode_record({**values, "objects": rows})
        digest = self._hash(encoded)
        if not self._reachable.has_whole(digest):
            self._meta.add_tree(digest, encoded, self._reachable.has)
        return Digest(self._algorithm, digest), len(encoded)

    def _store_blob(self, content: bytes, suffix: bytes) -> bytes:
        digest = self._hash(content)
        # What was purged is named, and does not come back.
        if digest in self._purged or self._reachable.has_whole(digest) or self._data.holds(digest):
            return digest
        if len(content) <= MAX_ENTRY_BYTES:
            self._data.add(digest, content, WHOLE, self._compressor.pack(suffix, content))
            return digest
        view, start, chunks = memoryview(content), 0, []
        for end in cut_points(content, BLOB_CUTS):
            chunks.append(view[start:end])
            start = end
        self._blobs.add(view, pack_chunks(self._algorithm, chunks, self._reachable.has))
        return self._blobs.finish()[0]


class Written:
    """What :func:`writing_record` came to, once its block has ended."""

    digest: Digest


@contextmanager
def writing_record(
    repo: Repo, values: dict[str, Any], parents: list[Digest]
) -> Iterator[tuple[RecordWriter, Written]]:
    """Store a record: in the block its objects are given to the writer, and ``values`` completed. Then it is published.

    Raises:
        NotFoundError: a parent is not in the cache. UsageError: ``values`` are no record.
        StorageError, OutOfSpace: the cache could not be written; no root was.
    """
    with relied_on(repo.cache.folder):
        cache = repo.cache
        indexes: dict[str, None] = {}
        for parent in parents:
            root = cache.root(parent)
            if root is None:
                raise NotFoundError(f"the record {parent} is not in the cache", f"datavc fetch {parent}")
            indexes.update(dict.fromkeys(root.indexes))
        reachable = Reachable(cache, cache.algorithm, tuple(indexes))
        written = Written()
        with cache.scratch() as scratch:
            data, meta = (
                PackStream(cache.backend, scratch, cache.algorithm, content, published=reachable.add_pack)
                for content in (DATA, META)
            )
            with closing_streams((data, meta)):
                writer = RecordWriter(cache, data, meta, reachable)
                yield writer, written
                digest, size = writer.record(values)
        make = new_root(
            cache.repo_id,
            digest,
            kind=RECORD,
            size=size,
            files=1,
            path=b"",
            commit=current_commit(repo),
        )
        cache.publish_root(make, reachable.publish())
        written.digest = digest


def read_record(repo: Repo, digest: Digest) -> Record:
    """The record of that digest, out of the cache.

    Raises:
        ObjectNotFound: it is not there. MalformedError, DigestMismatch: it is damaged, or no record.
    """
    content = repo.cache.reader(digest).read(digest.raw, limit=MAX_RECORD_BYTES)
    return decode_record(content, f"the record {digest.short}")


def find_record(repo: Repo, text: str) -> Digest | None:
    """The digest of the record in the cache that ``text`` begins, with at least 8 hex digits; None where there is none.

    Raises:
        UsageError: several begin so.
    """
    if not _SPELLING.fullmatch(text):
        return None
    found = sorted({root.digest for root in _roots_called(repo.cache, text) if root.kind == RECORD})
    if len(found) > 1:
        raise UsageError(f"{text} is ambiguous: {', '.join(map(str, found))}", "type more digits")
    return found[0] if found else None


def _roots_called(cache: Cache, text: str) -> Iterator[Root]:
    """The roots of what ``text`` begins: looked for by their names, since there may be many thousands."""
    prefix, start = f"{layout.ROOTS}{cache.repo_id}/", text.replace(":", "-", 1)
    for file in cache.backend.list(prefix):
        name = file.name.removeprefix(prefix)
        if name.startswith(start):
            with suppress(DatavcError):
                root = read_root(cache.backend, cache.repo_id, Digest.parse_file_name(name))
                if root is not None and root.digest.algorithm == cache.algorithm:
                    yield root


def record_roots(cache: Cache) -> Iterator[Root]:
    """The roots of all records in the cache."""
    for _, root in cache.roots():
        if root is not None and root.kind == RECORD and root.digest.algorithm == cache.algorithm:
            yield root


def has_record(repo: Repo, digest: Digest) -> bool:
    """Whether the record and all that is reachable from it are in the cache."""
    try:
        root = repo.cache.root(digest)
    except (DatavcError, OSError):
        return False
    return root is not None and root.kind == RECORD


def _tree(algorithm: str, rows: Mapping[bytes, tuple[int, int, int, bytes]]) -> Tree:
    names = sorted(rows)
    return Tree(
        algorithm,
        names,
        bytes(rows[name][0] for name in names),
        array("Q", (rows[name][1] for name in names)),
        [rows[name][2] for name in names],
        [rows[name][3] for name in names],
    )
