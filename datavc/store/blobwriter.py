"""Storing one large blob: read once, cut, hashed and compressed in threads, its chunks deduplicated.

Threads serve here, where small files need processes: hashing and cutting of megabytes, zstd, reading and writing all
release the interpreter lock. Measured: one thread cuts and hashes 1.4 GB/s; zstd is what the others are for.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future

from datavc.formats.chunklist import ChunkList
from datavc.formats.digest import hash_function, new_hasher
from datavc.formats.pack import WHOLE
from datavc.store.chunking import BLOB_CUTS, iter_chunks
from datavc.store.compression import pack_chunk
from datavc.store.packstream import PackStream

# Chunks that wait for compression: 32 of 1 MiB at most, so about 50 MiB a blob with the block being cut.
_AHEAD = 32


class BlobWriter:
    """Writes large blobs as chunks into ``data`` and their chunk lists into ``meta``.

    ``known`` says whether a chunk is in the store already; ``executor`` is a pool of threads.
    """

    def __init__(
        self,
        algorithm: str,
        data: PackStream,
        meta: PackStream,
        known: Callable[[bytes], bool],
        executor: Executor,
    ) -> None:
        self._algorithm = algorithm
        self._data = data
        self._meta = meta
        self._known = known
        self._executor = executor
        self._hash = hash_function(algorithm)

    def write(self, read: Callable[[int], bytes], advance: Callable[[int], None]) -> tuple[bytes, int, int]:
        """Store what ``read(n)`` gives until it gives nothing.

        ``advance`` is told the bytes that were read. Returns the digest, the size, and the bytes newly stored. The
        chunk list is written last, so an object that is found has all its chunks.
        """
        hasher = new_hasher(self._algorithm)
        lengths, digests = array("I"), []
        waiting: deque[tuple[bytes, bytes, Future[bytes | None]]] = deque()
        total = stored = 0
        for block, chunks in iter_chunks(read, BLOB_CUTS):
            hasher.update(block)
            total += len(block)
            for view in chunks:
                chunk = bytes(view)
                name = self._hash(chunk)
                lengths.append(len(chunk))
                digests.append(name)
                if not self._data.holds(name) and not self._known(name):
                    waiting.append((name, chunk, self._executor.submit(pack_chunk, chunk)))
                while len(waiting) > _AHEAD:
                    stored += self._store(waiting.popleft())
            advance(len(block))
        while waiting:
            stored += self._store(waiting.popleft())
        digest = hasher.digest()
        if not self._known(digest):
            if len(digests) == 1 and digests[0] == digest:
                return digest, total, stored
            stored += self._meta.add_list(
                digest, ChunkList(self._algorithm, 0, total, lengths, digests), self._known
            )
        return digest, total, stored

    def _store(self, item: tuple[bytes, bytes, Future[bytes | None]]) -> int:
        name, chunk, packed = item
        return self._data.add(name, chunk, WHOLE, packed.result())
