"""Storing large blobs as chunks: hashed and compressed in threads, written in order, and listed.

Threads serve here, where small files need processes: hashing and cutting of megabytes, zstd, reading and writing all
release the interpreter lock. :func:`pack_chunks` is for many threads, :class:`BlobWriter` for one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence

from datavc.formats.chunklist import ChunkList
from datavc.formats.digest import hash_function, new_hasher
from datavc.formats.pack import WHOLE
from datavc.store.compression import pack_chunk
from datavc.store.packstream import PackStream

# digest, content, and its zstd frame where that is smaller (None too where the chunk was known already)
PackedChunk = tuple[bytes, memoryview, bytes | None]


def pack_chunks(
    algorithm: str, chunks: Sequence[memoryview], known: Callable[[bytes], bool]
) -> list[PackedChunk]:
    """Hash and compress chunks; what is ``known`` is not compressed. Safe in threads."""
    hash_bytes = hash_function(algorithm)
    packed: list[PackedChunk] = []
    for chunk in chunks:
        digest = hash_bytes(chunk)
        packed.append((digest, chunk, None if known(digest) else pack_chunk(chunk)))
    return packed


class BlobWriter:
    """Writes large blobs one after the other: chunks into ``data``, their lists into ``meta``.

    ``known`` says whether an object is in the store already.
    """

    def __init__(
        self, algorithm: str, data: PackStream, meta: PackStream, known: Callable[[bytes], bool]
    ) -> None:
        self._algorithm = algorithm
        self._data = data
        self._meta = meta
        self._known = known
        self._begin()

    def _begin(self) -> None:
        self._hasher = new_hasher(self._algorithm)
        self._lengths = array("I")
        self._digests: list[bytes] = []
        self._total = self._stored = 0

    def add(self, read: memoryview, chunks: Sequence[PackedChunk]) -> None:
        """The next bytes of the blob, and the chunks that are complete with them. Both are done with on return."""
        self._hasher.update(read)
        self._total += len(read)
        for digest, chunk, packed in chunks:
            self._lengths.append(len(chunk))
            self._digests.append(digest)
            if not self._data.holds(digest) and not self._known(digest):
                self._stored += self._data.add(digest, chunk, WHOLE, packed)

    def finish(self) -> tuple[bytes, int, int]:
        """End the blob: its digest, its size, and the bytes newly stored.

        The chunk list is written last, so an object that is found has all its chunks.
        """
        digest, total, stored = self._hasher.digest(), self._total, self._stored
        lengths, digests = self._lengths, self._digests
        self._begin()
        if self._known(digest) or (len(digests) == 1 and digests[0] == digest):
            return digest, total, stored
        listed = ChunkList(self._algorithm, 0, total, lengths, digests)
        return digest, total, stored + self._meta.add_list(digest, listed, self._known)
