"""Stored files spoilt at random, and what can still be read then: for the laws that every repair must keep."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import strategies as st
from remotes import flip, overwrite

from datavc.backends.base import Backend
from datavc.backends.folder import FolderBackend
from datavc.errors import DatavcError
from datavc.formats.pack import LIST
from datavc.store import layout
from datavc.store.index import Location, ObjectIndex
from datavc.store.reader import ObjectReader

# Which stored file, what happens to it, and where in it.
Spoilt = tuple[str, str, int]


def spoilt(names: Sequence[str]) -> st.SearchStrategy[Spoilt]:
    """What may happen to one of the files ``names``."""
    hows = st.sampled_from(["flip", "flip", "cut", "empty", "remove", "swap"])
    return st.tuples(st.sampled_from(names), hows, st.integers(0, 1 << 30))


def spoil(top: Path, happened: Iterable[Spoilt], names: Sequence[str]) -> None:
    """Let that happen to files below ``top``; one is swapped with another of ``names``."""
    for name, how, position in happened:
        path = top / name
        if not path.exists():
            continue
        size = path.stat().st_size
        match how:
            case "flip" if size:
                flip(path, position % size)
            case "cut":
                overwrite(path, path.read_bytes()[: position % (size + 1)])
            case "empty":
                overwrite(path, b"")
            case "remove":
                path.unlink()
            case "swap":
                other = top / names[position % len(names)]
                if other.exists():
                    mine, theirs = path.read_bytes(), other.read_bytes()
                    overwrite(path, theirs)
                    overwrite(other, mine)


def readable(backend: Backend, algorithm: str, indexes: Iterable[str]) -> set[bytes]:
    """The objects that can be read through these pack indexes: each row is tried, whatever the others are worth."""
    rows: dict[bytes, list[Location]] = {}
    for name in indexes:
        try:
            for digest, location in ObjectIndex(backend, algorithm, [name], look=False).locations():
                rows.setdefault(digest, []).append(location)
        except DatavcError:
            # What was told before the damage counts.
            continue
    found: dict[bytes, Location] = {}
    for lists in (False, True):
        for digest, locations in rows.items():
            for location in locations:
                if bool(location[4] & LIST) == lists and _can_be_read(
                    backend, algorithm, found, digest, location
                ):
                    found.setdefault(digest, location)
    return set(found)


def _can_be_read(
    backend: Backend, algorithm: str, known: dict[bytes, Location], digest: bytes, location: Location
) -> bool:
    try:
        for _ in ObjectReader(backend, algorithm, (known | {digest: location}).get).stream(digest):
            pass
    except DatavcError:
        return False
    return True


def readable_in(store: Path, algorithm: str = "xxh128") -> set[bytes]:
    """The objects that can be read in the packs of the store in that folder, through whatever pack index."""
    backend = FolderBackend(store)
    names = [file.name.removeprefix(layout.INDEXES) for file in backend.list(layout.INDEXES)]
    return readable(backend, algorithm, names)


def contents_of(store: Path, *parts: str) -> set[bytes]:
    """The bytes of all files in those folders of a store, and of what is in quarantine."""
    return {
        path.read_bytes()
        for part in (*parts, "quarantine")
        for path in (store / part).rglob("*-*")
        if path.is_file()
    }
