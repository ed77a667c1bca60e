"""Deleting objects from a store for good, without a grace, while others are at work on it.

Order: the notes of what is purged, and ``trash/ID.purging``; new packs without it, and pack indexes that name them;
``trash/ID.rewritten``, which tells who is at work what will go; roots; then the old pack indexes and packs go. Killed
anywhere, everything else is readable, and the same again finishes: what is left over is found by reading the end of every
pack, whether an index names it or not.

Somebody may store a file meanwhile that has a chunk in common with one that is purged, and find that chunk there. So all
chunk lists are read once more after the roots were listed, and before one is changed: a root whose list is not among them
came later, and its writer sees the note.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import (
    ConflictError,
    DatavcError,
    IntegrityError,
    MalformedError,
    StorageError,
    StoredFileNotFound,
    UnsupportedFormat,
)
from datavc.formats.digest import Digest
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import LIST, META, TAIL_BYTES, PackFooter, decode_pack_footer, decode_pack_tail
from datavc.formats.times import utc_text
from datavc.formats.tombstone import Rewritten, decode_rewritten, encode_rewritten
from datavc.formats.tree import FOLDER, MAX_TREE_BYTES, TREE, decode_tree
from datavc.progress import SILENT, Progress
from datavc.store import layout
from datavc.store.census import list_packs, packs_named
from datavc.store.index import Location, list_indexes
from datavc.store.packreader import locations, read_footer
from datavc.store.purged import purged_digests
from datavc.store.reader import ObjectReader
from datavc.store.repointing import Rewriting, reindex
from datavc.store.rewriting import begin_rewriting, repoint_roots, rewrite_packs
from datavc.store.tombstones import DONE, PURGING, REWRITTEN, SHORTEST_GRACE_SECONDS, Guard, new_id
from datavc.store.who import who_am_i

_ROUNDS = 10


@dataclass(slots=True)
class Survey:
    """What a purge of some objects comes to: ``dropped`` digests, the ``packs`` that hold any, other stored ``files``.

    ``chunks`` are those of the purged files, with their lengths. ``shared`` are purged objects whose bytes stay: they are a
    chunk of a file that is not purged. ``shared_bytes`` are those of chunks of purged files that other files have too.
    """

    dropped: set[bytes] = field(default_factory=set)
    packs: dict[bytes, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    chunks: dict[bytes, int] = field(default_factory=dict)
    shared: set[bytes] = field(default_factory=set)
    shared_bytes: int = 0

    @property
    def size(self) -> int:
        """Bytes of the stored files that are rewritten or deleted."""
        return sum(self.packs.values()) + sum(self.files.values())

    def __bool__(self) -> bool:
        return bool(self.packs or self.files)


class StorePurge:
    """Purges the objects ``digests``, of ``algorithm``, from ``backend``; ``scratch`` gives a folder for new packs.

    ``chunks`` are those that the objects have in other stores: here they may lie without the list that names them. ``hold``
    is called before each deletion.
    """

    def __init__(
        self,
        backend: Backend,
        algorithm: str,
        digests: set[bytes],
        scratch: Path,
        executor: Executor,
        *,
        repo_id: str,
        chunks: dict[bytes, int] | None = None,
        hold: Callable[[], None] = lambda: None,
        progress: Progress = SILENT,
    ) -> None:
        self._backend = backend
        self._algorithm = algorithm
        self._digests = set(digests)
        self._scratch = scratch
        self._executor = executor
        self._repo_id = repo_id
        self._chunks = chunks or {}
        self._hold = hold
        self._progress = progress
        self._announced = 0.0, 0.0

    def survey(self) -> Survey:
        """What would go. Reads the end of every pack, and all chunk lists.

        Raises:
            IntegrityError: a pack is damaged, so that nobody knows what is in it. StorageError. StoredFileNotFound: another
            purge is at work.
        """
        packs = list_packs(self._backend)
        read = zip(packs, self._executor.map(self._footer, packs.items()), strict=True)
        footers = {pack: footer for pack, footer in read if footer is not None}
        found = Survey()
        holding = _Holding(self._backend, self._algorithm, footers)
        chunks, others = holding.chunks(self._digests)
        chunks |= self._chunks
        found.chunks = chunks
        found.shared = self._digests & others.keys()
        kept = chunks.keys() & others.keys()
        kept |= holding.files_among(chunks.keys() - kept - self._digests)
        found.shared_bytes = sum(chunks[chunk] for chunk in kept - self._digests)
        found.dropped = (self._digests | chunks.keys()) - (kept - self._digests) - found.shared
        # Chunk lists go last: after a kill they tell which chunks are left.
        found.packs = {
            pack: packs[pack]
            for pack, footer in sorted(footers.items(), key=lambda item: (item[1].content, item[0]))
            if footer.algorithm == self._algorithm and not found.dropped.isdisjoint(footer.digests)
        }
        found.files = dict(self._other_files(found.dropped))
        return found

    def run(self) -> int:
        """Delete it. Returns the bytes of the stored files that are gone.

        Raises:
            IntegrityError: as :meth:`survey`. ConflictError: gc, or another purge, is at work on the same store.
            StorageError, OutOfSpace: the same again goes on.
        """
        self._backend.write(f"{layout.TRASH}{new_id()}{PURGING}", f"{who_am_i()} {utc_text()}\n".encode())
        gone = 0
        for _ in range(_ROUNDS):
            # What is not there any more was deleted by another purge, which may have left something else.
            with contextlib.suppress(_Shared, StoredFileNotFound):
                guard = begin_rewriting(self._backend)
                # Another purge may have begun after this one, and taken over into new packs what this one knows nothing of.
                self._digests |= purged_digests(self._backend, self._algorithm)
                found = self.survey()
                if not found:
                    self._end_notes()
                    self._backend.close()
                    return gone
                if found.packs:
                    self._rewrite(found, guard)
                self._delete(found.files)
                gone += found.size
        raise ConflictError(
            f"somebody stores in {self._backend.describe()} what is being purged from it, again and again",
            "run the same command again when nobody else is at work there",
        )

    def _rewrite(self, found: Survey, guard: Guard) -> None:
        named = packs_named(self._backend, sorted(list_indexes(self._backend)), self._executor)
        done = rewrite_packs(
            self._backend, self._scratch, found.packs, named, lambda digest: digest not in found.dropped
        )
        note = f"{layout.TRASH}{new_id()}"
        self._announce(note, done)

        def require_same() -> None:
            if self.survey().dropped != found.dropped:
                self._backend.delete(note + REWRITTEN)
                raise _Shared

        is_settled = False
        for _ in range(_ROUNDS):
            is_new = self._reindex_new(done)
            if is_new:
                self._announce(note, done)
            is_settled = (
                not repoint_roots(self._backend, done, self._executor, guard, require_same) and not is_new
            )
            if is_settled:
                break
        if is_settled:
            gone = [*map(layout.index_path, done.indexes), *map(layout.pack_path, done.packs)]
            self._delete(gone, self._require_announced)
            self._backend.write(note + DONE, b"")

    def _end_notes(self) -> None:
        """Purges that were killed are over, too, once nothing is left of what they deleted."""
        files = {file.name for file in self._backend.list(layout.TRASH)}
        for name in sorted(files):
            end = name.removesuffix(REWRITTEN) + DONE
            if name.endswith(REWRITTEN) and end not in files:
                note = decode_rewritten(self._backend.read(name), f"{name} of {self._backend.describe()}")
                packs = map(layout.pack_path, map(layout.sealed_raw, note.packs))
                if not any(is_there(self._backend, pack) for pack in packs):
                    self._backend.write(end, b"")

    def _announce(self, note: str, done: Rewriting) -> None:
        rewritten = Rewritten(
            self._repo_id,
            who_am_i(),
            utc_text(),
            tuple(map(layout.sealed_name, done.packs)),
            tuple(done.indexes.items()),
            tuple(done.added),
        )
        self._backend.replace(note + REWRITTEN, encode_rewritten(rewritten))
        self._announced = time.monotonic(), time.time()

    def _require_announced(self) -> None:
        """gc tidies notes away that are a day old; what goes after that, no writer would know of. Raises StorageError."""
        elapsed = max(time.monotonic() - self._announced[0], abs(time.time() - self._announced[1]))
        if elapsed > SHORTEST_GRACE_SECONDS / 2:
            raise StorageError(
                f"purging {self._backend.describe()} was interrupted for {int(elapsed // 3600)} hours",
                "run the same command again",
            )

    def _reindex_new(self, done: Rewriting) -> bool:
        """Pack indexes that came meanwhile and name a pack that goes: whether there were any."""
        before = len(done.indexes)
        for name in sorted(list_indexes(self._backend)):
            try:
                reindex(self._backend, name, done)
            except StoredFileNotFound:
                continue
        return len(done.indexes) > before

    def _delete(self, names: Iterable[str], require: Callable[[], None] = lambda: None) -> None:
        for name in names:
            self._hold()
            require()
            self._backend.delete(name)

    def _footer(self, item: tuple[bytes, int]) -> PackFooter | None:
        pack, size = item
        try:
            return read_footer(self._backend, pack, size)
        except StoredFileNotFound:
            return None
        except UnsupportedFormat:
            raise
        except MalformedError as error:
            raise IntegrityError(
                f"{layout.pack_path(pack)} of {self._backend.describe()} is damaged, and nobody knows what is in it: "
                f"{error.message}",
                "datavc fsck --repair",
            ) from error

    def _other_files(self, dropped: set[bytes]) -> Iterator[tuple[str, int]]:
        """Whole blobs, and what was put aside: packs that hold any of it, or of which that cannot be told."""
        blobs = {f"{self._algorithm}-{digest.hex()}" for digest in self._digests}
        for file in self._backend.list(layout.BLOBS):
            if file.name.rpartition("/")[2] in blobs:
                yield file.name, file.size
        for file in self._backend.list(layout.QUARANTINE):
            name = file.name.removeprefix(layout.QUARANTINE)
            if name.startswith("packs-"):
                if self._may_hold(file, dropped):
                    yield file.name, file.size
            elif name.startswith("blobs-") and not blobs.isdisjoint(
                {name.split("-", 2)[2].rpartition("-")[0]}
            ):
                yield file.name, file.size

    def _may_hold(self, file: StoredFile, dropped: set[bytes]) -> bool:
        read = self._backend.read
        try:
            tail = read(file.name, max(0, file.size - TAIL_BYTES), min(file.size, TAIL_BYTES))
            start, length, digest = decode_pack_tail(tail, file.size)
            footer = decode_pack_footer(
                read(file.name, 0, min(file.size, HEADER_BYTES)),
                read(file.name, start, length),
                digest,
                start,
            )
        except (DatavcError, ValueError):
            return True
        return footer.algorithm == self._algorithm and not dropped.isdisjoint(footer.digests)


class _Shared(Exception):
    """Something that was to go is needed by a file that has come meanwhile; nothing was deleted."""


class _Holding:
    """What the chunk lists and trees of a store say about its objects."""

    def __init__(self, backend: Backend, algorithm: str, footers: dict[bytes, PackFooter]) -> None:
        self._algorithm = algorithm
        self._rows: dict[bytes, Location] = {}
        self._meta: set[bytes] = set()
        self._lists: dict[bytes, Location] = {}
        for pack, footer in footers.items():
            if footer.algorithm != algorithm or (footer.content != META and LIST not in footer.forms):
                continue
            self._meta.update(footer.digests if footer.content == META else ())
            for digest, location in locations(pack, footer):
                if location[4] & LIST or digest not in self._lists:
                    self._rows[digest] = location
                if location[4] & LIST:
                    self._lists[digest] = location
        self._reader = ObjectReader(_WholePacks(backend), algorithm, self._rows.get)

    def chunks(self, purged: set[bytes]) -> tuple[dict[bytes, int], dict[bytes, int]]:
        """The chunks of the ``purged`` objects, and those of all others, with their lengths. Raises IntegrityError."""
        mine: dict[bytes, int] = {}
        others: dict[bytes, int] = {}
        for digest, location in sorted(self._lists.items(), key=lambda item: item[1][:2]):
            into = mine if digest in purged else others
            try:
                for listed in self._reader.levels(digest, location):
                    into.update(zip(listed.digests, listed.lengths, strict=True))
            except StoredFileNotFound:
                raise
            except DatavcError as error:
                if digest in purged:
                    continue
                raise IntegrityError(
                    f"the chunk list of {Digest(self._algorithm, digest)} cannot be read, and nobody knows what it needs: "
                    f"{error.message}",
                    "datavc fsck --repair",
                ) from error
        return mine, others

    def files_among(self, chunks: set[bytes]) -> set[bytes]:
        """Those of the chunks that are also whole files: a tree names them."""
        found: set[bytes] = set()
        if not chunks:
            return found
        for digest, location in sorted(self._rows.items(), key=lambda item: item[1][:2]):
            if digest not in self._meta:
                continue
            try:
                if location[4] & LIST and not self._is_cut_tree(digest, location):
                    continue
                content = self._reader.read(digest, limit=MAX_TREE_BYTES)
                if content.startswith(TREE.magic):
                    tree = decode_tree(content, self._algorithm)
                    found |= chunks.intersection(
                        inner for inner, kind in zip(tree.digests, tree.kinds, strict=True) if kind != FOLDER
                    )
            except DatavcError:
                # A piece of a tree, which is read as a whole elsewhere; or no version can be read with it anyway.
                continue
        return found

    def _is_cut_tree(self, digest: bytes, location: Location) -> bool:
        """Whether a chunk list is that of a tree, whose pieces lie among trees, rather than that of a file."""
        *_, listed = self._reader.levels(digest, location)
        return bool(listed.digests) and listed.digests[0] in self._meta


class _WholePacks(WrappingBackend):
    """Reads packs whole, and keeps the last few: their lists and trees are read in the order in which they lie."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self._packs: dict[str, bytes] = {}

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = self._packs.get(name)
        if data is None:
            if len(self._packs) > 3:
                del self._packs[next(iter(self._packs))]
            data = self._packs[name] = super().read(name)
        return data[start : len(data) if length is None else start + length]
