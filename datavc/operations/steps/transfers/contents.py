"""The contents of many versions: which are open, with which remotes behind, and what becomes of that after a failure."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from datavc.errors import DigestMismatch, ObjectNotFound, StorageError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.transfers.content import Content
from datavc.operations.steps.transfers.sources import Remotes
from datavc.progress import SILENT
from datavc.repo import Repo
from datavc.store.piececache import PieceCache

_MEMORY_BYTES = 64 << 20

T = TypeVar("T")


class Contents:
    """The contents of the versions of ``repo``, opened when they are needed. Safe in threads."""

    def __init__(self, repo: Repo, remote: str | None, disk_bytes: int) -> None:
        self._repo = repo
        self._remote = remote
        folder = repo.shared / "reading"
        self._pieces = PieceCache(folder, disk_bytes=disk_bytes, memory_bytes=_MEMORY_BYTES)
        self._opened: dict[Digest, Content] = {}
        self._lock = threading.Lock()
        self.remotes: Remotes | None = None

    def work(self, version: Version, work: Callable[[Content], T]) -> T:
        """Do ``work`` with the content of a version. After a failure all is opened anew: what failed may work next time."""
        for is_last in (False, True):
            try:
                return work(self._content(version))
            except StoredFileNotFound:
                # The cache lost something since it was looked at, to eviction or to another command.
                self.forget()
                if is_last:
                    raise
            except (StorageError, ObjectNotFound, DigestMismatch):
                self.forget()
                raise
        raise AssertionError

    def _content(self, version: Version) -> Content:
        with self._lock:
            content = self._opened.get(version.digest)
            if content is None:
                if self.remotes is None:
                    self.remotes = Remotes(self._repo, self._remote, SILENT)
                content = Content(self._repo, version, self.remotes, self._pieces)
                self._opened[version.digest] = content
            return content

    def forget(self) -> None:
        """Open cache, remotes and indexes anew when something is read next."""
        with self._lock:
            vars(self._repo).pop("cache", None)
            self.remotes = None
            self._opened = {}
