"""What is in a store, as its listings and roots say: what gc, purge and repacking look at before anything goes.

A listing may fall short, and somebody may write or delete meanwhile: what does not add up is an error, and nothing goes.
"""

from __future__ import annotations

from collections.abc import Iterable
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
from datavc.store import layout
from datavc.store.index import list_indexes, open_index

# Servers stamp files with whole seconds.
_CLOCK_STEP_SECONDS = 2.0
_LISTINGS = 100

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class StoredRoot:
    """A root as it lies in a store: its name, its text, and when it was ``modified`` by the store's clock."""

    name: str
    root: Root
    text: str
    modified: float

    def is_unchanged(self, backend: Backend) -> bool:
        """Whether it still is as it was read: one that came since may need what nothing needed then. Raises StorageError."""
        try:
            return backend.read(self.name) == self.text.encode("ascii")
        except StoredFileNotFound:
            return False


@dataclass(slots=True)
class Census:
    """What is in a store: pack indexes by name, with the packs they name; packs with their lengths; blobs; roots."""

    indexes: dict[str, int] = field(default_factory=dict)
    named: dict[str, dict[bytes, int]] = field(default_factory=dict)
    packs: dict[bytes, int] = field(default_factory=dict)
    blobs: dict[str, int] = field(default_factory=dict)
    roots: list[StoredRoot] = field(default_factory=list)


def take_census(backend: Backend, executor: Executor) -> Census:
    """Everything there is. Roots are listed last, so that what is new meanwhile is named.

    Raises:
        IntegrityError: something cannot be read, or is named and not there; StorageError: a listing failed, or fell short.
    """
    census, began = Census(), backend.now()
    census.indexes = list_indexes(backend)
    census.packs = list_packs(backend)
    census.blobs = {file.name: file.size for file in backend.list(layout.BLOBS)}
    census.named = packs_named(backend, census.indexes, executor)
    census.roots = read_roots(backend, executor)
    named = indexes_named(census.roots)
    for name in sorted(named.keys() - census.indexes.keys()):
        census.indexes |= _unlisted(backend, named[name], layout.index_path(name), name, began)
    census.named |= packs_named(backend, census.indexes.keys() - census.named.keys(), executor)
    for name in sorted(named.keys() & census.indexes.keys()):
        if name not in census.named:
            raise ConflictError(
                f"{layout.index_path(name)} was deleted from {backend.describe()} while this was looking at it",
                "another datavc gc is at work there; when it is done, run the same command again",
            )
        for pack in sorted(census.named[name].keys() - census.packs.keys()):
            census.packs |= _unlisted(backend, named[name], layout.pack_path(pack), pack, began)
    return census


def list_packs(backend: Backend) -> dict[bytes, int]:
    """Every pack there is, with its length: one listing.

    Raises:
        ConflictError: there is something else among them. StorageError: the listing failed.
    """
    found = {}
    for file in backend.list(layout.PACKS):
        try:
            found[layout.pack_of(file.name)] = file.size
        except MalformedError as error:
            raise ConflictError(
                f"{file.name} is no pack: nothing is deleted where strange files are"
            ) from error
    return found


def indexes_named(roots: Iterable[StoredRoot]) -> dict[str, StoredRoot]:
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

    names = sorted(names)
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


def settled_roots(backend: Backend, executor: Executor, expected: Iterable[str]) -> list[StoredRoot]:
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


def _unlisted(backend: Backend, by: StoredRoot, name: str, key: _Key, began: float) -> dict[_Key, int]:
    """The length of what is named and was not listed: it may be newer than the listing. Raises where it is not.

    What an incomplete root names need not be there: an eviction was killed, or a writer takes its root back.
    """
    try:
        file = backend.head(name)
    except StoredFileNotFound:
        if by.root.complete:
            raise damaged(backend, by.name, name) from None
        return {}
    if file.modified < began - _CLOCK_STEP_SECONDS:
        raise _short(backend, name)
    return {key: file.size}


def damaged(backend: Backend, by: str, name: str) -> IntegrityError:
    """The error that says that a root, ``by`` its name, promises the stored file ``name``, which is not there."""
    return IntegrityError(
        f"{name}, which {by} names, is not in {backend.describe()}: nothing is deleted from a damaged store",
        "datavc fsck",
    )


def _short(backend: Backend, name: str) -> StorageError:
    return StorageError(
        f"{backend.describe()} did not list {name}, which is there: its listings cannot be relied on",
        "run the same command again",
    )
