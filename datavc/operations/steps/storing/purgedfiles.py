"""What ``add`` does not take back: files whose content was purged. None of their bytes enters the cache."""

from __future__ import annotations

from datavc.backends.base import Backend
from datavc.errors import PurgedError
from datavc.formats.digest import Digest, new_hasher
from datavc.formats.paths import show, show_some
from datavc.formats.tree import FOLDER
from datavc.store.cache import Cache
from datavc.store.purged import read_purged
from datavc.workspace.folders import OpenFolders
from datavc.workspace.listing import Folder, Scan
from datavc.workspace.readfile import open_stable

_PIECE = 4 << 20


class PurgedFiles:
    """The ``digests`` of what was purged from a cache. Every method raises PurgedError."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self.digests = frozenset(cache.purged())
        self._sizes: set[int | None] | None = None

    def refuse_known(self, scan: Scan) -> None:
        """Refuse files in the workspace whose digest is known."""
        if not self.digests:
            return
        found = [
            (path_of(folder.path, folder.names[number]), digest)
            for folder in (scan.top, *scan.folders.values())
            for number, digest in enumerate(folder.digests)
            if digest in self.digests and folder.kinds[number] != FOLDER and not folder.is_elsewhere(number)
        ]
        if found:
            digest = found[0][1]
            assert digest is not None
            raise _refusal(self._cache.backend, [path for path, _ in found], self._cache.algorithm, digest)

    def refuse_large(
        self, workspace: bytes, files: list[tuple[Folder, int]], links_into: bytes | None
    ) -> None:
        """Refuse files that are stored as they are read: those are hashed first that are as long as something purged."""
        if not self.digests or not files:
            return
        with OpenFolders(workspace) as folders:
            for folder, number in files:
                if not self._may_be(folder.size(number)):
                    continue
                name, hasher = folder.names[number], new_hasher(self._cache.algorithm)
                with open_stable(name, folders.open(folder.path), links_into) as file:
                    while piece := file.read(_PIECE):
                        hasher.update(piece)
                if hasher.digest() in self.digests:
                    path = path_of(folder.path, name)
                    raise _refusal(self._cache.backend, [path], self._cache.algorithm, hasher.digest())

    def _may_be(self, size: int) -> bool:
        if self._sizes is None:
            notes = (
                read_purged(self._cache.backend, Digest(self._cache.algorithm, raw)) for raw in self.digests
            )
            self._sizes = {note.size for note in notes if note is not None}
        return size in self._sizes or None in self._sizes


def path_of(folder: bytes, name: bytes) -> bytes:
    """The path of an entry; that of a dataset itself has a folder with a slash, or a NUL, behind it."""
    return folder[:-1] if folder.endswith((b"/", b"\0")) else folder + b"/" + name


def purged_file(backend: Backend, folder: bytes, name: bytes, algorithm: str, digest: bytes) -> PurgedError:
    """That this file cannot be added, and why."""
    return _refusal(backend, [path_of(folder, name)], algorithm, digest)


def _refusal(backend: Backend, paths: list[bytes], algorithm: str, digest: bytes) -> PurgedError:
    note = read_purged(backend, Digest(algorithm, digest))
    return PurgedError(
        f"{show_some(paths)} cannot be added: the content of {show(paths[0])} was {note or 'purged'}",
        "delete the file, or move it out of the dataset",
    )
