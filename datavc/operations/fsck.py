"""``fsck``: read everything in the cache and say what is damaged, down to the datasets and paths. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from datavc.errors import DatavcError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER, KIND_NAMES
from datavc.operations.steps.trees import TreeSource, entries
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.check import check_blob, check_index, check_pack
from datavc.store.index import ObjectIndex
from datavc.store.reader import ObjectReader

_ABSENT, _UNLISTED = "is not in the cache", "cannot be listed: a folder of it is not in the cache"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong. ``object`` is a stored file or a digest; ``dataset`` and ``path`` say what it affects, if known."""

    kind: str
    object: str
    message: str
    dataset: bytes | None = None
    path: bytes | None = None


@dataclass(slots=True)
class FsckResult:
    """What was read, and what was found wrong.

    ``elsewhere`` are datasets of which this cache never promised to have all: the rest is on a remote.
    """

    problems: list[Problem] = field(default_factory=list)
    packs: int = 0
    objects: int = 0
    size: int = 0
    versions: int = 0
    elsewhere: list[bytes] = field(default_factory=list)


def fsck(repo: Repo, *, jobs: int = 1, progress: Progress = SILENT) -> FsckResult:
    """Read every pack, pack index, root and blob of this clone's cache, and walk every version that roots or pointers name.

    Raises:
        StorageError: the cache cannot be listed, so nothing can be said.
    """
    check = _Check(repo, jobs, progress)
    check.packs()
    check.indexes()
    check.blobs()
    check.versions()
    return check.result


class _Check:
    def __init__(self, repo: Repo, jobs: int, progress: Progress) -> None:
        self._repo = repo
        self._cache = repo.cache
        self._jobs = jobs
        self._progress = progress
        self.result = FsckResult()
        self._bad: dict[bytes, str] = {}
        self._bad_packs: set[bytes] = set()

    def packs(self) -> None:
        """Every byte of every pack: its name, its footer, each entry."""
        backend = self._cache.backend
        stored = sorted(backend.list(layout.PACKS))
        self._progress.begin(
            "checking packs", total_bytes=sum(file.size for file in stored), total_files=len(stored)
        )
        for file in stored:
            checked = check_pack(backend, file.name)
            self.result.packs += 1
            self.result.size += file.size
            self.result.objects += checked.entries
            if checked.message:
                self._problem("pack", file.name, checked.message)
                if checked.name is not None and not checked.entries:
                    # Not even its footer can be read, so nothing in it can.
                    self._bad_packs.add(checked.name)
            for digest in checked.damaged:
                text = str(Digest(checked.algorithm, digest)) if checked.algorithm else digest.hex()
                self._bad[digest] = file.name
                self._problem("object", text, f"is damaged in {file.name}")
            self._progress.advance(size=file.size, files=1)
        self._progress.end()

    def indexes(self) -> None:
        """Every pack index: its name, its rows, and that the packs that it names are there."""
        backend = self._cache.backend
        for file in sorted(backend.list(layout.INDEXES)):
            message = check_index(backend, file.name)
            if message:
                self._problem("pack index", file.name, message)
                continue
            index = ObjectIndex(backend, self._repo.algorithm, [file.name.removeprefix(layout.INDEXES)])
            for pack in index.missing_packs():
                self._problem(
                    "pack", layout.pack_path(pack), f"is missing, or of another length than {file.name} says"
                )

    def blobs(self) -> None:
        """Every whole blob."""
        for file in sorted(self._cache.backend.list(layout.BLOBS)):
            digest = check_blob(self._cache.backend, file.name, file.size)
            self.result.objects += 1
            self.result.size += file.size
            if digest is not None:
                self._bad[digest] = file.name
                self._problem("blob", file.name, "is not what its name says")

    def versions(self) -> None:
        """Every version that a root of this repo or a pointer in the workspace names: is all of it here, and sound?"""
        named: dict[tuple[Digest, str], set[bytes]] = {}
        for name, root in self._cache.roots():
            if root is None:
                self._problem("root", name, "cannot be read, so it proves nothing")
            elif root.complete:
                named.setdefault((root.digest, root.kind), set()).add(root.path)
        # Without a root nothing says that all of a version was ever here; where there is a remote, it need not be.
        unpromised = set()
        for dataset in self._repo.datasets():
            version = dataset.digest, dataset.pointer.kind
            if version not in named and self._repo.remotes():
                unpromised.add(version)
            named.setdefault(version, set()).add(dataset.path)
        index = ObjectIndex(self._cache.backend, self._repo.algorithm, self._readable_indexes())
        elsewhere: set[bytes] = set()
        for (digest, kind), datasets in named.items():
            self.result.versions += 1
            for path, message, thing in self._walk(index, digest, kind):
                if message in (_ABSENT, _UNLISTED) and (digest, kind) in unpromised:
                    elsewhere |= datasets
                    continue
                for dataset_path in sorted(datasets):
                    self._problem("version", thing, message, dataset_path, path)
        self.result.elsewhere = sorted(elsewhere)

    def _readable_indexes(self) -> list[str]:
        damaged = {problem.object for problem in self.result.problems if problem.kind == "pack index"}
        names = self._cache.index_names()
        return [name for name in names if layout.index_path(name) not in damaged]

    def _walk(self, index: ObjectIndex, version: Digest, kind: str) -> Iterator[tuple[bytes, str, str]]:
        """Each path of one version that cannot be had, with the reason and the object."""
        trees = TreeSource(self._cache, None, version, kind)
        reader = ObjectReader(self._cache.backend, self._repo.algorithm, index.find)
        if KIND_NAMES.index(kind) != FOLDER:
            yield from self._object(index, reader, b"", version.raw, None)
            return
        try:
            for folder, tree in trees.walk():
                prefix = folder + b"/" if folder else b""
                for entry in entries(tree):
                    if entry.kind != FOLDER:
                        yield from self._object(index, reader, prefix + entry.name, entry.digest, entry.size)
        except ObjectNotFound:
            yield b"", _UNLISTED, str(version)
        except DatavcError as error:
            yield b"", f"cannot be listed: {error.message}", str(version)

    def _object(
        self, index: ObjectIndex, reader: ObjectReader, path: bytes, digest: bytes, size: int | None
    ) -> Iterator[tuple[bytes, str, str]]:
        text = str(Digest(self._repo.algorithm, digest))
        location = index.find(digest)
        if location is None:
            if digest in self._bad:
                yield path, f"is damaged in {self._bad[digest]}", text
            elif not self._cache.has_blob(digest, size):
                yield path, _ABSENT, text
            return
        if digest in self._bad or location[0] in self._bad_packs:
            yield path, f"is damaged in {layout.pack_path(location[0])}", text
        elif location[4] & 1:
            try:
                chunks = reader.chunk_list(digest, location).digests
            except (DatavcError, ObjectNotFound) as error:
                yield path, error.message, text
                return
            found = index.find_many(chunks)
            for chunk in chunks:
                if chunk not in found or chunk in self._bad or found[chunk][0] in self._bad_packs:
                    yield (
                        path,
                        "has a chunk that is missing or damaged",
                        str(Digest(self._repo.algorithm, chunk)),
                    )
                    return

    def _problem(
        self, kind: str, thing: str, message: str, dataset: bytes | None = None, path: bytes | None = None
    ) -> None:
        if path is not None and dataset is not None:
            path = dataset + b"/" + path if path else dataset
            message = f"{show(path)} {message}"
        self.result.problems.append(Problem(kind, thing, message, dataset, path))
