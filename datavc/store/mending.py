"""Mending a cache: what is damaged is put aside, once what is sound in it was stored anew. Nothing is deleted.

Order: sound entries into new packs; pack indexes that name these instead; then the old indexes and the damaged packs go
into ``quarantine/``, those at once of which all was sound, and which the new ones replace under the same name. Killed in
between, the damage is still there to be found. Roots that named the old indexes prove nothing from then on;
:meth:`Mender.finish` gives them the new ones, if by then all that was lost is here again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import xxhash

from datavc.backends.base import Backend
from datavc.durable import storage_errors
from datavc.errors import DatavcError, MalformedError, StorageError, StoredFileNotFound
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import (
    DATA,
    LIST,
    META,
    decode_pack_header,
)
from datavc.formats.root import Root
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.check import check_blob, check_pack
from datavc.store.index import IndexBuilder, Location, ObjectIndex
from datavc.store.packreader import locations, read_footer
from datavc.store.packstream import PackStream, closing_streams
from datavc.store.packwriter import SealedPack
from datavc.store.reader import ObjectReader
from datavc.store.reindexing import footer_despite, rows_left
from datavc.store.replacing import ReplacingBackend
from datavc.store.roots import MAX_INDEXES, list_roots, write_root

Warn = Callable[[str], None]


class Mender:
    """Mends what of ``cache`` some objects depend on. ``warn`` is told each stored file that is put aside, and why."""

    def __init__(self, cache: Cache, warn: Warn) -> None:
        self._cache = cache
        self._backend = cache.backend
        self._warn = warn
        self._sound: set[bytes] = set()
        self._checked_indexes: set[str] = set()
        self._replaced: set[str] = set()
        self._new: list[str] = []
        self._lost: set[bytes] = set()

    def mend(self, wanted: set[bytes] | None) -> None:
        """Read every stored file that one of the objects ``wanted`` may be taken from, and put aside what is damaged.

        None is all there are.

        Raises:
            StorageError: the cache cannot be read or written.
        """
        damaged_indexes = self._damaged_indexes()
        indexes = {
            name: ObjectIndex(self._backend, self._cache.algorithm, [name], look=False)
            for name in self._cache.index_names()
            if name not in damaged_indexes
        }
        orphans = self._orphans(indexes) if damaged_indexes else set()
        packs = self._packs_of(wanted, indexes) if wanted is not None else self._all_packs(indexes)
        damaged = self._damaged_packs(packs | orphans)
        if damaged or damaged_indexes:
            affected = {
                name: index for name, index in indexes.items() if not damaged.isdisjoint(index.packs())
            }
            # What takes the place of something damaged may be that as it once was, under the name that it has.
            old = {layout.index_path(name) for name in damaged_indexes} | {*map(layout.pack_path, damaged)}
            store = ReplacingBackend(self._backend, old)
            untold = self._untold(orphans & damaged, damaged_indexes)
            new = self._rewrite(store, affected, damaged, orphans - damaged, untold, indexes)
            self._new += new
            self._replaced.update(affected, damaged_indexes)
            old |= {layout.index_path(name) for name in affected}
            for path in old - store.replaced - {layout.index_path(name) for name in new}:
                self._put_aside(path)
        for path in self._blobs_of(wanted):
            self._check_blob(path)

    def finish(self) -> None:
        """Put unreadable roots aside; give those whose indexes were replaced the new ones, unless something is lost."""
        index = ObjectIndex(self._backend, self._cache.algorithm, self._cache.index_names())
        found = index.find_many(self._lost)
        new = list(self._new)
        if found:
            builder, sizes = IndexBuilder(self._cache.algorithm), index.packs()
            for digest, location in found.items():
                builder.add(digest, location, sizes[location[0]])
            new += builder.publish(self._backend)
        for name, root in list_roots(self._backend):
            if root is None:
                self._warn(
                    f"warning: {name} cannot be read, or is that of another version, and proves nothing"
                )
                self._put_aside(name)
            elif len(found) == len(self._lost) and not self._replaced.isdisjoint(root.indexes):
                self._renew(root, new)

    def _renew(self, root: Root, new: list[str]) -> None:
        names = tuple(dict.fromkeys([*(n for n in root.indexes if n not in self._replaced), *new]))
        if 1 <= len(names) <= MAX_INDEXES:
            write_root(self._backend, replace(root, indexes=names))

    # What is damaged

    def _damaged_indexes(self) -> list[str]:
        damaged = []
        for name in self._cache.index_names():
            if name in self._checked_indexes:
                continue
            path = layout.index_path(name)
            if xxhash.xxh3_128_digest(self._backend.read(path)) != layout.sealed_raw(name):
                self._warn(f"warning: {path} is not what its name says: it is made again from the packs")
                damaged.append(name)
            self._checked_indexes.add(name)
        return damaged

    def _orphans(self, indexes: dict[str, ObjectIndex]) -> set[bytes]:
        """The packs that no sound pack index names."""
        named = {pack for index in indexes.values() for pack in index.packs()}
        return self._stored_packs() - named

    def _all_packs(self, indexes: dict[str, ObjectIndex]) -> set[bytes]:
        return self._stored_packs().union(*(index.packs() for index in indexes.values()))

    def _stored_packs(self) -> set[bytes]:
        """The packs that are there; files of other names are nobody's."""
        found = set()
        for file in self._backend.list(layout.PACKS):
            with suppress(MalformedError):
                found.add(layout.pack_of(file.name))
        return found

    def _blobs_of(self, wanted: set[bytes] | None) -> list[str]:
        if wanted is None:
            return [file.name for file in self._backend.list(layout.BLOBS)]
        return [layout.blob_path(self._cache.algorithm, digest) for digest in wanted]

    def _packs_of(self, wanted: set[bytes], indexes: dict[str, ObjectIndex]) -> set[bytes]:
        """Every pack in which one of the objects, or of their chunks, is said to lie, there or not."""
        reader = self._reader(list(indexes))
        packs, pending = set(), wanted
        while pending:
            chunks: set[bytes] = set()
            for index in indexes.values():
                for digest, location in index.find_many(pending).items():
                    packs.add(location[0])
                    if location[4] & LIST:
                        try:
                            for listed in reader.levels(digest, location):
                                chunks.update(listed.digests)
                        except DatavcError:
                            # Nobody knows which chunks it had.
                            return {pack for index in indexes.values() for pack in index.packs()}
            pending = chunks - wanted
            wanted = wanted | chunks
        return packs

    def _damaged_packs(self, packs: set[bytes]) -> set[bytes]:
        damaged = set()
        for pack in sorted(packs - self._sound):
            path = layout.pack_path(pack)
            try:
                checked = check_pack(self._backend, path, in_pieces=True)
                # A pack that is as it was written, in a format that this version does not know, is not damaged.
                message = checked.message if checked.damaged or not checked.intact else ""
            except StoredFileNotFound:
                message = "is missing"
            except StorageError as error:
                message = f"cannot be read ({error.message})"
            if message:
                self._warn(
                    f"warning: {path} {message}: what is sound in it is kept, the rest stored anew if it can be"
                )
                damaged.add(pack)
            else:
                self._sound.add(pack)
        return damaged

    def _check_blob(self, path: str) -> None:
        try:
            size = self._backend.head(path).size
        except StoredFileNotFound:
            return
        if check_blob(self._backend, path, size) is not None:
            self._warn(f"warning: {path} is not what its name says")
            self._put_aside(path)

    # What takes its place

    def _rewrite(
        self,
        store: Backend,
        affected: dict[str, ObjectIndex],
        damaged: set[bytes],
        orphans: set[bytes],
        untold: dict[bytes, Location],
        indexes: dict[str, ObjectIndex],
    ) -> list[str]:
        """Store what is sound of the damaged packs; returns the pack indexes that name all that the affected ones did.

        ``untold`` is what of them no sound pack index tells.
        """
        builder = IndexBuilder(self._cache.algorithm)
        suspects = list(untold.items())
        for index in affected.values():
            sizes = index.packs()
            for digest, location in index.locations():
                if location[0] in damaged:
                    suspects.append((digest, location))
                else:
                    builder.add(digest, location, sizes[location[0]])
        for pack in orphans:
            untold = dict(self._index_orphan(builder, pack)) | untold
        saved: set[bytes] = set()
        with self._cache.scratch() as scratch:
            streams = {
                content: PackStream(
                    store, scratch, self._cache.algorithm, content, published=builder.add_pack
                )
                for content in (DATA, META)
            }
            with closing_streams(streams.values()):
                for digest, entry, location, content in self._sound_entries(suspects, untold, list(indexes)):
                    form, packed = location[4] & 1, location[4] >> 1
                    streams[content].add_stored(digest, entry, location[3], form, packed)
                    saved.add(digest)
        self._lost |= {digest for digest, _ in suspects} - saved
        return builder.publish(store)

    def _index_orphan(self, builder: IndexBuilder, pack: bytes) -> Iterator[tuple[bytes, Location]]:
        """Take a sound pack into an index; returns what lies where in it."""
        size = self._backend.head(layout.pack_path(pack)).size
        footer = read_footer(self._backend, pack, size)
        if footer.algorithm != self._cache.algorithm:
            return iter(())
        builder.add_pack(SealedPack(pack, size, Path(), footer))
        return locations(pack, footer)

    def _untold(self, packs: set[bytes], damaged_indexes: list[str]) -> dict[bytes, Location]:
        """What damaged packs say that they hold, and what damaged pack indexes say of those that do not."""
        found: dict[bytes, Location] = {}
        for name in damaged_indexes:
            rows = rows_left(self._backend, name)
            found |= {row.digest: row.location for row in rows if row.algorithm == self._cache.algorithm}
        for pack in packs:
            with suppress(DatavcError):
                size = self._backend.head(layout.pack_path(pack)).size
                footer = footer_despite(self._backend, pack, size, self._cache.algorithm)
                if footer.algorithm == self._cache.algorithm:
                    found.update(locations(pack, footer))
        return found

    def _sound_entries(
        self, suspects: list[tuple[bytes, Location]], untold: dict[bytes, Location], names: list[str]
    ) -> Iterator[tuple[bytes, bytes, Location, int]]:
        """Those entries of damaged packs that are what their digest says, with the kind of content they lie among."""
        told = ObjectIndex(self._backend, self._cache.algorithm, names, look=False)
        reader = ObjectReader(
            self._backend,
            self._cache.algorithm,
            lambda digest: told.find(digest) or untold.get(digest),
        )
        contents: dict[bytes, int] = {}
        for digest, location in sorted(suspects, key=lambda item: item[1][:2]):
            pack, offset, stored, *_ = location
            path = layout.pack_path(pack)
            try:
                if location[4] & LIST:
                    # The digest is that of the whole, so the list is judged by what its chunks come to.
                    for _ in reader.stream(digest):
                        pass
                else:
                    reader.read_whole(digest, location)
                entry = self._backend.read(path, offset, stored)
            except DatavcError:
                continue
            if pack not in contents:
                contents[pack] = self._content_of(path)
            yield digest, entry, location, contents[pack]

    def _content_of(self, path: str) -> int:
        try:
            return decode_pack_header(self._backend.read(path, 0, HEADER_BYTES))[1]
        except MalformedError:
            return DATA

    def _reader(self, names: list[str]) -> ObjectReader:
        index = ObjectIndex(self._backend, self._cache.algorithm, names, look=False)
        return ObjectReader(self._backend, self._cache.algorithm, index.find)

    def _put_aside(self, name: str) -> None:
        with storage_errors(name), suppress(FileNotFoundError):
            self._backend.put_aside(name)
