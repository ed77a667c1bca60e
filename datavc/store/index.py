"""Finding objects: several pack indexes of one digest algorithm looked at as one, and the making of new ones.

A row is a hint: what it names is believed to be there only when the pack is, with the length that the index gives.
Location tuples stay plain (``pack, offset, stored, raw, flags``), because a checkout of a million files makes a million.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import xxhash

from datavc.backends.base import Backend
from datavc.errors import IntegrityError, StoredFileNotFound
from datavc.formats.packindex import MAX_INDEX_ROWS, PackIndexReader, encode_pack_index
from datavc.store import layout
from datavc.store.packwriter import SealedPack

# pack: raw xxh128 of the pack; offset, stored, raw: bytes; flags: form | codec << 1
Location = tuple[bytes, int, int, int, int]


class ObjectIndex:
    """Looks digests up in the pack indexes ``names``, opened when first needed, in that order."""

    def __init__(self, backend: Backend, algorithm: str, names: Sequence[str]) -> None:
        self._backend = backend
        self._algorithm = algorithm
        self.names = tuple(names)
        self._readers: list[PackIndexReader] | None = None
        self._packs: dict[bytes, bool] = {}

    def _open(self) -> list[PackIndexReader]:
        if self._readers is None:
            self._readers = []
            for name in self.names:
                path = layout.index_path(name)
                size = self._backend.head(path).size
                reader = PackIndexReader(partial(self._backend.read, path), size)
                if reader.algorithm == self._algorithm:
                    self._readers.append(reader)
        return self._readers

    def find(self, digest: bytes) -> Location | None:
        """Where the object lies, or None where no index names it in a pack that is there."""
        for reader in self._open():
            row = reader.find(digest)
            if row is not None:
                pack, size = reader.packs[row[1]]
                if self._is_there(pack, size):
                    return (pack, *row[2:])
        return None

    def find_many(self, digests: Iterable[bytes]) -> dict[bytes, Location]:
        """The locations of those of ``digests`` that are there."""
        missing = set(digests)
        found: dict[bytes, Location] = {}
        for reader in self._open():
            if not missing:
                break
            rows = reader.find_many(missing)
            packs = (
                [pack if self._is_there(pack, size) else None for pack, size in reader.packs] if rows else []
            )
            for digest, row in rows.items():
                pack = packs[row[1]]
                if pack is not None:
                    found[digest] = (pack, *row[2:])
                    missing.discard(digest)
        return found

    def packs(self) -> dict[bytes, int]:
        """Every pack that the indexes name, with its length in bytes."""
        return {pack: size for reader in self._open() for pack, size in reader.packs}

    def missing_packs(self) -> list[bytes]:
        """The packs that are named and not there, or there with another length."""
        return [pack for pack, size in self.packs().items() if not self._is_there(pack, size)]

    def locations(self) -> Iterable[tuple[bytes, Location]]:
        """Every row, digest first; a digest may come from more than one index."""
        for reader in self._open():
            for row in reader.rows():
                yield row[0], (reader.packs[row[1]][0], *row[2:])

    def _is_there(self, pack: bytes, size: int) -> bool:
        known = self._packs.get(pack)
        if known is None:
            try:
                known = self._backend.head(layout.pack_path(pack)).size == size
            except StoredFileNotFound:
                known = False
            self._packs[pack] = known
        return known


class IndexBuilder:
    """Gathers the rows of new packs, and of objects found elsewhere, until they are published as pack indexes."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._sizes: dict[bytes, int] = {}
        self._locations: dict[bytes, Location] = {}

    def __len__(self) -> int:
        return len(self._locations)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._locations

    def add_pack(self, pack: SealedPack) -> None:
        """Every entry of a published pack."""
        self._sizes[pack.name] = pack.size
        footer = pack.footer
        offset = 8
        locations, name = self._locations, pack.name
        columns = zip(footer.digests, footer.stored, footer.raw, footer.forms, footer.codecs, strict=True)
        for digest, stored, raw, form, codec in columns:
            locations.setdefault(digest, (name, offset, stored, raw, form | codec << 1))
            offset += stored

    def add(self, digest: bytes, location: Location, pack_size: int) -> None:
        """An object that lies in a pack written earlier."""
        self._sizes[location[0]] = pack_size
        self._locations.setdefault(digest, location)

    def find(self, digest: bytes) -> Location | None:
        """Where an object gathered here lies."""
        return self._locations.get(digest)

    def publish(self, backend: Backend) -> list[str]:
        """Write what was gathered since the last call as pack indexes of at most 2^20 rows; returns their names."""
        if not self._locations:
            return []
        ordered = sorted(self._locations)
        names = []
        for start in range(0, len(ordered), MAX_INDEX_ROWS):
            names.append(self._publish_rows(backend, ordered[start : start + MAX_INDEX_ROWS]))
        self._locations = {}
        self._sizes = {}
        return names

    def _publish_rows(self, backend: Backend, digests: list[bytes]) -> str:
        locations = self._locations
        packs = sorted({locations[digest][0] for digest in digests})
        ordinal = {pack: number for number, pack in enumerate(packs)}
        rows = []
        for digest in digests:
            location = locations[digest]
            rows.append((digest, ordinal[location[0]], *location[1:]))
        encoded = encode_pack_index(self._algorithm, [(pack, self._sizes[pack]) for pack in packs], rows)
        name = layout.sealed_name(xxhash.xxh3_128_digest(encoded))
        backend.write(layout.index_path(name), encoded)
        return name


def merge_indexes(backend: Backend, algorithm: str, names: Sequence[str]) -> list[str]:
    """One pack index (or as few as hold the rows) in place of several; the old ones stay where they are.

    Raises:
        IntegrityError: an index names a row of a pack that it does not list.
    """
    index = ObjectIndex(backend, algorithm, names)
    sizes = index.packs()
    builder = IndexBuilder(algorithm)
    for digest, location in index.locations():
        if location[0] not in sizes:
            raise IntegrityError(f"a pack index among {', '.join(names)} contradicts itself")
        builder.add(digest, location, sizes[location[0]])
    return builder.publish(backend)
