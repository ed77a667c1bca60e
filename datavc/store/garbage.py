"""Deleting from a store what no root needs: looked for, doomed by a tombstone, and a grace later deleted.

How writers are kept from relying on it meanwhile is told in :mod:`datavc.store.tombstones`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

from datavc.backends.base import Backend
from datavc.errors import StorageError, StoredFileNotFound
from datavc.formats.root import Root, decode_root
from datavc.formats.times import utc_text
from datavc.formats.tombstone import RemovedRoots, Tombstone, decode_removed, encode_removed, encode_tombstone
from datavc.store import layout
from datavc.store.census import Census, StoredRoot, damaged, indexes_named, packs_named, settled_roots
from datavc.store.index import list_indexes
from datavc.store.tombstones import CLAIM_SECONDS, REMOVED, WAITING, Doomed
from datavc.store.who import who_am_i

NeededBlobs = Callable[[Iterable[Root]], set[str] | None]
"""The stored names of the whole blobs that some roots need; None where that cannot be known."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Stored files that nothing needs: pack indexes and packs, blobs by stored name; all with their lengths in bytes."""

    indexes: dict[str, int]
    packs: dict[bytes, int]
    blobs: dict[str, int]

    @property
    def size(self) -> int:
        """Bytes in all of them."""
        return sum(self.indexes.values()) + sum(self.packs.values()) + sum(self.blobs.values())

    def __bool__(self) -> bool:
        return bool(self.indexes or self.packs or self.blobs)

    def tombstone(self, repo: str) -> Tombstone:
        """What says that all of it is to go, by whom and since now."""
        return Tombstone(
            repo,
            who_am_i(),
            utc_text(),
            tuple(sorted(self.indexes)),
            tuple(sorted(map(layout.sealed_name, self.packs))),
            tuple(sorted({name.rpartition("/")[2] for name in self.blobs})),
        )


def find_garbage(
    census: Census, roots: Iterable[StoredRoot], doomed: Iterable[Doomed], needed: NeededBlobs
) -> Garbage:
    """What none of ``roots`` needs, and no tombstone names yet."""
    kept = [stored.root for stored in roots]
    named = {name for root in kept for name in root.indexes}
    needed_packs = {pack for name in named for pack in census.named.get(name, ())}
    known = [waiting.tombstone for waiting in doomed]
    known_indexes = {name for tombstone in known for name in tombstone.indexes}
    known_packs = {layout.sealed_raw(name) for tombstone in known for name in tombstone.packs}
    known_blobs = {name for tombstone in known for name in tombstone.blobs}
    blobs = needed(kept) if census.blobs else None
    return Garbage(
        {n: size for n, size in census.indexes.items() if n not in named and n not in known_indexes},
        {p: size for p, size in census.packs.items() if p not in needed_packs and p not in known_packs},
        {
            name: size
            for name, size in census.blobs.items()
            if blobs is not None and name not in blobs and name.rpartition("/")[2] not in known_blobs
        },
    )


def remove_roots(backend: Backend, repo: str, id_: str, gone: Collection[StoredRoot]) -> None:
    """Keep the text of roots in the trash, then delete them. Killed in between, some are still there. Raises StorageError."""
    texts = [stored.text for stored in gone if not stored.name.endswith(layout.RESCUE)]
    if texts:
        removed = RemovedRoots(repo, who_am_i(), utc_text(), tuple(dict.fromkeys(texts)))
        backend.write(f"{layout.TRASH}{id_}{REMOVED}", encode_removed(removed))
    delete_roots(backend, gone)


def delete_roots(backend: Backend, gone: Iterable[StoredRoot]) -> None:
    """Delete roots, except those that were written anew since they were listed. Raises StorageError."""
    began = time.time()
    for stored in gone:
        try:
            is_same = backend.head(stored.name).modified == stored.modified
        except StoredFileNotFound:
            continue
        if abs(time.time() - began) > CLAIM_SECONDS / 2:
            # Writers wait no longer before they rely on what is there.
            raise StorageError("removing versions takes too long", "run the same command again")
        if is_same:
            backend.delete(stored.name)


def tidy(backend: Backend, older: float) -> None:
    """Delete what a gc that was killed left in the trash without a tombstone, if modified before ``older``. StorageError."""
    files = list(backend.list(layout.TRASH))
    names = {file.name for file in files}
    for file in files:
        stone, dot, _ = file.name.partition(".")
        if dot and stone not in names and file.modified < older:
            backend.delete(file.name)


def doom(backend: Backend, repo: str, id_: str, garbage: Garbage) -> None:
    """Write the tombstone; that it waits is written first. Raises StorageError."""
    encoded = encode_tombstone(garbage.tombstone(repo))
    backend.write(f"{layout.TRASH}{id_}{WAITING}", utc_text().encode() + b"\n")
    backend.write(f"{layout.TRASH}{id_}", encoded)


@dataclass(frozen=True, slots=True)
class Removed:
    """Roots that a gc has removed, and whether it may still be at it."""

    roots: list[Root]
    under_way: bool


def removed_roots(backend: Backend) -> dict[str, Removed]:
    """What was removed and can be put back, by the tombstone's id. Raises MalformedError."""
    found = {}
    files = {file.name: file for file in backend.list(layout.TRASH)}
    for name, file in files.items():
        if name.endswith(REMOVED):
            try:
                removed = decode_removed(backend.read(name), name)
            except StoredFileNotFound:
                continue
            roots = [decode_root(text.encode("ascii"), name) for text in removed.roots]
            stone = name.removesuffix(REMOVED)
            under_way = stone not in files and backend.now() - file.modified < CLAIM_SECONDS
            found[stone.removeprefix(layout.TRASH)] = Removed(roots, under_way)
    return found


def sweep(
    backend: Backend,
    doomed: Doomed,
    executor: Executor,
    needed: NeededBlobs,
    expected: Collection[str],
    hold: Callable[[], None],
    advance: Callable[[int], None],
) -> int:
    """Delete what a tombstone names and no root needs: pack indexes, packs, blobs, then itself. Returns the bytes.

    ``expected`` are names of roots that must be listed. ``hold`` is called before each deletion; ``advance`` is told the
    bytes of each. Works on a full disk.

    Raises:
        IntegrityError, StorageError: a root or pack index cannot be read, or something not deleted; go on later.
    """
    stone, path = doomed.tombstone, f"{layout.TRASH}{doomed.id}"
    # From here on, a writer that relies on any of it gives up; until here, its root is seen below.
    backend.delete(path + WAITING)
    indexes = list_indexes(backend)
    roots = settled_roots(backend, executor, expected)
    named = indexes_named(roots)
    going = [name for name in stone.indexes if name not in named]
    staying = packs_named(backend, (named.keys() | indexes.keys()) - set(going), executor)
    needed_packs = {pack for packs in staying.values() for pack in packs}
    for name in filter(lambda name: named[name].root.complete, sorted(named.keys() - staying.keys())):
        raise damaged(backend, named[name].name, layout.index_path(name))
    packs = [pack for pack in map(layout.sealed_raw, stone.packs) if pack not in needed_packs]
    names = [*map(layout.index_path, going), *map(layout.pack_path, packs)]
    names += _blobs_going(stone, [stored.root for stored in roots], needed)
    freed = 0
    for name in names:
        try:
            size = backend.head(name).size
        except StoredFileNotFound:
            continue
        hold()
        backend.delete(name)
        freed += size
        advance(size)
    hold()
    for suffix in (REMOVED, ""):
        backend.delete(path + suffix)
    backend.close()
    return freed


def _blobs_going(stone: Tombstone, roots: list[Root], needed: NeededBlobs) -> Iterator[str]:
    blobs = needed(roots) if stone.blobs else None
    for name in stone.blobs if blobs is not None else ():
        path = f"{layout.BLOBS}{name.partition('-')[2][:2]}/{name}"
        if blobs is not None and path not in blobs:
            yield path


def forget_tombstone(backend: Backend, id_: str) -> None:
    """Take a tombstone back: nothing of it goes. What was deleted already stays so. Raises StorageError."""
    for suffix in ("", REMOVED, WAITING):
        backend.delete(f"{layout.TRASH}{id_}{suffix}")
