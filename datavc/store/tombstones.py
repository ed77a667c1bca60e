"""Tombstones in a store, and how a writer and gc keep out of each other's way without a lock.

gc writes ``trash/ID`` and, before that, ``trash/ID.waiting``. A grace later it removes the latter, then reads all roots, and
deletes what is still named by none. A writer reads the tombstones before it relies on anything. Does it rely on something
doomed, it first writes a root beside the place of its own, and then looks whether the tombstone still waits: if it does,
gc will read that root before it deletes; if not, the writer gives up, and is told to run again. Either the writer sees
that gc has begun, or gc sees the writer's root. What was doomed after the writer began goes a grace later at the
earliest, when the writer has long been done: one that takes longer than half the shortest grace looks at everything again.

purge deletes at once. It says in ``trash/ID.rewritten`` which packs and pack indexes will go, then it changes the roots that
name them, and deletes. A writer looks for such notes after it wrote its root. Either purge sees the root, or the writer sees
the note; if it relied on something that goes, it withdraws its root, and is told to run again. ``trash/ID.done`` says that
all of it is gone: packs of the same names were written anew since.

Before gc removes roots it keeps their texts in ``trash/ID.roots``. A writer looks there after it wrote its root, and
writes it again if gc has removed it meanwhile for the old one that it was.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.errors import ConflictError, MalformedError, StoredFileNotFound
from datavc.formats.root import Root, decode_root, encode_root
from datavc.formats.times import utc_text
from datavc.formats.tombstone import Rewritten, Tombstone, decode_removed, decode_rewritten, decode_tombstone
from datavc.store import layout

DAY = 86_400.0
GRACE_SECONDS = 14 * DAY
"""How long what nothing needs stays before it is removed, and again before it is deleted."""
SHORTEST_GRACE_SECONDS = DAY
"""A shorter grace is none: then nobody else may be at work on the store."""
CLAIM_SECONDS = 3600.0
"""Who was killed in the middle of deleting is waited for so long; who deletes says more often that it does."""
WAITING = ".waiting"
REMOVED = ".roots"
CLAIM = ".claim-"
REWRITTEN = ".rewritten"
DONE = ".done"
PURGING = ".purging"
"""That a purge has begun: whoever sees one that was not there before looks anew what may not be stored."""


def new_id() -> str:
    """A name for what is left in the trash; later ones sort behind earlier ones."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{os.urandom(4).hex()}"


@dataclass(frozen=True, slots=True)
class Doomed:
    """A tombstone that is there, since when by the backend's clock, and whether it waits: nothing of it was deleted yet."""

    id: str
    tombstone: Tombstone
    since: float
    waits: bool

    def touches(self, indexes: Iterable[str], packs: Iterable[bytes]) -> bool:
        """Whether one of these is to go. Blobs are not told from each other: any of them may be relied on."""
        if self.tombstone.blobs or not set(self.tombstone.indexes).isdisjoint(indexes):
            return True
        return not {layout.sealed_raw(name) for name in self.tombstone.packs}.isdisjoint(packs)


def read_tombstones(backend: Backend) -> dict[str, Doomed]:
    """Every tombstone there is, by id: one listing, and a request for each.

    Raises:
        MalformedError, UnsupportedFormat: one cannot be read, so nobody knows what may be relied on.
    """
    return _tombstones(backend, list(backend.list(layout.TRASH)))


def _tombstones(backend: Backend, files: Iterable[StoredFile]) -> dict[str, Doomed]:
    names = {file.name.removeprefix(layout.TRASH): file for file in files}
    found = {}
    for name, file in names.items():
        if "." in name:
            continue
        try:
            data = backend.read(file.name)
        except StoredFileNotFound:
            # Everything in it was deleted just now, before anybody here relied on it.
            continue
        tombstone = decode_tombstone(data, f"{file.name} of {backend.describe()}")
        found[name] = Doomed(name, tombstone, file.modified, name + WAITING in names)
    return found


# What purges say that they rewrite, by the name of the note, and of each whether that is over.
_Rewritings = dict[str, tuple[Rewritten, bool]]


class Guard:
    """What a writer of roots has with it. To be made before the writer looks what the store has.

    ``packs_of`` says which packs some pack indexes name, with their lengths.
    """

    def __init__(self, backend: Backend, packs_of: Callable[[tuple[str, ...]], dict[bytes, int]]) -> None:
        self._backend = backend
        self._packs_of = packs_of
        self._began = time.monotonic(), time.time()
        files = list(backend.list(layout.TRASH))
        self._seen = _tombstones(backend, files)
        self._sees_removing = any(not is_done for _, is_done in _removals(files, self._seen))
        self._purges = {file.name for file in files if file.name.endswith(PURGING)}
        self.saw_purge = False
        """Whether a purge has begun since this was made, as far as the last :meth:`publish` saw."""

    def publish(self, root: Root) -> None:
        """Write ``root``, whose pack indexes and packs were seen there, or found in the pack indexes of another root.

        Raises:
            ConflictError: gc or purge is deleting, or has deleted, something that it relies on. The root is not there then;
            one that was there before is, if all of it still is.
        """
        if self._sees_removing:
            # gc may still delete this root for the one before it. Whoever is killed before having looked leaves an old one,
            # which the next writer does not rely on.
            self._publish(replace(root, when=utc_text(time.time() - GRACE_SECONDS)))
        self._publish(root)

    def _publish(self, root: Root) -> None:
        is_slow = self.is_slow()
        packs = self._packs(root) if self._seen or is_slow else {}
        if is_slow or _touching(self._seen, root, packs):
            aside = layout.root_path(root.repo, root.digest) + layout.RESCUE
            self._backend.replace(aside, encode_root(replace(root, complete=False)))
            try:
                self._require_saved(root, packs)
                replaced = self._there(root)
                self._write(root)
            finally:
                self._backend.delete(aside)
        else:
            replaced = self._there(root)
            self._write(root)
        while True:
            files = list(self._backend.list(layout.TRASH))
            self._require_current(root, replaced, files)
            if not self._outlive(root, replaced, files):
                return

    def _there(self, root: Root) -> Root | None:
        """The root that ``root`` is about to replace."""
        try:
            return decode_root(self._backend.read(layout.root_path(root.repo, root.digest)))
        except (StoredFileNotFound, MalformedError):
            return None

    def _write(self, root: Root) -> None:
        """Write ``root``, or take it back, where a machine that slept at this very moment had it come too late."""
        before = self._elapsed()
        _write(self._backend, root)
        if self._elapsed() - before > SHORTEST_GRACE_SECONDS / 2:
            try:
                self._require_saved(root, self._packs(root))
            except ConflictError:
                # A root that names what is gone would keep gc from this store.
                name = layout.root_path(root.repo, root.digest)
                with suppress(StoredFileNotFound):
                    if self._backend.read(name) == encode_root(root):
                        self._backend.delete(name)
                raise

    def _require_current(self, root: Root, replaced: Root | None, files: list[StoredFile]) -> None:
        """Withdraw a root that relies on what a purge has deleted since this began, or is deleting. Raises ConflictError."""
        self.saw_purge = any(file.name.endswith(PURGING) and file.name not in self._purges for file in files)
        notes = self._rewritings(files)
        if not self._is_current(root, notes):
            self._withdraw(root, replaced, notes)
            raise ConflictError(
                f"something that was in {self._backend.describe()} when this began is deleted by datavc purge",
                "when that is done, the same command again",
            )

    def _withdraw(self, root: Root, replaced: Root | None, notes: _Rewritings) -> None:
        """Put back what ``root`` replaced, naming what purges wrote instead of what it named; nothing, if that is gone."""
        while replaced is not None:
            replaced = self._followed(replaced, notes)
            if replaced is None:
                break
            _write(self._backend, replaced)
            before, notes = notes, self._rewritings(list(self._backend.list(layout.TRASH)))
            if notes == before:
                return
        self._backend.delete(layout.root_path(root.repo, root.digest))

    def _followed(self, root: Root, notes: _Rewritings) -> Root | None:
        """``root``, naming in place of its pack indexes what stays; None if nothing does.

        Purges at once write each its own in place of one index, and what one of them wrote may go with the other.
        """
        names: dict[str, None] = {}
        for name in root.indexes:
            ways = _successors(name, notes)
            staying = (way for way in ways if self._is_current(replace(root, indexes=(way,)), notes))
            if (found := next(staying, None)) is None:
                return None
            names[found] = None
        return replace(root, indexes=tuple(names))

    def _rewritings(self, files: list[StoredFile]) -> _Rewritings:
        names = {file.name for file in files}
        found = {}
        for name in sorted(names):
            if name.endswith(REWRITTEN):
                with suppress(StoredFileNotFound):
                    note = decode_rewritten(self._backend.read(name), f"{name} of {self._backend.describe()}")
                    found[name] = note, _is_done(name, names)
        return found

    def _is_current(self, root: Root, notes: _Rewritings) -> bool:
        """Whether all that ``root`` relies on is there, and stays, as far as the notes tell."""
        going: dict[bytes, bool] = {}
        for note, is_done in notes.values():
            if not is_done and not {old for old, _ in note.indexes}.isdisjoint(root.indexes):
                return False
            for pack in map(layout.sealed_raw, note.packs):
                going[pack] = going.get(pack, True) and is_done
        if not notes:
            return True
        try:
            packs = self._packs_of(root.indexes)
            relied = packs.keys() & going.keys()
            return all(going[pack] for pack in relied) and self._is_whole(
                root, {pack: packs[pack] for pack in relied}
            )
        except StoredFileNotFound:
            return False

    def _outlive(self, root: Root, replaced: Root | None, files: list[StoredFile]) -> bool:
        """See that gc does not remove this root for the one that it replaced; whether it had, and it was written again."""
        name = layout.root_path(root.repo, root.digest)
        for file, is_done in _removals(files, self._seen):
            try:
                removed = decode_removed(self._backend.read(file.name), file.name)
            except StoredFileNotFound:
                continue
            roots = [decode_root(text.encode("ascii")) for text in removed.roots]
            older = [one for one in roots if one.digest == root.digest]
            if not older:
                continue
            if not is_done and self._backend.now() - file.modified < CLAIM_SECONDS:
                # Nobody may take it for new as long as it may still be deleted for the old one.
                old = replace(root, when=older[0].when)
                _write(self._backend, old)
                self._require_current(old, replaced, list(self._backend.list(layout.TRASH)))
                raise ConflictError(
                    f"datavc gc is removing versions from {self._backend.describe()}, an older writing of this one too",
                    "when it is done, the same command again",
                )
            if not is_there(self._backend, name):
                _write(self._backend, root)
                return True
        return False

    def is_slow(self) -> bool:
        """Whether so much time has passed that a gc may have deleted what was seen since."""
        return self._elapsed() > SHORTEST_GRACE_SECONDS / 2

    def _elapsed(self) -> float:
        """Seconds since it began; one of the clocks stands still while a laptop sleeps, the other may be set."""
        return max(time.monotonic() - self._began[0], abs(time.time() - self._began[1]))

    def _require_saved(self, root: Root, packs: dict[bytes, int]) -> None:
        """Once gc would see what ``root`` relies on: is all of it there, and nobody deleting it? Raises ConflictError."""
        after = read_tombstones(self._backend)
        going = [doomed for doomed in _touching(after, root, packs) if not doomed.waits]
        if going:
            raise ConflictError(
                f"garbage is being deleted from {self._backend.describe()} since {going[0].tombstone.when}, "
                "and some of it is needed again",
                "when datavc gc is done there, the same command again; if it was killed, datavc gc finishes",
            )
        if not self._is_whole(root, packs):
            raise self._gone()

    def _packs(self, root: Root) -> dict[bytes, int]:
        """The packs that the root relies on. Raises ConflictError."""
        try:
            return self._packs_of(root.indexes)
        except StoredFileNotFound as error:
            raise self._gone() from error

    def _gone(self) -> ConflictError:
        return ConflictError(
            f"something that was in {self._backend.describe()} when this began has been deleted by datavc gc",
            "run the same command again",
        )

    def _is_whole(self, root: Root, packs: dict[bytes, int]) -> bool:
        """Whether all that the root names is there."""
        return all(is_there(self._backend, layout.index_path(name)) for name in root.indexes) and all(
            is_there(self._backend, layout.pack_path(pack), size) for pack, size in packs.items()
        )


def _removals(files: list[StoredFile], seen: dict[str, Doomed]) -> list[tuple[StoredFile, bool]]:
    """The texts of roots that were removed since ``seen``, and of each whether that is over: then its tombstone is there."""
    names = {file.name: file for file in files}
    return [
        (file, name.removesuffix(REMOVED) in names)
        for name, file in names.items()
        if name.endswith(REMOVED) and name.removeprefix(layout.TRASH).removesuffix(REMOVED) not in seen
    ]


def _is_done(note: str, names: set[str]) -> bool:
    return note.removesuffix(REWRITTEN) + DONE in names


def _successors(name: str, notes: _Rewritings) -> list[str]:
    """The pack index, then all that purges wrote in place of it, and in place of those."""
    found = [name]
    for one in found:
        taken = {new for note, _ in notes.values() for old, new in note.indexes if old == one}
        found += sorted(taken.difference(found))
    return found


def _touching(tombstones: dict[str, Doomed], root: Root, packs: dict[bytes, int]) -> list[Doomed]:
    return [doomed for doomed in tombstones.values() if doomed.touches(root.indexes, packs)]


def _write(backend: Backend, root: Root) -> None:
    backend.replace(layout.root_path(root.repo, root.digest), encode_root(root))
