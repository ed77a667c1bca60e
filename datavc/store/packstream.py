"""Objects in, published packs out: a pack writer that starts the next pack when one is full."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from datavc.backends.base import Backend
from datavc.formats.chunklist import ChunkList, encode_chunk_list
from datavc.formats.digest import hash_function
from datavc.formats.pack import LIST, MAX_ENTRY_BYTES, MAX_PACK_BYTES, WHOLE
from datavc.store import layout
from datavc.store.chunking import TREE_CUTS, cut_points
from datavc.store.compression import Compressor
from datavc.store.packwriter import PackWriter, SealedPack

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

# Trees shorter than this are stored whole: below it a chunk list saves nothing.
CHUNK_TREES_FROM = 128 << 10


class PackStream:
    """Writes objects of one kind of content (data or meta) into packs and publishes each when it is full.

    ``published`` is called with every pack that is durable in the store. With an ``executor`` of threads, packs are made
    durable beside the writing of the next. Entries of a pack add up to at most ``limit`` bytes. Close it, or abandon it: it
    never publishes half a pack.
    """

    def __init__(
        self,
        backend: Backend,
        scratch: Path,
        algorithm: str,
        content: int,
        *,
        published: Callable[[SealedPack], None],
        executor: Executor | None = None,
        limit: int = MAX_PACK_BYTES,
    ) -> None:
        self._backend = backend
        self._scratch = scratch
        self._algorithm = algorithm
        self._content = content
        self._published = published
        self._executor = executor
        self._limit = limit
        self._writer: PackWriter | None = None
        self._pending: list[tuple[SealedPack, Future[SealedPack]]] = []
        self._hash = hash_function(algorithm)
        self._compressor = Compressor()
        self._seen: set[bytes] = set()

    def holds(self, digest: bytes) -> bool:
        """Whether this stream has stored the object."""
        return digest in self._seen

    def add(
        self, digest: bytes, raw: bytes | memoryview, form: int = WHOLE, packed: bytes | None = None
    ) -> int:
        """Store an entry of at most 1 MiB, once; returns the bytes that it takes (0: it was here before)."""
        if digest in self._seen:
            return 0
        self._seen.add(digest)
        return self._room(len(raw if packed is None else packed)).add(digest, raw, form, packed)

    def add_stored(self, digest: bytes, stored: bytes, raw_length: int, form: int, codec: int) -> int:
        """As :meth:`add`, of bytes as another pack has them."""
        if digest in self._seen:
            return 0
        self._seen.add(digest)
        return self._room(len(stored)).add_stored(digest, stored, raw_length, form, codec)

    def _room(self, length: int) -> PackWriter:
        """The writer of a pack in which so many bytes still fit."""
        if self._writer is not None and not (
            self._writer.has_room(length) and self._writer.size + length <= self._limit
        ):
            self._publish_current()
        if self._writer is None:
            self._writer = PackWriter(self._scratch, self._algorithm, self._content)
        return self._writer

    def add_tree(self, digest: bytes, encoded: bytes, known: Callable[[bytes], bool]) -> int:
        """Store a tree (or another meta object): whole, or as chunks where it is long. Returns the bytes it takes."""
        if len(encoded) < CHUNK_TREES_FROM:
            return self.add(digest, encoded, WHOLE, self._compressor.pack(b"tree", encoded))
        return self._add_cut(digest, encoded, known, level=0)

    def add_list(self, digest: bytes, listed: ChunkList, known: Callable[[bytes], bool]) -> int:
        """Store the chunk list of object ``digest``: whole, or itself cut and listed where it exceeds an entry."""
        encoded = encode_chunk_list(listed)
        if len(encoded) <= MAX_ENTRY_BYTES:
            return self.add(digest, encoded, LIST, self._compressor.pack(b"list", encoded))
        return self._add_cut(digest, encoded, known, level=listed.level + 1)

    def _add_cut(self, digest: bytes, encoded: bytes, known: Callable[[bytes], bool], *, level: int) -> int:
        """Store ``encoded`` in pieces, and the list of them under ``digest``."""
        view = memoryview(encoded)
        stored, start = 0, 0
        lengths, digests = array("I"), []
        for end in cut_points(encoded, TREE_CUTS):
            piece = bytes(view[start:end])
            name = self._hash(piece)
            lengths.append(end - start)
            digests.append(name)
            if not known(name):
                stored += self.add(name, piece, WHOLE, self._compressor.pack(b"piece", piece))
            start = end
        return stored + self.add_list(
            digest, ChunkList(self._algorithm, level, len(encoded), lengths, digests), known
        )

    def close(self) -> None:
        """Publish what is left, and wait until every pack is durable."""
        self._publish_current()
        for _, future in self._pending:
            self._published(future.result())
        self._pending.clear()

    def close_at_once(self) -> None:
        """As :meth:`close`, in this thread, whatever the others are busy with: the command is being interrupted."""
        waiting = [(pack, future.cancel(), future) for pack, future in self._pending]
        self._pending.clear()
        self._executor = None
        for pack, is_ours, future in waiting:
            self._published(publish_pack(self._backend, pack) if is_ours else future.result())
        if self._writer is not None and self._writer.failed:
            self._writer = None
        self._publish_current()

    def abandon(self) -> None:
        """Drop the unfinished pack; those that were published stay."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None
        for _, future in self._pending:
            future.cancel()

    def _publish_current(self) -> None:
        if self._writer is None:
            return
        pack = self._writer.seal()
        self._writer = None
        if self._executor is None:
            self._published(publish_pack(self._backend, pack))
            return
        self._pending.append((pack, self._executor.submit(publish_pack, self._backend, pack)))
        while self._pending and (self._pending[0][1].done() or len(self._pending) > 2):
            self._published(self._pending.pop(0)[1].result())


@contextmanager
def closing_streams(streams: Iterable[PackStream]) -> Iterator[None]:
    """Close the streams at the end of the block; after an error in it, abandon them."""
    streams = list(streams)
    try:
        yield
        for stream in streams:
            stream.close()
    except BaseException:
        for stream in streams:
            stream.abandon()
        raise


def publish_pack(backend: Backend, pack: SealedPack) -> SealedPack:
    """Give a sealed pack its name in the store; durable on return. One that is there already is kept."""
    backend.write_file(layout.pack_path(pack.name), pack.path)
    return pack
