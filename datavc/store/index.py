"""Finding objects: several pack indexes of one digest algorithm looked at as one, and the making of new ones.

A row is a hint: what it names is believed to be there only when the pack is, with the length that the index gives.
Location tuples stay plain (``pack, offset, stored, raw, flags``), because a checkout of a million files makes a million.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate, groupby, islice
from operator import or_
from typing import TYPE_CHECKING

import xxhash

from datavc.backends.base import Backend, is_there
from datavc.errors import IntegrityError, StoredFileNotFound
from datavc.formats.header import HEADER_BYTES
from datavc.formats.packindex import (
    MAX_INDEX_ROWS,
    IndexColumns,
    PackIndexReader,
    encode_pack_index,
)
from datavc.store import layout

if TYPE_CHECKING:
    from datavc.store.packwriter import SealedPack

# pack: raw xxh128 of the pack; offset, stored, raw: bytes; flags: form | codec << 1
Location = tuple[bytes, int, int, int, int]
_AS_FLAG = bytes(2 * codec & 0xFF for codec in range(256))


def open_index(backend: Backend, name: str) -> PackIndexReader:
    """A pack index, whatever its algorithm. Raises StoredFileNotFound, MalformedError, StorageError."""
    path = layout.index_path(name)
    return PackIndexReader(
        partial(backend.read, path),
        backend.head(path).size,
        f"{path} of {backend.describe()}",
        "datavc fsck --repair, or datavc fsck -r NAME --repair where it is a remote's",
    )


def list_indexes(backend: Backend) -> dict[str, int]:
    """The name of every pack index there is, with its length in bytes: one listing. Raises StorageError."""
    return {file.name.removeprefix(layout.INDEXES): file.size for file in backend.list(layout.INDEXES)}


class ObjectIndex:
    """Looks digests up in the pack indexes ``names``, opened when first needed.

    A row counts only while its pack is there; without ``look`` packs are believed to be, until :meth:`drop` says otherwise.
    With ``may_go`` an index that is gone is left out: its name came out of a listing, and gc may delete meanwhile.
    """

    def __init__(
        self,
        backend: Backend,
        algorithm: str,
        names: Sequence[str],
        *,
        look: bool = True,
        may_go: bool = False,
    ) -> None:
        self._backend = backend
        self._algorithm = algorithm
        self._look = look
        self._may_go = may_go
        self.names = tuple(names)
        self._readers: list[PackIndexReader] | None = None
        self._packs: dict[bytes, bool] = {}

    def _open(self) -> list[PackIndexReader]:
        if self._readers is None:
            readers = []
            for name in self.names:
                try:
                    reader = open_index(self._backend, name)
                except StoredFileNotFound:
                    if self._may_go:
                        continue
                    raise
                if reader.algorithm == self._algorithm:
                    readers.append(reader)
            # From afar: indexes that were published together share the digests among them by their order. So the one that
            # begins last before a digest has it, and no other is asked: of ten million objects, one frame instead of six.
            if not self._look:
                readers.sort(key=lambda reader: reader.first, reverse=True)
            # All or none: after a failure, and in other threads, half of them would pass for all there are.
            self._readers = readers
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
            rows = reader.locate_many(missing, [pack for pack, _ in reader.packs])
            if rows and (self._look or self._packs):
                # Thousands of small adds leave thousands of packs: only those that are named are looked at.
                sizes = dict(reader.packs)
                named = {row[0] for row in rows.values()}
                gone = {pack for pack in named if not self._is_there(pack, sizes[pack])}
                if gone:
                    rows = {digest: row for digest, row in rows.items() if row[0] not in gone}
            found |= rows
            missing -= rows.keys()
        return found

    def packs(self) -> dict[bytes, int]:
        """Every pack that the indexes name, with its length in bytes."""
        return {pack: size for reader in self._open() for pack, size in reader.packs}

    def missing_packs(self) -> list[bytes]:
        """The packs that are named and not there, or there with another length."""
        return [pack for pack, size in self.packs().items() if not self._is_there(pack, size)]

    def drop(self, packs: Iterable[bytes]) -> None:
        """Look at no row of these packs any more: they are lost or damaged."""
        self._packs.update(dict.fromkeys(packs, False))

    def locations(self) -> Iterable[tuple[bytes, Location]]:
        """Every row, digest first; a digest may come from more than one index."""
        for reader in self._open():
            for row in reader.rows():
                yield row[0], (reader.packs[row[1]][0], *row[2:])

    def _is_there(self, pack: bytes, size: int) -> bool:
        known = self._packs.get(pack)
        if known is None and not self._look:
            return True
        if known is None:
            known = self._packs[pack] = is_there(self._backend, layout.pack_path(pack), size)
        return known


class IndexBuilder:
    """Gathers the rows of new packs, and of objects found elsewhere, until they are published as pack indexes.

    Rows are kept as columns, in the order they came: a tuple for each takes three times as long to make and to sort.
    """

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._clear()

    def _clear(self) -> None:
        self._packs: dict[bytes, int] = {}
        self._sizes: list[int] = []
        self._known: set[bytes] = set()
        self._digests: list[bytes] = []
        self._ordinals, self._offsets = array("I"), array("I")
        self._stored, self._raw = array("I"), array("I")
        self._flags = bytearray()

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._known

    def add_pack(self, pack: SealedPack) -> None:
        """Every entry of a published pack."""
        footer, ordinal = pack.footer, self._ordinal(pack.name, pack.size)
        count = len(footer.digests)
        self._known.update(footer.digests)
        self._digests += footer.digests
        self._ordinals.extend(array("I", [ordinal]) * count)
        self._offsets.extend(islice(accumulate(footer.stored, initial=HEADER_BYTES), count))
        self._stored.extend(footer.stored)
        self._raw.extend(footer.raw)
        self._flags.extend(map(or_, footer.forms, footer.codecs.translate(_AS_FLAG)))

    def add(self, digest: bytes, location: Location, pack_size: int) -> None:
        """An object that lies in a pack written earlier."""
        if digest in self._known:
            return
        self._known.add(digest)
        self._digests.append(digest)
        self._ordinals.append(self._ordinal(location[0], pack_size))
        for column, value in zip((self._offsets, self._stored, self._raw), location[1:4], strict=True):
            column.append(value)
        self._flags.append(location[4])

    def _ordinal(self, pack: bytes, size: int) -> int:
        ordinal = self._packs.setdefault(pack, len(self._packs))
        if ordinal == len(self._sizes):
            self._sizes.append(size)
        return ordinal

    def publish(self, backend: Backend, *, empty: bool = False) -> list[str]:
        """Write what was gathered since the last call as pack indexes of at most 2^20 rows; returns their names.

        With ``empty`` nothing makes an index too, one without rows.
        """
        digests = self._digests
        order = sorted(range(len(digests)), key=digests.__getitem__)
        if len(self._known) < len(order):
            # Two packs may hold one object: the first row that came stands for it.
            order = [next(same) for _, same in groupby(order, digests.__getitem__)]
        names = [
            self._publish_rows(backend, order[start : start + MAX_INDEX_ROWS])
            for start in range(0, len(order) or int(empty), MAX_INDEX_ROWS)
        ]
        self._clear()
        return names

    def _publish_rows(self, backend: Backend, order: list[int]) -> str:
        """One pack index of the rows with these numbers; its packs are sorted by name, so that its bytes are the same
        in whatever order they came."""
        ordinals = array("I", map(self._ordinals.__getitem__, order))
        used = set(ordinals)
        packs = sorted((name, self._sizes[number]) for name, number in self._packs.items() if number in used)
        places = {self._packs[name]: place for place, (name, _) in enumerate(packs)}
        columns = IndexColumns(
            list(map(self._digests.__getitem__, order)),
            array("I", map(places.__getitem__, ordinals)),
            array("I", map(self._offsets.__getitem__, order)),
            array("I", map(self._stored.__getitem__, order)),
            array("I", map(self._raw.__getitem__, order)),
            bytes(map(self._flags.__getitem__, order)),
        )
        encoded = encode_pack_index(self._algorithm, packs, columns)
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
