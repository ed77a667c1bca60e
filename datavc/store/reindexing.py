"""Making pack indexes again out of packs, which say themselves what they hold: where they were lost or damaged.

An index of the same packs has the same bytes, so mostly it comes out under the name that roots know it by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from datavc.backends.base import Backend
from datavc.errors import DatavcError, MalformedError
from datavc.formats.packindex import PackIndexReader
from datavc.store import layout
from datavc.store.index import IndexBuilder
from datavc.store.packreader import read_footer
from datavc.store.packwriter import SealedPack
from datavc.store.replacing import ReplacingBackend


def rebuild_indexes(backend: Backend, damaged: Iterable[str], named: Iterable[bytes]) -> None:
    """Write pack indexes of the packs that those named ``damaged`` were about, and one of what no index tells of.

    ``named`` are the packs that sound indexes name. What is damaged is replaced by its like, with a copy in quarantine.

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
    for name in damaged:
        packs = _packs_of(backend, name)
        if packs and packs.items() <= sizes.items():
            _publish(target, packs)
            rest -= packs.keys()
    _publish(target, {pack: sizes[pack] for pack in rest})


def _packs_of(backend: Backend, name: str) -> dict[bytes, int]:
    """The packs that an index names, and their lengths, where its head is sound."""
    path = layout.index_path(name)
    try:
        return dict(PackIndexReader(partial(backend.read, path), backend.head(path).size).packs)
    except DatavcError:
        return {}


def _publish(target: Backend, packs: Mapping[bytes, int]) -> None:
    """Also of a pack that is damaged, if it tells what it holds: what is sound in it can be read then."""
    builders: dict[str, IndexBuilder] = {}
    for pack, size in sorted(packs.items()):
        try:
            footer = read_footer(target, pack, size)
        except DatavcError:
            continue
        builder = builders.setdefault(footer.algorithm, IndexBuilder(footer.algorithm))
        builder.add_pack(SealedPack(pack, size, Path(), footer))
    for builder in builders.values():
        builder.publish(target)
