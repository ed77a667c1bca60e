"""The cache: the store on this machine, in its role of keeping what this clone's datasets are made of.

It may be shared by several clones and users; ``clones/`` in it says by which. Nothing here is about the workspace.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from datavc.backends.base import is_there
from datavc.errors import ConflictError, MalformedError, StorageError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.formats.times import utc_text
from datavc.store import layout
from datavc.store.cachefolder import CacheFolder
from datavc.store.index import ObjectIndex
from datavc.store.note import check_note
from datavc.store.roots import begin_writing, list_roots, publish_root, read_root

if TYPE_CHECKING:
    from datavc.store.reader import ObjectReader
    from datavc.store.tombstones import Guard

# What is not stored or fetched again is looked for in this many indexes: each costs a look-up for every new file. The
# newest are those of a run that was interrupted.
_LARGEST_INDEXES, _NEWEST_INDEXES = 64, 16


class Cache:
    """The cache at ``folder``, used by the repo ``repo_id`` whose digests are of ``algorithm``."""

    def __init__(self, folder: Path, repo_id: str, algorithm: str, *, create: bool = False) -> None:
        self.folder = folder
        self.repo_id = repo_id
        self.algorithm = algorithm
        self.backend = CacheFolder(folder, create=create)
        check_note(self.backend, create=create)
        self._guard: Guard | None = None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the cache's file system for files that are still being written; gone afterwards."""
        with self.backend.scratch() as folder:
            yield folder

    def register_clone(self, place: Path) -> None:
        """Note that the clone at ``place`` uses this cache, so that nobody drops what it needs."""
        name = f"{layout.CLONES}{clone_id(place)}"
        if not is_there(self.backend, name):
            note = {
                "path": str(place),
                "host": os.uname().nodename,
                "repo": self.repo_id,
                "user": os.environ.get("USER", str(os.getuid())),
                "since": utc_text(),
            }
            # A cache that may only be read needs no note: whoever owns it cannot know of its readers.
            with contextlib.suppress(StorageError):
                self.backend.write(name, json.dumps(note, sort_keys=True).encode() + b"\n")

    def root(self, digest: Digest) -> Root | None:
        """The root that proves that everything reachable from ``digest`` is here, or None.

        A root counts only while every pack index that it names is here, and every pack that those name.
        """
        proof = self._proof(digest)
        return proof[0] if proof is not None else None

    def _proof(self, digest: Digest) -> tuple[Root, ObjectIndex] | None:
        """The root, and its indexes, which have looked at every pack already."""
        root = read_root(self.backend, self.repo_id, digest)
        if root is None or not root.complete:
            return None
        index = ObjectIndex(self.backend, self.algorithm, root.indexes)
        try:
            return None if index.missing_packs() else (root, index)
        except (StoredFileNotFound, MalformedError):
            return None

    def index(self, digest: Digest | None = None) -> ObjectIndex:
        """Where to look for what is reachable from ``digest``: the indexes of its root, else the largest there are."""
        proof = self._proof(digest) if digest is not None else None
        if proof is not None:
            return proof[1]
        return ObjectIndex(self.backend, self.algorithm, self.index_names(), may_go=True)

    def index_names(self, limit: int | None = None) -> list[str]:
        """The names of the pack indexes here, the largest first; at most ``limit`` where one is given."""
        stored = sorted(self.backend.list(layout.INDEXES), key=lambda file: (-file.size, file.name))
        return [file.name.removeprefix(layout.INDEXES) for file in stored[:limit]]

    def dedup_names(self, first: tuple[str, ...] = ()) -> list[str]:
        """The pack indexes in which one looks for what need not be stored: ``first``, the largest, the newest."""
        newest = sorted(self.backend.list(layout.INDEXES), key=lambda file: (-file.modified, file.name))
        names = [file.name.removeprefix(layout.INDEXES) for file in newest[:_NEWEST_INDEXES]]
        return list(dict.fromkeys([*first, *self.index_names(_LARGEST_INDEXES), *names]))

    def reader(self, digest: Digest | None = None) -> ObjectReader:
        """Reads what is reachable from ``digest``, falling back on everything that is here."""
        # `status` reads no object where nothing was changed.
        from datavc.store.reader import ObjectReader

        index = self.index(digest)
        rest: list[ObjectIndex] = []

        def find(wanted: bytes) -> tuple[bytes, int, int, int, int] | None:
            location = index.find(wanted)
            if location is None and digest is not None:
                if not rest:
                    names = [name for name in self.index_names() if name not in index.names]
                    rest.append(ObjectIndex(self.backend, self.algorithm, names, may_go=True))
                location = rest[0].find(wanted)
            return location

        return ObjectReader(self.backend, self.algorithm, find)

    def purged(self) -> set[bytes]:
        """The objects that were purged, and must not come back. One listing."""
        from datavc.store.purged import purged_digests

        return purged_digests(self.backend, self.algorithm)

    def has_blob(self, raw: bytes, size: int | None) -> bool:
        """Whether the object is here as a whole blob, of that size where one is known. Its bytes are not looked at."""
        return is_there(self.backend, layout.blob_path(self.algorithm, raw), size)

    def blob_sizes(self) -> dict[bytes, int]:
        """Every whole blob here, by its digest: one listing, where asking for each of 100,000 objects takes seconds."""
        found: dict[bytes, int] = {}
        for file in self.backend.list(layout.BLOBS):
            with contextlib.suppress(MalformedError):
                digest = Digest.parse_file_name(file.name.rpartition("/")[2])
                if digest.algorithm == self.algorithm:
                    found[digest.raw] = file.size
        return found

    def blob_file(self, raw: bytes) -> Path:
        """Where the whole blob lies, or would lie."""
        return self.folder / layout.blob_path(self.algorithm, raw)

    def publish_root(self, make: Callable[[tuple[str, ...]], Root], indexes: list[str]) -> Root:
        """Write the root that ``make`` builds from the names of its pack indexes, merging them where they are many."""
        return publish_root(self.backend, self.algorithm, make, indexes, self._guard or self.begin_writing())

    def begin_writing(self) -> Guard:
        """To be called before one looks what is here that a new root may rely on: gc must not delete it meanwhile."""
        self._guard = begin_writing(self.backend, self.algorithm)
        return self._guard

    def require_kept(self, digest: Digest) -> None:
        """To be called once the version that was stored is named by a pointer: from now on gc keeps it.

        Raises:
            ConflictError: gc has deleted it before, since the machine slept for a grace meanwhile.
        """
        if self._guard is not None and self._guard.is_slow() and self.root(digest) is None:
            raise ConflictError(
                f"{digest.short} was deleted from the cache by datavc gc before its pointer was written",
                "run the same command again",
            )

    def roots(self) -> Iterator[tuple[str, Root | None]]:
        """Every root of this repo: its stored name, and its content where it is readable."""
        return list_roots(self.backend, self.repo_id)


def clone_id(place: Path) -> str:
    """What stands for the clone whose private folder is ``place``, on this machine."""
    seed = f"{os.uname().nodename}\0{place}".encode(errors="surrogateescape")
    return xxhash.xxh3_128_hexdigest(seed)
