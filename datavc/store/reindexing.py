"""Making pack indexes again out of packs, which say themselves what they hold: where they were lost or damaged.

An index of the same packs has the same bytes, so mostly it comes out under the name that roots know it by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from datavc.backends.base import Backend
from datavc.errors import (
    DatavcError,
    IntegrityError,
    MalformedError,
    NotFoundError,
    StorageError,
    TransientError,
    UnsupportedFormat,
)
from datavc.formats.pack import DATA, LIST, PackFooter, encode_pack_header
from datavc.store import layout
from datavc.store.index import IndexBuilder, Location, ObjectIndex, open_index
from datavc.store.packreader import read_footer
from datavc.store.packwriter import SealedPack
from datavc.store.reader import ObjectReader
from datavc.store.replacing import ReplacingBackend


def rebuild_indexes(backend: Backend, damaged: Iterable[str], named: Iterable[bytes], algorithm: str) -> None:
    """Write pack indexes of the packs that those named ``damaged`` were about, and one of what no index tells of.

    ``named`` are the packs that sound indexes name; one whose header is damaged counts as one of ``algorithm``. What is
    damaged is replaced by its like, with a copy in quarantine; what it still tells of packs that do not tell what they hold,
    and what can be read there, goes into an index of its own.

    Raises:
        StorageError: the store cannot be listed, or refuses to be written.
    """
    damaged = sorted(damaged)
    target = ReplacingBackend(backend, map(layout.index_path, damaged))
    sizes = {}
    for file in backend.list(layout.PACKS):
        with suppress(MalformedError):
            sizes[layout.sealed_raw(file.name.rpartition("/")[2])] = file.size
    rest = sizes.keys() - set(named)
    told = [row for name in damaged for row in rows_left(backend, name)]
    for name in damaged:
        packs = dict(_packs_of(backend, name).items() & sizes.items())
        _publish(target, packs, algorithm)
        rest -= packs.keys()
    _publish(target, {pack: sizes[pack] for pack in rest}, algorithm)
    _publish_rows(target, told)


class Told(NamedTuple):
    """A row of a damaged pack index, and the length that its pack must have."""

    algorithm: str
    digest: bytes
    location: Location
    size: int


def rows_left(backend: Backend, name: str) -> list[Told]:
    """What a damaged pack index still tells of, as far as it can be read and its pack does not tell of it."""
    silent: dict[bytes, bool] = {}
    found = []
    try:
        algorithm = open_index(backend, name).algorithm
        index = ObjectIndex(backend, algorithm, [name], look=False)
        reader, sizes = ObjectReader(backend, algorithm, index.find), index.packs()
        for digest, location in index.locations():
            pack = location[0]
            if pack not in silent:
                silent[pack] = _is_silent(backend, pack, algorithm)
            if silent[pack] and can_be_read(reader, digest, location):
                found.append(Told(algorithm, digest, location, sizes[pack]))
    except (IntegrityError, NotFoundError):
        pass  # What came before that is told.
    return found


def footer_despite(backend: Backend, pack: bytes, size: int, algorithm: str) -> PackFooter:
    """What a pack holds; it is taken for one of ``algorithm`` where its header is damaged. Raises as ``read_footer``."""
    try:
        return read_footer(backend, pack, size)
    except UnsupportedFormat:
        raise
    except MalformedError:
        return read_footer(backend, pack, size, encode_pack_header(algorithm, DATA))


def _is_silent(backend: Backend, pack: bytes, algorithm: str) -> bool:
    try:
        footer_despite(backend, pack, backend.head(layout.pack_path(pack)).size, algorithm)
    except DatavcError:
        return True
    return False


def can_be_read(reader: ObjectReader, digest: bytes, location: Location) -> bool:
    """Whether the bytes there are the object's; of what is kept as a list, whether the list is one."""
    try:
        if location[4] & LIST:
            reader.chunk_list(digest, location)
        else:
            reader.read_whole(digest, location)
    except TransientError:
        return True
    except (IntegrityError, NotFoundError, StorageError):
        return False
    return True


def _publish_rows(target: Backend, rows: list[Told]) -> None:
    builders: dict[str, IndexBuilder] = {}
    for row in rows:
        builder = builders.setdefault(row.algorithm, IndexBuilder(row.algorithm))
        builder.add(row.digest, row.location, row.size)
    for builder in builders.values():
        builder.publish(target)


def _packs_of(backend: Backend, name: str) -> dict[bytes, int]:
    """The packs that an index names, and their lengths, where its head is sound."""
    try:
        return dict(open_index(backend, name).packs)
    except DatavcError:
        return {}


def _publish(target: Backend, packs: Mapping[bytes, int], algorithm: str) -> None:
    """Also of a pack that is damaged, if it tells what it holds: what is sound in it can be read then."""
    builders: dict[str, IndexBuilder] = {}
    for pack, size in sorted(packs.items()):
        try:
            footer = footer_despite(target, pack, size, algorithm)
        except DatavcError:
            continue
        builder = builders.setdefault(footer.algorithm, IndexBuilder(footer.algorithm))
        builder.add_pack(SealedPack(pack, size, Path(), footer))
    for builder in builders.values():
        builder.publish(target)
