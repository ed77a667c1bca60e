"""``gc --repack``: which packs are worth rewriting, what that takes and frees, and doing it.

What is rewritten is doomed as any other garbage: whoever relies on it is heard for a grace.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from datavc.backends.base import Backend, StoredFile
from datavc.backends.folder import FolderBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.durable import storage_errors
from datavc.errors import IntegrityError, OutOfSpace
from datavc.formats.amounts import human_size
from datavc.formats.packindex import MAX_INDEX_ROWS
from datavc.formats.root import Root
from datavc.operations.steps.storing.placing import free_bytes
from datavc.progress import Progress
from datavc.store import layout
from datavc.store.census import Census, StoredRoot, packs_named
from datavc.store.index import merge_indexes, open_index
from datavc.store.live import Live
from datavc.store.packreader import read_footer
from datavc.store.repointing import Rewriting, repointed
from datavc.store.rewriting import rewrite_packs
from datavc.store.roots import MAX_INDEXES
from datavc.store.tombstones import Guard

# A pack of which less is needed is rewritten. To free a byte then costs at most one written, and a store is never more
# than twice as large as what is needed of it; at a quarter it would be four times, at three quarters each byte costs three.
_NEEDED_SHARE = 0.5
# Packs below this are tiny. Each costs a look-up in every command that stores, and a request in every transfer, some 30 ms:
# what 4 MiB take in a line of a gigabit. So many of them stay for each dataset.
_TINY_BYTES, _FEW_TINY = 4 << 20, 8
_SPARE_BYTES = 16 << 20
# Larger pack indexes are no burden: merging them would write them anew for each small one.
_SMALL_INDEX_BYTES = 1 << 20

# The datasets, each by repo and path, whose versions need a pack.
_Users = frozenset[tuple[str, bytes]]


@dataclass(slots=True)
class RepackPlan:
    """``groups`` are packs, with their lengths, that are rewritten together: no pack mixes datasets.

    ``needed_bytes`` of them are written anew, ``freed_bytes`` are not. ``merges`` are pack indexes that become one.
    """

    live: Live
    groups: list[dict[bytes, int]] = field(default_factory=list)
    merges: list[list[str]] = field(default_factory=list)
    needed_bytes: int = 0
    freed_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.groups or self.merges)

    @property
    def packs(self) -> int:
        """How many packs are rewritten."""
        return sum(map(len, self.groups))

    @property
    def room(self) -> int:
        """Bytes that must be free before it begins: what was there goes only later."""
        return self.needed_bytes + self.needed_bytes // 50 + _SPARE_BYTES


def plan_repack(
    backend: Backend,
    near: Path | None,
    executor: Executor,
    census: Census,
    kept: list[StoredRoot],
    progress: Progress,
) -> RepackPlan:
    """Look which packs are half dead, or tiny and many, once only the roots in ``kept`` are left.

    What is read again and again is kept in the folder ``near``, if one is given.

    Raises:
        IntegrityError: something that a version needs cannot be read; nothing is rewritten in a damaged store.
    """
    progress.begin("looking at what is needed")
    roots = [stored.root for stored in kept]
    local = _Near(backend, near) if near is not None else backend
    users = _users(census, roots)
    plan = RepackPlan(Live(local, roots))
    groups: dict[_Users, dict[bytes, int]] = {}
    tiny: dict[_Users, dict[bytes, int]] = {}
    needed: dict[bytes, int] = {}

    def look(pack: bytes) -> tuple[int, int]:
        footer = read_footer(backend, pack, census.packs[pack])
        pairs = zip(footer.digests, footer.stored, strict=True)
        return sum(length for digest, length in pairs if digest in plan.live), sum(footer.stored)

    for pack, (live, stored) in zip(users, executor.map(look, list(users)), strict=True):
        size, key = census.packs[pack], frozenset(users[pack])
        needed[pack] = live
        if live < stored * _NEEDED_SHARE:
            groups.setdefault(key, {})[pack] = size
        elif size < _TINY_BYTES:
            tiny.setdefault(key, {})[pack] = size
    for key, packs in tiny.items():
        if len(packs) > _FEW_TINY:
            groups.setdefault(key, {}).update(packs)
    plan.groups = [groups[key] for key in sorted(groups, key=sorted)]
    plan.merges = _merges(census, roots)
    chosen = [pack for group in plan.groups for pack in group]
    plan.needed_bytes = sum(needed[pack] for pack in chosen)
    plan.freed_bytes = sum(census.packs[pack] - needed[pack] for pack in chosen)
    progress.end()
    return plan


def _users(census: Census, roots: list[Root]) -> dict[bytes, set[tuple[str, bytes]]]:
    """Who needs each pack that may be rewritten. What is incomplete may be completed just now: it is left alone."""
    partly = {
        pack
        for root in roots
        if not root.complete
        for name in root.indexes
        for pack in census.named.get(name, ())
    }
    users: dict[bytes, set[tuple[str, bytes]]] = {}
    for root in roots:
        for name in root.indexes if root.complete else ():
            for pack, size in census.named[name].items():
                if census.packs[pack] != size:
                    raise IntegrityError(
                        f"{layout.pack_path(pack)} has {census.packs[pack]:,} bytes, and not the {size:,} that "
                        f"{layout.index_path(name)} says: nothing is rewritten in a damaged store",
                        "datavc fsck",
                    )
                if pack not in partly:
                    users.setdefault(pack, set()).add((root.repo, root.path))
    return users


def _merges(census: Census, roots: list[Root]) -> list[list[str]]:
    """Small pack indexes of one dataset, which become one where they are more than a root may name."""
    users: dict[str, set[tuple[str, bytes, str]]] = {}
    partly = {name for root in roots if not root.complete for name in root.indexes}
    for root in roots:
        for name in root.indexes if root.complete else ():
            users.setdefault(name, set()).add((root.repo, root.path, root.digest.algorithm))
    groups: dict[frozenset[tuple[str, bytes, str]], list[str]] = {}
    for name in users.keys() - partly:
        if census.indexes[name] <= _SMALL_INDEX_BYTES:
            groups.setdefault(frozenset(users[name]), []).append(name)
    return [sorted(groups[key]) for key in sorted(groups, key=sorted) if len(groups[key]) > MAX_INDEXES]


def require_room(backend: Backend, plan: RepackPlan) -> None:
    """Refuse to begin where what is needed cannot be written beside what is there. Raises OutOfSpace."""
    while isinstance(backend, WrappingBackend):
        backend = backend.inner
    free = free_bytes(backend.root) if isinstance(backend, FolderBackend) else None
    if free is not None and plan.groups and plan.room > free:
        raise OutOfSpace(
            f"repacking needs {human_size(plan.room)} beside what is there, and {backend.describe()} has "
            f"{human_size(free)} free; nothing was touched",
            "datavc gc --grace 0 without --repack needs no room",
        )


def carry_out(
    backend: Backend,
    scratch: Path,
    executor: Executor,
    census: Census,
    kept: list[StoredRoot],
    plan: RepackPlan,
    guard: Guard,
    progress: Progress,
) -> None:
    """Write what is needed into new packs, then the pack indexes that say so, then roots that name these.

    Raises:
        ConflictError: another gc deletes what a root relies on. Else as :func:`rewrite_packs`.
    """
    whole = Rewriting()
    complete = [stored for stored in kept if stored.root.complete]
    named = {name: census.named[name] for stored in complete for name in stored.root.indexes}
    for names in plan.merges:
        _merge(backend, whole, names)
    for old, merged in whole.indexes.items():
        named[merged] = named.get(merged, {}) | named.pop(old)
    progress.begin("repacking", total_bytes=sum(sum(group.values()) for group in plan.groups))
    for group in plan.groups:
        done = rewrite_packs(backend, scratch, group, named, plan.live.__contains__, progress=progress)
        whole.packs |= done.packs
        for old in done.indexes:
            del named[old]
        named |= packs_named(backend, dict.fromkeys(done.indexes.values()), executor)
        whole.indexes = {old: done.indexes.get(name, name) for old, name in whole.indexes.items()}
        whole.indexes |= {old: new for old, new in done.indexes.items() if old in census.named}
    for stored in complete:
        new = repointed(stored.root, whole)
        if new is not stored.root and stored.is_unchanged(backend):
            guard.publish(new)
    progress.end()


def _merge(backend: Backend, whole: Rewriting, names: list[str]) -> None:
    """One pack index in the place of several: of as many as it holds."""
    taken: list[str] = []
    rows, algorithm = 0, ""
    for name in names:
        reader = open_index(backend, name)
        if rows + reader.row_count <= MAX_INDEX_ROWS:
            taken.append(name)
            rows += reader.row_count
            algorithm = reader.algorithm
    merged = merge_indexes(backend, algorithm, taken) if len(taken) > 1 else []
    if len(merged) == 1:
        whole.indexes |= {name: merged[0] for name in taken if name != merged[0]}


class _Near(WrappingBackend):
    """Keeps packs and pack indexes that are read in ``folder``, whole: trees and lists lie close together in few packs."""

    def __init__(self, inner: Backend, folder: Path) -> None:
        super().__init__(inner)
        self._folder = folder

    def head(self, name: str) -> StoredFile:
        if name.startswith((layout.PACKS, layout.INDEXES)):
            return StoredFile(name, os.stat(self._file(name)).st_size, 0.0)
        return super().head(name)

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if not name.startswith((layout.PACKS, layout.INDEXES)):
            return super().read(name, start, length)
        with open(self._file(name), "rb") as file:
            file.seek(start)
            return file.read(-1 if length is None else length)

    def _file(self, name: str) -> Path:
        last = name.rpartition("/")[2]
        path = self._folder / f"near-{last}"
        if not path.exists():
            data = super().read(name)
            if xxhash.xxh3_128_digest(data) != layout.sealed_raw(last):
                raise IntegrityError(f"{name} of {self.describe()} is not what its name says", "datavc fsck")
            with storage_errors(path):
                path.write_bytes(data)
        return path
