"""Sharing files between cache and workspace: which link type is used, and storing a file as a blob that is shared."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from datavc.durable import TEMPORARY_PREFIX, storage_errors
from datavc.errors import ConflictError, DatavcError
from datavc.formats.digest import new_hasher
from datavc.formats.paths import show
from datavc.formats.tree import EXECUTABLE
from datavc.operations.steps.examining.probenotes import found_before
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.workspace.links import LinkKind, clone_file, copy_bytes, place, probe_links
from datavc.workspace.readfile import Stat, open_stable, stat_tuple

_PIECE = 4 << 20


def link_kind(repo: Repo, path: bytes) -> LinkKind:
    """The first link type of ``cache.link`` that works between the cache and the dataset's file system.

    Probed once for each pair of file systems and remembered.
    """
    workspace = repo.absolute(path).parent
    while not workspace.is_dir():
        workspace = workspace.parent
    devices = f"{os.stat(repo.cache.folder).st_dev:x}-{os.stat(workspace).st_dev:x}"
    try:
        usable = found_before(
            repo.private / f"links-{devices}", lambda: probe_links(repo.cache.folder, workspace)
        )
    except (OSError, DatavcError):
        return "copy"
    for kind in repo.config.link_types:
        if kind in usable:
            return kind  # type: ignore[return-value]
    return "copy"


class BlobStore:
    """Stores files of one dataset as whole blobs, linked to the workspace by ``kind``."""

    def __init__(self, cache: Cache, scratch: Path, kind: LinkKind, links_into: bytes | None) -> None:
        self._cache = cache
        self._scratch = scratch
        self._kind: LinkKind = kind
        self._links_into = links_into

    def store(self, folder_fd: int, name: bytes, entry_kind: int) -> tuple[bytes, Stat, bool]:
        """Clone or copy a file into the cache and hash what arrived; hard and symbolic links then take its place.

        Returns its digest, the stat it has now, and whether the blob is new.

        Raises:
            ConflictError: the file changed meanwhile. StorageError, OutOfSpace: it could not be stored.
        """
        temporary = self._scratch / f"blob-{os.urandom(8).hex()}"
        with storage_errors(temporary), open_stable(name, folder_fd, self._links_into) as file:
            target = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                if self._kind != "reflink" or not clone_file(file.fd, target):
                    copy_bytes(file.fd, target)
                digest, size = hash_open(target, self._cache.algorithm)
            finally:
                os.close(target)
            file.check(size)
            seen = stat_tuple(file.stat)
        path = layout.blob_path(self._cache.algorithm, digest)
        is_new = self._cache.backend.write_file(path, temporary)
        if self._kind in ("hardlink", "symlink"):
            seen = self._link(folder_fd, name, digest, seen, executable=entry_kind == EXECUTABLE)
        return digest, seen, is_new

    def _link(self, folder_fd: int, name: bytes, digest: bytes, expected: Stat, *, executable: bool) -> Stat:
        """Put a link in the place of the file, which must still be the one that was stored."""
        if os.path.samestat(os.stat(name, dir_fd=folder_fd), os.stat(self._cache.blob_file(digest))):
            # By a command that was killed before it could record that. One more link would change the ctime of both.
            return expected
        temporary = f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}".encode()
        place(self._kind, self._cache.blob_file(digest), folder_fd, temporary, executable=executable)
        here = os.stat(name, dir_fd=folder_fd)
        if stat_tuple(here) != expected or not stat.S_ISREG(here.st_mode):
            os.unlink(temporary, dir_fd=folder_fd)
            raise ConflictError(
                f"{show(name)} changed while it was being added", "run the same command again"
            )
        os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        return stat_tuple(os.stat(name, dir_fd=folder_fd))


def hash_open(fd: int, algorithm: str) -> tuple[bytes, int]:
    """The digest and the length of an open file's content. Raises OSError."""
    hasher, size = new_hasher(algorithm), 0
    while piece := os.pread(fd, _PIECE, size):
        hasher.update(piece)
        size += len(piece)
    return hasher.digest(), size
