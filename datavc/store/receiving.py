"""Receiving objects from a remote: which bytes to ask for, and what of the answer is what it must be.

Nothing received has a name before it was hashed: a pack against its own name and entry by entry, a range entry by entry.
What is wrong is asked for once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from datavc.backends.base import Backend
from datavc.errors import (
    DatavcError,
    IntegrityError,
    StorageError,
    StoredFileNotFound,
    TransientError,
)
from datavc.formats.pack import DATA, LIST, WHOLE, PackFooter
from datavc.store import layout
from datavc.store.cachefolder import CacheFolder
from datavc.store.check import damaged_entries
from datavc.store.index import Location
from datavc.store.packreader import decode_entry, locations, open_pack
from datavc.store.packwriter import SealedPack

# A request costs as much time as this many bytes: 30 ms at 8 MiB a second, and less where lines are faster.
_BYTES_PER_REQUEST = 256 << 10
# What an entry takes in its pack's footer, besides its digest.
_FOOTER_ROW_BYTES = 10


class StoredEntry(NamedTuple):
    """An entry as it lay in a pack, verified. A chunk list (form LIST) is so only as far as it can be without its chunks."""

    digest: bytes
    stored: bytes
    raw_length: int
    form: int
    codec: int


class Piece(NamedTuple):
    """Bytes to ask for: ``length`` from ``start`` on, of a pack of ``size`` bytes, for the sake of ``rows``."""

    pack: bytes
    size: int
    start: int
    length: int
    rows: list[tuple[bytes, Location]]

    @property
    def is_whole(self) -> bool:
        """Whether that is the whole pack."""
        return self.length == self.size


@dataclass(slots=True)
class Receipt:
    """What came of a piece: a ``pack`` that now lies in the cache as it is, or ``entries``.

    ``lost`` are the objects that the remote has not, or not in one piece, with what is wrong. ``failure`` is why the remote
    could not be asked.
    """

    piece: Piece
    pack: SealedPack | None = None
    entries: list[StoredEntry] = field(default_factory=list)
    lost: dict[bytes, str] = field(default_factory=dict)
    failure: StorageError | None = None


def plan_pieces(
    rows: Mapping[bytes, Location], sizes: Mapping[bytes, int], *, whole_below: int = 0
) -> list[Piece]:
    """What to ask for so that every row's bytes come: whole packs where most of one is wanted, else merged ranges.

    Packs shorter than ``whole_below`` always come whole. The rows must lie within their packs.
    """
    by_pack: dict[bytes, list[tuple[bytes, Location]]] = {}
    for digest, location in rows.items():
        by_pack.setdefault(location[0], []).append((digest, location))
    pieces: list[Piece] = []
    for pack, located in by_pack.items():
        located.sort(key=lambda row: row[1][1])
        size = sizes[pack]
        ranges = list(_ranges(pack, size, located))
        cost = sum(piece.length + _BYTES_PER_REQUEST for piece in ranges)
        wanted = sum(location[2] + len(digest) + _FOOTER_ROW_BYTES for digest, location in located)
        # A whole pack can be kept as it is, so an eighth of it may come in vain.
        if size < whole_below or size - size // 8 <= wanted or size + _BYTES_PER_REQUEST <= cost:
            ranges = [Piece(pack, size, 0, size, located)]
        pieces += ranges
    return pieces


def _ranges(pack: bytes, size: int, located: list[tuple[bytes, Location]]) -> Iterator[Piece]:
    """The rows, sorted by offset, in ranges: a gap is asked for too where that costs less than another request."""
    first = 0
    start = end = located[0][1][1]
    for number, (_, (_, offset, stored, _, _)) in enumerate(located):
        if offset - end > _BYTES_PER_REQUEST:
            yield Piece(pack, size, start, end - start, located[first:number])
            first, start, end = number, offset, offset
        end = max(end, offset + stored)
    yield Piece(pack, size, start, end - start, located[first:])


def is_within(location: Location, size: int) -> bool:
    """Whether an entry lies where a pack of ``size`` bytes can have it: a pack index from outside may say anything."""
    return location[1] + location[2] <= size


def receive(remote: Backend, cache: CacheFolder | None, algorithm: str, piece: Piece) -> Receipt:
    """Get one piece and verify it. Safe in threads; holds the piece, and its entries as they are stored.

    A pack of data that was asked for whole, and is sound, goes into ``cache`` as it is, unless that is None. A sound
    pack of trees and lists gives all of its entries, asked for or not.

    Raises:
        StorageError, OutOfSpace: the cache could not be written. What the remote fails at is in the receipt.
    """
    receipt = Receipt(piece)
    if piece.is_whole and cache is not None and _take_local(cache, algorithm, receipt):
        return receipt
    for is_last in (False, True):
        try:
            data = remote.read(layout.pack_path(piece.pack), piece.start, piece.length)
        except (StorageError, StoredFileNotFound) as error:
            _explain(remote, receipt, error)
            return receipt
        if piece.is_whole and _take_pack(cache, algorithm, receipt, data):
            return receipt
        receipt.entries, receipt.lost = _decoded(algorithm, piece, data)
        # A pack whose own name is not that of its bytes may still have all that is wanted of it.
        if not receipt.lost or is_last:
            break
    return receipt


def _take_pack(cache: CacheFolder | None, algorithm: str, receipt: Receipt, data: bytes) -> bool:
    """Take a pack that is what its name says, and all of whose entries are: as it is, or its entries."""
    piece = receipt.piece
    try:
        footer = open_pack(piece.pack, data)
        if footer.algorithm != algorithm or not _holds(footer, piece):
            return False
        if cache is None or not _is_plain(footer):
            receipt.entries = [
                _entry(algorithm, digest, location, data, 0)
                for digest, location in locations(piece.pack, footer)
            ]
            return True
        if damaged_entries(data, footer):
            return False
    except IntegrityError:
        return False
    cache.write(layout.pack_path(piece.pack), data)
    receipt.pack = SealedPack(piece.pack, len(data), Path(), footer)
    return True


def _is_plain(footer: PackFooter) -> bool:
    """Whether a pack holds nothing but data that stands for itself: chunk lists are proved only by their chunks."""
    return footer.content == DATA and LIST not in footer.forms


def _holds(footer: PackFooter, piece: Piece) -> bool:
    held = set(footer.digests)
    return all(digest in held for digest, _ in piece.rows)


def _take_local(cache: CacheFolder, algorithm: str, receipt: Receipt) -> bool:
    """A pack that an interrupted run left in the cache, unindexed, is as good as one that was just received."""
    piece = receipt.piece
    path = layout.pack_path(piece.pack)
    with suppress(DatavcError):
        if cache.head(path).size == piece.size:
            data = cache.read(path)
            footer = open_pack(piece.pack, data)
            if footer.algorithm != algorithm or not (_is_plain(footer) and _holds(footer, piece)):
                return False
            if damaged_entries(data, footer):
                return False
            receipt.pack = SealedPack(piece.pack, piece.size, Path(), footer)
            receipt.piece = piece._replace(length=0)
            return True
    return False


def _decoded(algorithm: str, piece: Piece, data: bytes) -> tuple[list[StoredEntry], dict[bytes, str]]:
    """The entries that are what they must be, and the others."""
    entries: list[StoredEntry] = []
    lost: dict[bytes, str] = {}
    for digest, location in piece.rows:
        try:
            entries.append(_entry(algorithm, digest, location, data, piece.start))
        except IntegrityError:
            lost[digest] = "is damaged"
    return entries, lost


def _entry(algorithm: str, digest: bytes, location: Location, data: bytes, start: int) -> StoredEntry:
    """One entry out of the bytes of its pack from ``start`` on. Raises DigestMismatch, MalformedError."""
    _, offset, length, raw_length, flags = location
    stored = data[offset - start : offset - start + length]
    decode_entry(algorithm, digest, location, stored)
    return StoredEntry(digest, stored, raw_length, LIST if flags & LIST else WHOLE, flags >> 1)


def _explain(remote: Backend, receipt: Receipt, error: DatavcError) -> None:
    """Why a piece cannot be read: the pack is gone, or shorter than it must be, or it is the remote that fails."""
    piece = receipt.piece
    wrong = None
    if isinstance(error, StoredFileNotFound):
        wrong = "is missing"
    elif isinstance(error, StorageError) and not isinstance(error, TransientError):
        with suppress(StorageError):
            try:
                if remote.head(layout.pack_path(piece.pack)).size != piece.size:
                    wrong = "is damaged"
            except StoredFileNotFound:
                wrong = "is missing"
    if wrong is not None:
        receipt.lost = {digest: wrong for digest, _ in piece.rows}
    else:
        assert isinstance(error, StorageError)
        receipt.failure = error


def raw_of(algorithm: str, entries: Iterable[StoredEntry]) -> dict[bytes, bytes]:
    """The content of entries; of a chunk list its encoding."""
    found = {}
    for entry in entries:
        location = (b"", 0, len(entry.stored), entry.raw_length, entry.form | entry.codec << 1)
        found[entry.digest] = decode_entry(algorithm, entry.digest, location, entry.stored).raw
    return found
