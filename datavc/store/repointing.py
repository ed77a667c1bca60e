"""What took the place of what when packs were rewritten, and how pack indexes and roots follow it.

The rewriting itself is told in :mod:`datavc.store.rewriting`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from datavc.backends.base import Backend
from datavc.formats.packindex import PackIndexReader
from datavc.formats.root import Root
from datavc.store.index import IndexBuilder, Location, ObjectIndex, open_index


@dataclass(slots=True)
class Rewriting:
    """What took the place of what. ``packs``, with their lengths, are replaced; ``indexes`` gives the new for each old name.

    ``added`` are new indexes of packs that no index named.
    """

    packs: dict[bytes, int] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)

    def names(self, indexes: Iterable[str]) -> tuple[str, ...]:
        """The pack indexes to name instead of those."""
        return tuple(dict.fromkeys(self.indexes.get(name, name) for name in indexes))


def reindex(backend: Backend, name: str, done: Rewriting) -> str:
    """The pack index to name in place of ``name``, if that names a pack that was rewritten: it is written if need be.

    For indexes that came after :func:`rewrite_packs`. Rows that were not kept are left out.

    Raises:
        StoredFileNotFound: there is no such pack index, and none took its place.
    """
    known = done.indexes.get(name)
    if known is not None:
        return known
    reader = open_index(backend, name)
    if done.packs.keys().isdisjoint(pack for pack, _ in reader.packs):
        return name
    new = ObjectIndex(backend, reader.algorithm, [*dict.fromkeys([*done.indexes.values(), *done.added])])
    moved = new.find_many(row[0] for row in reader.rows() if reader.packs[row[1]][0] in done.packs)
    (done.indexes[name],) = publish_rows(
        backend, reader.algorithm, kept_rows(reader, done, moved), dict(reader.packs) | new.packs()
    )
    return done.indexes[name]


def repointed(root: Root, done: Rewriting) -> Root:
    """``root``, naming the new pack indexes."""
    names = done.names(root.indexes)
    return root if names == root.indexes else replace(root, indexes=names, nonce=os.urandom(8).hex())


def kept_rows(
    reader: PackIndexReader, done: Rewriting, moved: Mapping[bytes, Location]
) -> Iterator[tuple[bytes, Location]]:
    """The rows of a pack index, those of rewritten packs as they are now; none for what was not kept."""
    for digest, ordinal, *rest in reader.rows():
        pack = reader.packs[ordinal][0]
        if pack not in done.packs:
            yield digest, (pack, *rest)  # type: ignore[misc]
        elif digest in moved:
            yield digest, moved[digest]


def publish_rows(
    backend: Backend,
    algorithm: str,
    rows: Iterable[tuple[bytes, Location]],
    sizes: Mapping[bytes, int],
) -> list[str]:
    """A pack index of ``rows``, also where there are none; ``sizes`` are those of their packs."""
    builder = IndexBuilder(algorithm)
    for digest, location in rows:
        builder.add(digest, location, sizes[location[0]])
    return builder.publish(backend, empty=True)
