"""Getting objects from remotes into the packs of the cache: many at once, each verified; what one lacks, the next may have.

An object that is kept as a chunk list gets its entry last, when its chunks are here and add up to it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from datavc.errors import DatavcError, IntegrityError, OutOfSpace, StorageError, StoredFileNotFound
from datavc.formats.amounts import human_size
from datavc.formats.chunklist import ChunkList, decode_chunk_list
from datavc.formats.digest import hash_function, new_hasher
from datavc.formats.pack import DATA, LIST, MAX_ENTRY_BYTES, META
from datavc.formats.tree import MAX_TREE_BYTES
from datavc.operations.steps.storing.placing import free_bytes
from datavc.operations.steps.storing.reachable import Reachable
from datavc.operations.steps.transfers.sources import Source, Sources
from datavc.parallel import map_ahead
from datavc.progress import Progress
from datavc.store.cache import Cache
from datavc.store.index import Location
from datavc.store.packstream import PackStream
from datavc.store.reader import MAX_LIST_BYTES, ObjectReader
from datavc.store.receiving import Piece, Receipt, StoredEntry, plan_pieces, raw_of, receive

_CHECKPOINT_SECONDS = 30.0
_BIG_BYTES = 1 << 30
# Short packs of trees come whole: what lies in them is asked for level by level.
_WHOLE_BELOW = 64 << 10
_SPARE_BYTES = 16 << 20

Take = Callable[[list[StoredEntry]], None]


class Loss(NamedTuple):
    """What is ``wrong`` with an object, in which pack of which remote."""

    wrong: str
    pack: bytes
    source: Source


class Gathering:
    """Gets objects out of ``sources``; ``reachable`` knows what is here, and is told what came.

    ``scratch`` is None in a dry run: then trees are read, and nothing is kept. ``lost`` are the objects that no remote
    could give, with what is wrong where one should have been able to; ``purged`` are those that one of them must not have
    any more, which are not asked of others. ``size`` are the bytes that came, or would come.
    """

    def __init__(
        self,
        cache: Cache,
        reachable: Reachable,
        sources: Sources,
        scratch: Path | None,
        executor: Executor,
        *,
        threads: int,
        progress: Progress,
    ) -> None:
        self._cache = cache
        self._algorithm = cache.algorithm
        self._reachable = reachable
        self._sources = sources
        self._executor = executor
        self._writer = cache.backend
        self._threads = threads
        self._progress = progress
        # Entries of trees and lists that came with others, and may be asked for yet.
        self._pool: dict[bytes, StoredEntry] = {}
        self._streams: dict[int, PackStream] = {}
        if scratch is not None:
            self._streams = {content: self._stream(scratch, content) for content in (DATA, META)}
        self._checkpointed = time.monotonic()
        self.lost: dict[bytes, Loss | None] = {}
        self.purged: dict[bytes, Source] = {}
        self.size = 0

    def close(self) -> None:
        """Publish the packs that were begun: all in them was verified."""
        for stream in self._streams.values():
            stream.close()

    def rescue(self) -> None:
        """Keep what was verified, without waiting for requests that are under way. Raises StorageError."""
        for stream in self._streams.values():
            stream.close_at_once()
        self._reachable.checkpoint()

    def trees(self, digests: Iterable[bytes]) -> dict[bytes, bytes]:
        """The content of trees, which are kept, without those that are lost. Raises StorageError."""
        entries = self._entries(digests)
        lists = {digest: entry for digest, entry in entries.items() if entry.form == LIST}
        whole = [entry for entry in entries.values() if entry.form != LIST]
        found = raw_of(self._algorithm, whole)
        self._keep(META, whole)
        for digest, listed in self._unrolled(lists).items():
            content = self._joined(listed, MAX_TREE_BYTES)
            if content is not None and hash_function(self._algorithm)(content) == digest:
                self._keep(META, [lists[digest]])
                found[digest] = content
        for digest in lists.keys() - found.keys():
            self.lost.setdefault(digest, None)
        return found

    def files(self, digests: Iterable[bytes]) -> None:
        """Get the bytes of files. Raises StorageError, OutOfSpace."""
        doubtful = self._files(set(digests))
        if doubtful and self._streams:
            # What is wrong with a chunk list shows only when its chunks are looked for: it is asked for once more.
            self._files(doubtful)

    def _files(self, digests: set[bytes]) -> set[bytes]:
        """As :meth:`files`; those whose chunk lists may have been damaged on the way."""
        lists = self._entries(self._listed(digests))
        levels = self._unrolled(lists)
        chunks = {chunk for listed in levels.values() for chunk in listed.digests}
        fresh = {chunk for chunk in chunks if not self._reachable.has(chunk)}
        self._receive((digests - lists.keys()) | fresh, partial(self._keep, DATA), is_data=True)
        if not self._streams:
            return set()
        lost = {chunk: self.lost.pop(chunk) for chunk in fresh & self.lost.keys()}
        doubtful = lists.keys() - levels.keys()
        for digest, listed in list(levels.items()):
            wrong = [lost[chunk] for chunk in listed.digests if chunk in lost]
            if wrong:
                del levels[digest]
                self.lost[digest] = next((loss for loss in wrong if loss is not None), None)
                if None in wrong:
                    doubtful.add(digest)
        return doubtful | self._prove(levels, lists)

    def _listed(self, digests: set[bytes]) -> set[bytes]:
        """Those that are kept as chunk lists where they are."""
        pending, listed = set(digests), set()
        for _, rows in self._located(pending):
            listed |= {digest for digest, row in rows.items() if row[4] & LIST}
            pending -= rows.keys()
        return listed

    def _prove(self, levels: dict[bytes, ChunkList], lists: dict[bytes, StoredEntry]) -> set[bytes]:
        """Keep the chunk lists whose chunks add up to the object; the others."""
        if not levels:
            return set()
        self._streams[DATA].close()
        reader = ObjectReader(self._cache.backend, self._algorithm, self._reachable.index().find)

        def is_right(item: tuple[bytes, ChunkList]) -> bool:
            hasher = new_hasher(self._algorithm)
            with contextlib.suppress(DatavcError):
                for chunk in reader.chunks(item[1]):
                    hasher.update(chunk)
                return hasher.digest() == item[0]
            return False

        verdicts = list(zip(levels, self._executor.map(is_right, levels.items()), strict=True))
        self._keep(META, [lists[digest] for digest, right in verdicts if right])
        wrong = {digest for digest, right in verdicts if not right}
        for digest in levels:
            self.lost.pop(digest, None)
        self.lost.update(dict.fromkeys(wrong))
        return wrong

    # Chunk lists, and what trees and lists are cut into

    def _entries(self, digests: Iterable[bytes]) -> dict[bytes, StoredEntry]:
        """Entries of trees, chunk lists and pieces of these, out of the pool or from afar, without those that are lost."""
        wanted = set(digests)

        def take(entries: list[StoredEntry]) -> None:
            self._pool.update((entry.digest, entry) for entry in entries)

        self._receive(wanted - self._pool.keys(), take, is_data=False)
        return {digest: self._pool.pop(digest) for digest in wanted if digest in self._pool}

    def _unrolled(self, lists: dict[bytes, StoredEntry]) -> dict[bytes, ChunkList]:
        """The chunk lists of level 0 behind those that are given, without those that are damaged or incomplete."""
        done: dict[bytes, ChunkList] = {}
        pending = raw_of(self._algorithm, lists.values())
        above: dict[bytes, int] = {}
        while pending:
            decoded: dict[bytes, ChunkList] = {}
            for digest, encoded in pending.items():
                with contextlib.suppress(IntegrityError):
                    listed = decode_chunk_list(encoded, self._algorithm)
                    if listed.level == above.get(digest, listed.level + 1) - 1:
                        decoded[digest] = listed
            done |= {digest: listed for digest, listed in decoded.items() if not listed.level}
            above = {digest: listed.level for digest, listed in decoded.items() if listed.level}
            joined = {digest: self._joined(decoded[digest], MAX_LIST_BYTES) for digest in above}
            pending = {digest: encoded for digest, encoded in joined.items() if encoded is not None}
        for digest in lists.keys() - done.keys():
            self.lost.setdefault(digest, None)
        return done

    def _joined(self, listed: ChunkList, limit: int) -> bytes | None:
        """What a tree or a list was cut into, put together; None where some of it is lost, or where it is too long.

        What is new is kept.
        """
        if listed.total > limit:
            return None
        wanted = dict.fromkeys(listed.digests)
        here = {digest for digest in wanted if self._reachable.has(digest)}
        reader = ObjectReader(self._cache.backend, self._algorithm, self._reachable.known.find)
        entries = self._entries(wanted.keys() - here)
        self._keep(META, list(entries.values()))
        pieces = raw_of(self._algorithm, entries.values())
        try:
            return b"".join(
                pieces[digest] if digest in pieces else reader.read(digest, limit=MAX_ENTRY_BYTES)
                for digest in listed.digests
            )
        except (DatavcError, KeyError):
            return None

    # From afar

    def _receive(self, wanted: set[bytes], take: Take, *, is_data: bool) -> None:
        pending = set(wanted)
        for source, rows in self._located(pending):
            if is_data:
                # A chunk list is no data: it would enter an index before its chunks prove it.
                rows = {digest: row for digest, row in rows.items() if not row[4] & LIST}
            pieces = plan_pieces(rows, source.sizes, whole_below=0 if is_data else _WHOLE_BELOW)
            if is_data:
                self._announce(pieces, source)
                if not self._streams:
                    pending -= rows.keys()
                    continue
            into = self._writer if is_data else None
            work = partial(receive, source.store.backend, into, self._algorithm)
            with contextlib.closing(map_ahead(work, pieces, self._executor, self._threads)) as receipts:
                for receipt in receipts:
                    self._take(receipt, source, take, pending)
                    if receipt.failure is not None:
                        self._sources.fail(source, receipt.failure)
                        break
            self._progress.end()
        for digest in pending:
            self.lost.setdefault(digest, None)

    def _located(self, pending: set[bytes]) -> Iterator[tuple[Source, dict[bytes, Location]]]:
        """Each source, while anything is ``pending``, and where in it that lies."""
        if not pending:
            return
        for source in self._sources:
            try:
                rows = source.locate(pending)
            except (StoredFileNotFound, IntegrityError, StorageError) as error:
                self._sources.fail(source, error)
                continue
            absent = pending - rows.keys()
            if absent and source.claims_all:
                gone = absent & source.purged()
                self.purged |= dict.fromkeys(gone, source)
                pending -= gone
            yield source, rows
            if not pending:
                return

    def _take(self, receipt: Receipt, source: Source, take: Take, pending: set[bytes]) -> None:
        piece = receipt.piece
        self.size += piece.length
        self._progress.advance(size=piece.length, files=len(piece.rows))
        if receipt.pack is not None:
            self._reachable.add_pack(receipt.pack)
            came = {digest for digest, _ in piece.rows}
        else:
            take(receipt.entries)
            came = {entry.digest for entry in receipt.entries}
        pending -= came
        for digest in came & self.lost.keys():
            del self.lost[digest]
        for digest, wrong in receipt.lost.items():
            self.lost[digest] = Loss(wrong, piece.pack, source)
            source.suspects.add(piece.pack)
        if self._streams and time.monotonic() - self._checkpointed > _CHECKPOINT_SECONDS:
            self._reachable.checkpoint()
            self._checkpointed = time.monotonic()

    def _announce(self, pieces: list[Piece], source: Source) -> None:
        """Say what will come, before it does. Raises OutOfSpace."""
        size = sum(piece.length for piece in pieces)
        if not self._streams:
            self.size += size
            return
        free = free_bytes(self._cache.folder)
        if size >= _BIG_BYTES:
            self._progress.note(
                f"{human_size(size)} to fetch, of the {human_size(free)} free in {self._cache.folder}"
            )
        if size + _SPARE_BYTES > free:
            raise OutOfSpace(
                f"fetching needs {human_size(size)} and {human_size(_SPARE_BYTES)} to spare, and {self._cache.folder} "
                f"has {human_size(free)} free",
                "free some space, or fetch a part: datavc fetch DATASET/SUB",
            )
        self._progress.begin(
            "fetching",
            total_bytes=size,
            total_files=sum(len(piece.rows) for piece in pieces),
            counted="objects",
            retries=lambda: source.store.retries,
        )

    # Into the cache

    def _stream(self, scratch: Path, content: int) -> PackStream:
        return PackStream(
            self._writer,
            scratch,
            self._algorithm,
            content,
            published=self._reachable.add_pack,
            executor=self._executor,
        )

    def _keep(self, content: int, entries: Iterable[StoredEntry]) -> None:
        if self._streams:
            stream = self._streams[content]
            for entry in entries:
                if content == META or entry.form != LIST:
                    stream.add_stored(*entry)
