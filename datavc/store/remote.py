"""A store in its role of a remote: far away, asked as little as possible, and believed in nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import xxhash

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.backends.counting import CountingBackend
from datavc.backends.retrying import RetryingBackend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import DigestMismatch, MalformedError
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.formats.times import utc_text
from datavc.store import layout
from datavc.store.index import ObjectIndex
from datavc.store.note import check_note
from datavc.store.purged import purged_digests
from datavc.store.reader import ObjectReader
from datavc.store.roots import begin_writing, publish_root, read_root
from datavc.store.tombstones import Guard

# An index up to this size is read whole at once.
_SMALL_INDEX_BYTES = 1 << 20
# A larger one when its ranges came to cost as much: each request as much time as so many bytes.
_BYTES_PER_REQUEST = 256 << 10
# Rows of 49 bytes, a list of packs, and what zstd adds to what it cannot compress.
_MAX_INDEX_BYTES = 96 << 20


class RemoteStore:
    """The remote called ``name`` in ``backend``, for the repo ``repo_id`` whose digests are of ``algorithm``.

    ``requests`` counts what is asked of it.
    """

    def __init__(self, name: str, backend: Backend, repo_id: str, algorithm: str) -> None:
        self.name = name
        self.repo_id = repo_id
        self.algorithm = algorithm
        self.requests = CountingBackend(backend)
        self.backend: Backend = self.requests
        self._is_prepared = False
        self._files: dict[str, bytes] = {}
        self._guard: Guard | None = None

    def describe(self) -> str:
        """Its name and where it is, for messages."""
        return f"the remote {self.name} ({self.backend.describe()})"

    @property
    def retries(self) -> int:
        """How often a request was repeated."""
        return sum(layer.retries for layer in self._retrying())

    def give_up(self) -> None:
        """Repeat no request from now on: the command is being interrupted."""
        for layer in self._retrying():
            layer.give_up()

    def _retrying(self) -> Iterator[RetryingBackend]:
        layer: Backend = self.backend
        while isinstance(layer, WrappingBackend):
            if isinstance(layer, RetryingBackend):
                yield layer
            layer = layer.inner

    def prepare(self) -> None:
        """Before the first write: refuse a store of another format, and note ours in a new one. Raises IntegrityError."""
        if not self._is_prepared:
            check_note(self.backend, create=True)
            self._is_prepared = True

    def root(self, digest: Digest) -> Root | None:
        """The root that says that all of ``digest`` is there. One request, and not a look at what the root names."""
        root = read_root(self.backend, self.repo_id, digest)
        return root if root is not None and root.complete else None

    def newest_roots(self, limit: int) -> Iterator[Root]:
        """The newest complete roots of this repo: one listing, then a request for each that is taken."""
        prefix = f"{layout.ROOTS}{self.repo_id}/"
        stored = sorted(self.backend.list(prefix), key=lambda file: (-file.modified, file.name))
        for file in stored[:limit]:
            try:
                digest = Digest.parse_file_name(file.name.removeprefix(prefix))
            except MalformedError:
                continue
            root = self.root(digest) if digest.algorithm == self.algorithm else None
            if root is not None:
                yield root

    def index(self, names: Sequence[str], *, whole: bool = False) -> ObjectIndex:
        """Looks into pack indexes there: through ranges of large ones, or ``whole`` where most rows will be needed.

        Rows are hints: that their packs are there is believed until reading them says otherwise.
        """
        return ObjectIndex(
            _IndexFiles(self.backend, self._files, whole=whole), self.algorithm, names, look=False
        )

    def reader(self, index: ObjectIndex) -> ObjectReader:
        """Reads objects one by one, where ``index`` finds them."""
        return ObjectReader(self.backend, self.algorithm, index.find)

    def lost_packs(self, sizes: dict[bytes, int], executor: Executor) -> list[bytes]:
        """Those of the packs that are not there, or there with another length: one request for each."""

        def has(pack: bytes) -> bool:
            return is_there(self.backend, layout.pack_path(pack), sizes[pack])

        return [pack for pack, there in zip(sizes, executor.map(has, list(sizes)), strict=True) if not there]

    def lost_indexes(self, names: Sequence[str], executor: Executor) -> list[str]:
        """Those of the pack indexes that are not there any more."""

        def has(name: str) -> bool:
            return is_there(self.backend, layout.index_path(name))

        return [name for name, there in zip(names, executor.map(has, names), strict=True) if not there]

    def purged(self) -> set[bytes]:
        """The objects that were purged from it, and must not come back. One listing."""
        return purged_digests(self.backend, self.algorithm)

    def publish_root(self, make: Callable[[tuple[str, ...]], Root], indexes: list[str]) -> Root:
        """Write the root that ``make`` builds. Everything it names must just have been seen there."""
        backend = _IndexFiles(self.backend, self._files, whole=True)
        return publish_root(backend, self.algorithm, make, indexes, self._guard or self.begin_writing())

    def renew(self, digest: Digest) -> Root | None:
        """Write a complete root again, so that it counts as new; None where it is gone. Raises ConflictError."""
        guard = self.begin_writing()
        root = self.root(digest)
        if root is not None:
            # Its old date says that it must be renewed, until it was seen that no gc is just removing it.
            guard.publish(replace(root, nonce=os.urandom(8).hex()))
            guard.publish(replace(root, when=utc_text(), nonce=os.urandom(8).hex()))
        return root

    def begin_writing(self) -> Guard:
        """To be called before one looks what is there that a new root may rely on, so that gc does not delete it. Cheap."""
        if self._guard is None:
            self._guard = begin_writing(self.backend, self.algorithm)
        return self._guard


class _IndexFiles(WrappingBackend):
    """Serves ranges of pack indexes, out of ``files`` where reading one whole is cheaper. Safe in threads."""

    def __init__(self, inner: Backend, files: dict[str, bytes], *, whole: bool) -> None:
        super().__init__(inner)
        self._whole = whole
        self._lock = threading.Lock()
        self._files = files
        self._sizes: dict[str, int] = {}
        self._spent: dict[str, int] = {}

    def head(self, name: str) -> StoredFile:
        known = self._files.get(name)
        if known is not None:
            return StoredFile(name, len(known), 0.0)
        file = super().head(name)
        if file.size > _MAX_INDEX_BYTES:
            raise MalformedError(
                f"{name} of {self.describe()} has {file.size:,} bytes, more than any pack index"
            )
        self._sizes[name] = file.size
        return file

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        with self._lock:
            data = self._files.get(name)
            size = self._sizes.get(name)
            self._spent[name] = self._spent.get(name, 0) + _BYTES_PER_REQUEST + (length or 0)
            if data is None and size is not None and self._is_wanted_whole(name, size):
                data = self._read_whole(name, size)
                if sum(map(len, self._files.values())) + size > _MAX_INDEX_BYTES:
                    self._files.clear()
                self._files[name] = data
        if data is None:
            return super().read(name, start, length)
        return data[start : len(data) if length is None else start + length]

    def _is_wanted_whole(self, name: str, size: int) -> bool:
        return self._whole or size <= _SMALL_INDEX_BYTES or self._spent[name] > size

    def _read_whole(self, name: str, size: int) -> bytes:
        """All of it, hashed against its name; wrong bytes are fetched once more. Raises DigestMismatch."""
        wanted = layout.sealed_raw(name.removeprefix(layout.INDEXES))
        for _ in range(2):
            data = super().read(name, 0, size)
            if xxhash.xxh3_128_digest(data) == wanted:
                return data
        raise DigestMismatch(f"the pack index {name} of {self.describe()} is not what its name says")
