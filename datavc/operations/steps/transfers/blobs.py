"""Ranges of whole blobs in the cache, which a workspace may share: hashed once, and trusted while they stay as they are."""

from __future__ import annotations

import os
import threading

from datavc.durable import storage_errors
from datavc.errors import DigestMismatch, StoredFileNotFound
from datavc.formats.digest import Digest, new_hasher
from datavc.store import layout
from datavc.store.cache import Cache

_BYTES_AT_ONCE = 8 << 20

# inode, size, mtime_ns, ctime_ns: whoever writes to a file, through whichever of its names, changes the last.
_Seen = tuple[int, int, int, int]


class TrustedBlobs:
    """The whole blobs of ``cache``. Safe in threads."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._seen: dict[bytes, _Seen] = {}
        self._lock = threading.Lock()

    def has(self, digest: bytes, size: int) -> bool:
        """Whether a blob of that size is there."""
        return self._cache.has_blob(digest, size)

    def read(self, digest: bytes, start: int, stop: int) -> bytes:
        """Bytes ``start`` to ``stop``, after all of the blob was hashed, unless it is as it was when that was done.

        Raises:
            StoredFileNotFound: it is not there any more. DigestMismatch: somebody changed it. StorageError: the disk failed.
        """
        path = self._cache.blob_file(digest)
        with storage_errors(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                raise StoredFileNotFound(f"the blob {path} is not there any more") from None
            try:
                self._prove(digest, fd)
                content = os.pread(fd, stop - start, start)
                while len(content) < stop - start:
                    more = os.pread(fd, stop - start - len(content), start + len(content))
                    if not more:
                        raise self._damaged(digest)
                    content += more
                if _seen(fd) != self._seen.get(digest):
                    raise self._damaged(digest)
                return content
            finally:
                os.close(fd)

    def _prove(self, digest: bytes, fd: int) -> None:
        with self._lock:
            before = _seen(fd)
            if self._seen.get(digest) == before:
                return
            hasher = new_hasher(self._cache.algorithm)
            at = 0
            while piece := os.pread(fd, _BYTES_AT_ONCE, at):
                hasher.update(piece)
                at += len(piece)
            if hasher.digest() != digest or _seen(fd) != before:
                raise self._damaged(digest)
            self._seen[digest] = before

    def _damaged(self, digest: bytes) -> DigestMismatch:
        name = layout.blob_path(self._cache.algorithm, digest)
        thing = Digest(self._cache.algorithm, digest)
        return DigestMismatch(f"object {thing} in {name} of {self._cache.folder} is damaged", "datavc fsck")


def _seen(fd: int) -> _Seen:
    found = os.fstat(fd)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
