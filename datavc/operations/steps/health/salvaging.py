"""Getting lost objects one by one from wherever they still are: files of the workspace, and caches of other clones.

What is taken is hashed on its way; what is not what its digest says is not taken.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from datavc.backends.base import Backend
from datavc.errors import DatavcError, NotFoundError
from datavc.formats.amounts import count
from datavc.formats.digest import Digest
from datavc.formats.pack import LIST
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER
from datavc.operations.steps.cleaning.clones import clones_of
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import RECORD, read_record
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.operations.steps.trees.soundness import Flaw, Soundness
from datavc.operations.steps.trees.trees import TreeSource
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.check import is_blob
from datavc.store.index import Location, ObjectIndex
from datavc.store.reader import ObjectReader
from datavc.store.sending import Sender, SendPlan, SendSource, plan_sending

_PACK_BYTES = 32 << 20
# A tree that comes back may show more that is lost, level by level.
_ROUNDS = 64

Lost = dict[bytes, set[bytes]]
"""Raw digests of what is lost, each with the paths in the workspace at which it may still be."""


def flaws_now(repo: Repo, versions: Iterable[Version]) -> Iterator[tuple[Version, str, Digest, Flaw]]:
    """What cannot be had of these versions and records as the cache is now; with the part of a record that it is in."""
    cache = repo.cache
    judge = Soundness(cache, ObjectIndex(cache.backend, cache.algorithm, cache.index_names()), {}, ())
    for version in versions:
        for digest, kind in _parts(repo, version):
            for flaw in judge.flaws(digest, kind):
                yield version, kind, digest, flaw


def _parts(repo: Repo, version: Version) -> list[tuple[Digest, str]]:
    if version.kind != RECORD:
        return [(version.digest, version.kind)]
    try:
        record = read_record(repo, version.digest)
    except DatavcError:
        return [(version.digest, "file")]
    return [(version.digest, "file"), *((kept.digest, kept.kind) for kept in record.objects.values())]


def lost_objects(repo: Repo, versions: Iterable[Version]) -> Lost:
    """What is lost of these versions, as far as their trees can be read."""
    lost: Lost = {}
    sources: dict[Digest, TreeSource] = {}
    for version, kind, digest, flaw in flaws_now(repo, versions):
        with suppress(DatavcError):
            lost.setdefault(Digest.parse(flaw.thing).raw, set())
        if digest not in sources:
            sources[digest] = TreeSource(repo.cache, None, digest, kind)
        with suppress(DatavcError):
            entry = sources[digest].entry_at(flaw.path, b"")
            if entry is not None and entry.kind != FOLDER:
                # Of a file that misses a chunk all is wanted: what still has the file need not have that chunk.
                place = b"/".join(filter(None, (version.path, flaw.path)))
                lost.setdefault(entry.digest, set()).update([place] if version.path else ())
    return lost


@dataclass(frozen=True, slots=True)
class _Files:
    """Files of the workspace, as a place that large files are sent from."""

    cache: Cache
    paths: Mapping[bytes, Path]

    @property
    def backend(self) -> Backend:
        """Not read from: no pack is sent."""
        return self.cache.backend

    @property
    def algorithm(self) -> str:
        """That of the digests."""
        return self.cache.algorithm

    def blob_file(self, raw: bytes) -> Path:
        """The file that is that blob."""
        return self.paths[raw]


class Salvage:
    """Takes lost objects into the cache of ``repo``."""

    def __init__(self, repo: Repo, progress: Progress) -> None:
        self._repo = repo
        self._cache = repo.cache
        self._progress = progress
        self.objects = 0

    def from_workspace(self, versions: list[Version]) -> None:
        """Files that still are what a version says, at the paths that they have in it; also of edited datasets."""
        lost = lost_objects(self._repo, versions)
        files: dict[bytes, Path] = {}
        sizes: dict[bytes, int] = {}
        for digest, places in lost.items():
            for place in sorted(places):
                path = self._repo.absolute(place)
                with suppress(OSError):
                    seen = path.lstat()
                    if stat.S_ISREG(seen.st_mode) and is_blob(path, self._cache.algorithm, digest):
                        files[digest], sizes[digest] = path, seen.st_size
                        break
        if files:
            self._send(_Files(self._cache, files), SendPlan([], {}, sizes), "the workspace")

    def from_cache(self, other: Cache, versions: list[Version]) -> None:
        """Whatever another cache has, as often as that shows what else is lost."""
        before: Lost | None = None
        for _ in range(_ROUNDS):
            lost = lost_objects(self._repo, versions)
            if not lost or lost == before:
                return
            before = lost
            index = ObjectIndex(other.backend, other.algorithm, other.index_names())
            found, blobs = self._found(other, index, lost)
            if not found and not blobs:
                return
            plan = plan_sending(other.backend, found, blobs, index.packs(), _PACK_BYTES)
            self._send(other, plan, str(other.folder))

    def _found(
        self, other: Cache, index: ObjectIndex, lost: Iterable[bytes]
    ) -> tuple[dict[bytes, Location], dict[bytes, int]]:
        here = ObjectIndex(self._cache.backend, self._cache.algorithm, self._cache.index_names())
        reader = ObjectReader(other.backend, other.algorithm, index.find)
        found: dict[bytes, Location] = {}
        blobs: dict[bytes, int] = {}
        for digest in lost:
            location = index.find(digest)
            try:
                # What is not whole there is left; a chunk list is proved by what its chunks come to.
                for _ in reader.stream(digest):
                    pass
                if location is None:
                    blobs[digest] = other.backend.head(layout.blob_path(other.algorithm, digest)).size
                    continue
                if location[4] & LIST:
                    for listed in reader.levels(digest, location):
                        chunks = set(listed.digests)
                        missing = chunks - here.find_many(chunks).keys()
                        found |= index.find_many(missing)
            except DatavcError:
                continue
            found[digest] = location
        return found, blobs

    def _send(self, source: SendSource, plan: SendPlan, name: str) -> None:
        here = ObjectIndex(self._cache.backend, self._cache.algorithm, self._cache.index_names())
        with (
            transfer_threads(threads_for(DEFAULT_MEMORY), ()) as executor,
            self._cache.scratch() as scratch,
        ):
            sender = Sender(
                source,
                self._cache.backend,
                executor,
                threads=threads_for(DEFAULT_MEMORY),
                pack_bytes=_PACK_BYTES,
                broken=set(),
                progress=self._progress,
            )
            self._progress.begin(f"taking what is lost from {name}", total_bytes=plan.size)
            sender.send(plan, scratch, lambda chunk: here.find(chunk) is not None)
            self._progress.end()
        taken = len(sender.rows)
        if taken:
            sender.rows.publish(self._cache.backend)
            self.objects += taken
            self._progress.note(f"{count(taken, 'object')} taken from {name}")


def other_caches(repo: Repo, folders: Iterable[Path], progress: Progress) -> list[Cache]:
    """The caches in ``folders``, and those that clones have which are noted in this cache, that can be read.

    A folder is a cache, or in a clone. Raises NotFoundError where one of ``folders`` is neither.
    """
    places = [_cache_at(folder) for folder in folders]
    noted = [Path(clone.place) / "cache" for clone in clones_of(repo) if clone.standing in ("this", "there")]
    places += [place for place in noted if (place / layout.STORE_NOTE).is_file()]
    found: list[Cache] = []
    for place in dict.fromkeys(place.resolve() for place in places):
        if place == repo.cache.folder.resolve():
            continue
        try:
            found.append(Cache(place, repo.config.repo_id, repo.algorithm))
        except DatavcError as error:
            progress.note(f"warning: nothing is taken from {show(os.fsencode(place))}: {error.message}")
    return found


def _cache_at(folder: Path) -> Path:
    if (folder / layout.STORE_NOTE).is_file():
        return folder
    try:
        return Repo.find(folder).cache_folder
    except DatavcError as error:
        raise NotFoundError(
            f"{show(os.fsencode(folder))} is no cache, and in no clone: {error.message}"
        ) from None
