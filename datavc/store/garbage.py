"""Deleting from a store what no root needs: looked for, doomed by a tombstone, and a grace later deleted.

How writers are kept from relying on it meanwhile is told in :mod:`datavc.store.tombstones`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.errors import (
    ConflictError,
    IntegrityError,
    MalformedError,
    StorageError,
    StoredFileNotFound,
)
from datavc.formats.root import Root, decode_root
from datavc.formats.times import utc_text
from datavc.formats.tombstone import RemovedRoots, Tombstone, decode_removed, encode_removed, encode_tombstone
from datavc.store import layout
from datavc.store.index import open_index
from datavc.store.tombstones import CLAIM_SECONDS, REMOVED, WAITING, Doomed

# Servers stamp files with whole seconds.
_CLOCK_STEP_SECONDS = 2.0
_LISTINGS = 100

_Key = TypeVar("_Key")
NeededBlobs = Callable[[Iterable[Root]], set[str] | None]
"""The stored names of the whole blobs that some roots need; None where that cannot be known."""


@dataclass(frozen=True, slots=True)
class StoredRoot:
    """A root as it lies in a store: its name, its text, and when it was ``modified`` by the store's clock."""

    name: str
    root: Root
    text: str
    modified: float


@dataclass(slots=True)
class Census:
    """What is in a store: pack indexes by name, with the packs they name; packs with their lengths; blobs; roots."""

    indexes: dict[str, int] = field(default_factory=dict)
    named: dict[str, dict[bytes, int]] = field(default_factory=dict)
    packs: dict[bytes, int] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    roots: list[StoredRoot] = field(default_factory=list)


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


def take_census(backend: Backend, executor: Executor) -> Census:
    """Everything there is. Roots are listed last, so that what is new meanwhile is named.

    Raises:
        IntegrityError: something cannot be read, or is named and not there; StorageError: a listing failed, or fell short.
    """
    census, began = Census(), backend.now()
    for file in backend.list(layout.INDEXES):
        census.indexes[file.name.removeprefix(layout.INDEXES)] = file.size
    for file in backend.list(layout.PACKS):
        census.packs[_pack_of(file)] = file.size
    census.blobs = {file.name: file.size for file in backend.list(layout.BLOBS)}
    census.named = packs_named(backend, census.indexes, executor)
    census.roots = read_roots(backend, executor)
    named = _named(census.roots)
    for name in named.keys() - census.indexes.keys():
        census.indexes |= _unlisted(backend, named[name], layout.index_path(name), name, began)
    census.named |= packs_named(backend, census.indexes.keys() - census.named.keys(), executor)
    for name in named.keys() & census.indexes.keys():
        if name not in census.named:
            raise ConflictError(
                f"{layout.index_path(name)} was deleted from {backend.describe()} while this was looking at it",
                "another datavc gc is at work there; when it is done, run the same command again",
            )
        for pack in census.named[name].keys() - census.packs.keys():
            census.packs |= _unlisted(backend, named[name], layout.pack_path(pack), pack, began)
    return census


def _named(roots: Iterable[StoredRoot]) -> dict[str, StoredRoot]:
    """The pack indexes that roots name; of those that do, one that is complete, where there is one."""
    ordered = sorted(roots, key=lambda stored: stored.root.complete)
    return {name: stored for stored in ordered for name in stored.root.indexes}


def packs_named(backend: Backend, names: Iterable[str], executor: Executor) -> dict[str, dict[bytes, int]]:
    """The packs, with their lengths, that each of these pack indexes names; those that are gone meanwhile are left out."""

    def read(name: str) -> dict[bytes, int] | None:
        try:
            return dict(open_index(backend, name).packs)
        except StoredFileNotFound:
            return None
        except MalformedError as error:
            raise IntegrityError(
                f"{layout.index_path(name)} of {backend.describe()} cannot be read, and nobody knows what it needs: "
                f"{error.message}",
                "datavc fsck",
            ) from error

    names = list(names)
    found = zip(names, executor.map(read, names), strict=True)
    return {name: packs for name, packs in found if packs is not None}


def read_roots(backend: Backend, executor: Executor, expected: Iterable[str] = ()) -> list[StoredRoot]:
    """Every root, of whatever repo; those ``expected``, by stored name, were listed a moment ago.

    Raises:
        IntegrityError: one cannot be read, so that nobody knows what it needs. StorageError: the listing fell short.
    """
    files = list(backend.list(layout.ROOTS))
    _require_listed(backend, files, expected)
    found = executor.map(partial(_read_root, backend), files)
    return [stored for stored in found if stored is not None]


def _settled_roots(backend: Backend, executor: Executor, expected: Iterable[str]) -> list[StoredRoot]:
    """As :func:`read_roots`, but for a writer that rescues what is doomed none of its roots is missed.

    Such a writer writes a root beside the place of its own, then its own, and deletes the first. One listing may come too
    early for its own root, and the reading, or the rest of the listing, too late for the other. So there is another
    listing, until one brings nothing new. Raises as :func:`read_roots`.
    """
    found: dict[StoredFile, StoredRoot] = {}
    for number in range(_LISTINGS):
        files = list(backend.list(layout.ROOTS))
        if not number:
            _require_listed(backend, files, expected)
        fresh = [file for file in files if file not in found]
        if number and not fresh:
            return list(found.values())
        roots = zip(fresh, executor.map(partial(_read_root, backend), fresh), strict=True)
        found |= {file: stored for file, stored in roots if stored is not None}
    raise StorageError(
        f"versions come to {backend.describe()} faster than they can be looked at",
        "run the same command again",
    )


def _require_listed(backend: Backend, files: Iterable[StoredFile], expected: Iterable[str]) -> None:
    listed = {file.name for file in files}
    for name in expected:
        if name not in listed and is_there(backend, name):
            raise _short(backend, name)


def _read_root(backend: Backend, file: StoredFile) -> StoredRoot | None:
    try:
        data = backend.read(file.name)
        return StoredRoot(file.name, decode_root(data), data.decode("ascii"), file.modified)
    except StoredFileNotFound:
        return None
    except MalformedError as error:
        raise IntegrityError(
            f"{file.name} of {backend.describe()} cannot be read, and nobody knows what it needs: {error.message}",
            "datavc fsck",
        ) from error


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


def new_id() -> str:
    """A name for a tombstone; later ones sort behind earlier ones."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"


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
    tombstone = Tombstone(
        repo,
        who_am_i(),
        utc_text(),
        tuple(sorted(garbage.indexes)),
        tuple(sorted(map(layout.sealed_name, garbage.packs))),
        tuple(sorted({name.rpartition("/")[2] for name in garbage.blobs})),
    )
    encoded = encode_tombstone(tombstone)
    backend.write(f"{layout.TRASH}{id_}{WAITING}", utc_text().encode() + b"\n")
    backend.write(f"{layout.TRASH}{id_}", encoded)


def removed_roots(backend: Backend) -> dict[str, tuple[float, list[Root]]]:
    """What was removed and can be put back: by the tombstone's id, since when, and the roots. Raises MalformedError."""
    found = {}
    for file in backend.list(layout.TRASH):
        if file.name.endswith(REMOVED):
            try:
                removed = decode_removed(backend.read(file.name), file.name)
            except StoredFileNotFound:
                continue
            roots = [decode_root(text.encode("ascii"), file.name) for text in removed.roots]
            found[file.name.removeprefix(layout.TRASH).removesuffix(REMOVED)] = file.modified, roots
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
    indexes = [file.name.removeprefix(layout.INDEXES) for file in backend.list(layout.INDEXES)]
    roots = _settled_roots(backend, executor, expected)
    named = _named(roots)
    going = [name for name in stone.indexes if name not in named]
    staying = packs_named(backend, (named.keys() | set(indexes)) - set(going), executor)
    needed_packs = {pack for packs in staying.values() for pack in packs}
    for name in filter(lambda name: named[name].root.complete, named.keys() - staying.keys()):
        raise _damaged(backend, named[name].name, layout.index_path(name))
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


def _unlisted(backend: Backend, by: StoredRoot, name: str, key: _Key, began: float) -> dict[_Key, int]:
    """The length of what is named and was not listed: it may be newer than the listing. Raises where it is not.

    What an incomplete root names need not be there: an eviction was killed, or a writer takes its root back.
    """
    try:
        file = backend.head(name)
    except StoredFileNotFound:
        if by.root.complete:
            raise _damaged(backend, by.name, name) from None
        return {}
    if file.modified < began - _CLOCK_STEP_SECONDS:
        raise _short(backend, name)
    return {key: file.size}


def _damaged(backend: Backend, by: str, name: str) -> IntegrityError:
    return IntegrityError(
        f"{name}, which {by} names, is not in {backend.describe()}: nothing is deleted from a damaged store",
        "datavc fsck",
    )


def _short(backend: Backend, name: str) -> StorageError:
    return StorageError(
        f"{backend.describe()} did not list {name}, which is there: its listings cannot be relied on",
        "run the same command again",
    )


def _pack_of(file: StoredFile) -> bytes:
    try:
        return layout.sealed_raw(file.name.rpartition("/")[2])
    except MalformedError as error:
        raise ConflictError(f"{file.name} is no pack: nothing is deleted where strange files are") from error


def who_am_i() -> str:
    """The user and the machine, for people to read."""
    return f"{os.environ.get('USER', os.getuid())}@{os.uname().nodename}"
