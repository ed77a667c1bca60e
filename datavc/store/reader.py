"""Reading objects: from a pack or a whole blob, decoded, and hashed before anybody sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from datavc.backends.base import Backend
from datavc.errors import DigestMismatch, MalformedError, ObjectNotFound, PurgedError, StoredFileNotFound
from datavc.formats import codec
from datavc.formats.chunklist import ChunkList, decode_chunk_list
from datavc.formats.digest import Digest, hash_function, new_hasher
from datavc.formats.pack import LIST, ZSTD
from datavc.store import layout
from datavc.store.index import Location
from datavc.store.purged import read_purged

Find = Callable[[bytes], Location | None]
MAX_LIST_BYTES = 64 << 20
_BLOB_PIECE = 8 << 20


class Readable(Protocol):
    """A store as those see it who only read objects: a cache, or what is known of a remote."""

    @property
    def backend(self) -> Backend:
        """Where its files lie."""

    @property
    def algorithm(self) -> str:
        """That of its digests."""

    def has_blob(self, raw: bytes, size: int | None) -> bool:
        """Whether the object is there as a whole file."""

    def reader(self, digest: Digest | None = None) -> ObjectReader:
        """Reads what is reachable from ``digest``."""


class ObjectReader:
    """Reads objects of one algorithm out of ``backend``, where ``find`` says."""

    def __init__(self, backend: Backend, algorithm: str, find: Find) -> None:
        self._backend = backend
        self._algorithm = algorithm
        self._hash = hash_function(algorithm)
        self._find = find
        self._names: dict[bytes, str] = {}

    def read(self, digest: bytes, *, limit: int) -> bytes:
        """The whole object, of at most ``limit`` bytes, verified.

        Raises:
            ObjectNotFound: it, or a chunk of it, is not in this store.
            DigestMismatch, MalformedError: what is stored is not the object.
        """
        location = self._find(digest)
        if location is None:
            return b"".join(self._stream_blob(digest, limit))
        if not location[4] & LIST:
            self._refuse_long(digest, location[3], limit)
            return self.read_whole(digest, location)
        listed = self.chunk_list(digest, location)
        self._refuse_long(digest, listed.total, limit)
        content = b"".join(self.chunks(listed))
        if self._hash(content) != digest:
            raise self._damaged(digest, layout.pack_path(location[0]))
        return content

    def stream(self, digest: bytes) -> Iterator[bytes]:
        """The object piece by piece, each piece verified, and the whole after its last piece.

        A caller must not publish what it wrote before the iterator is exhausted. Raises as :meth:`read`.
        """
        location = self._find(digest)
        if location is None:
            yield from self._stream_blob(digest)
            return
        if not location[4] & LIST:
            yield self.read_whole(digest, location)
            return
        hasher = new_hasher(self._algorithm)
        for chunk in self.chunks(self.chunk_list(digest, location)):
            hasher.update(chunk)
            yield chunk
        if hasher.digest() != digest:
            raise self._damaged(digest, layout.pack_path(location[0]))

    def _stream_blob(self, digest: bytes, limit: int | None = None) -> Iterator[bytes]:
        """The object out of a whole blob, as caches keep them that share files with the workspace."""
        name = layout.blob_path(self._algorithm, digest)
        try:
            size = self._backend.head(name).size
        except StoredFileNotFound:
            raise self._not_found(digest) from None
        if limit is not None:
            self._refuse_long(digest, size, limit)
        hasher = new_hasher(self._algorithm)
        for start in range(0, size, _BLOB_PIECE):
            piece = self._backend.read(name, start, min(_BLOB_PIECE, size - start))
            hasher.update(piece)
            yield piece
        if hasher.digest() != digest:
            raise self._damaged(digest, name)

    def locate(self, digest: bytes) -> Location:
        """Where the object lies. Raises ObjectNotFound."""
        location = self._find(digest)
        if location is None:
            raise self._not_found(digest)
        return location

    def read_whole(self, digest: bytes, location: Location) -> bytes:
        """The content of an entry that is no chunk list, verified. Raises DigestMismatch, MalformedError."""
        content = self._entry(digest, location)
        if self._hash(content) != digest:
            raise self._damaged(digest, layout.pack_path(location[0]))
        return content

    def chunk_list(self, digest: bytes, location: Location) -> ChunkList:
        """The chunk list, of level 0, of an object that is kept as one. Raises as :meth:`read`."""
        *_, listed = self.levels(digest, location)
        return listed

    def levels(self, digest: bytes, location: Location) -> Iterator[ChunkList]:
        """The chunk lists of an object, from the one that is found under its digest to that of level 0.

        Each is read out of the chunks of the one before, which a caller may get in between. Raises as :meth:`read`.
        """
        listed = decode_chunk_list(self._entry(digest, location), self._algorithm)
        yield listed
        while listed.level:
            if listed.total > MAX_LIST_BYTES:
                raise MalformedError(f"the chunk list of {self._show(digest)} has {listed.total} bytes")
            level = listed.level
            listed = decode_chunk_list(b"".join(self.chunks(listed)), self._algorithm)
            if listed.level != level - 1:
                raise MalformedError(f"the chunk list of {self._show(digest)} does not count down its levels")
            yield listed

    def chunks(self, listed: ChunkList) -> Iterator[bytes]:
        """The chunks of ``listed`` in order, each verified, each of the length that the list gives."""
        for digest, length in zip(listed.digests, listed.lengths, strict=True):
            location = self.locate(digest)
            if location[3] != length or location[4] & LIST:
                raise MalformedError(
                    f"chunk {self._show(digest)} has not the {length} bytes that its list gives"
                )
            yield self.read_whole(digest, location)

    def _entry(self, digest: bytes, location: Location) -> bytes:
        pack, offset, stored, raw, flags = location
        name = self._names.get(pack)
        if name is None:
            name = self._names[pack] = layout.pack_path(pack)
        data = self._backend.read(name, offset, stored)
        if not flags & ZSTD << 1:
            if stored != raw:
                raise self._damaged(digest, layout.pack_path(location[0]))
            return data
        try:
            return codec.decompress(data, raw)
        except MalformedError as error:
            raise self._damaged(digest, layout.pack_path(location[0])) from error

    def _refuse_long(self, digest: bytes, size: int, limit: int) -> None:
        """Before anything is held in memory: who wrote the digest where a tree should be may have meant a film."""
        if size > limit:
            raise MalformedError(f"object {self._show(digest)} has {size} bytes where {limit} are allowed")

    def _damaged(self, digest: bytes, name: str) -> DigestMismatch:
        return DigestMismatch(
            f"object {self._show(digest)} in {name} of {self._backend.describe()} is damaged", "datavc fsck"
        )

    def _not_found(self, digest: bytes) -> ObjectNotFound:
        note = read_purged(self._backend, Digest(self._algorithm, digest))
        if note is not None:
            return PurgedError(f"object {self._show(digest)} was {note}")
        return ObjectNotFound(f"object {self._show(digest)} is not in {self._backend.describe()}")

    def _show(self, digest: bytes) -> str:
        return str(Digest(self._algorithm, digest))
