"""What a purge is about: the files that are meant, the versions that have them, what was made of these, and by which runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from datavc.errors import DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import FOLDER
from datavc.operations.steps.naming.versions import is_digest
from datavc.operations.steps.runs.lineageindex import Known, LineageIndex
from datavc.operations.steps.runs.recordstore import read_record
from datavc.operations.steps.trees.trees import TreeSource, deep_recursion, entries
from datavc.repo import Repo

# What a record keeps that may repeat what its run has read.
_LOGS = ("stdout", "stderr", "cells")

Versions = Mapping[tuple[Digest, str], Mapping[bytes, list[str]]]
"""Versions by digest and kind; of each the datasets, by path, with the commits that wrote the pointer."""


@dataclass(frozen=True, slots=True)
class PurgedFile:
    """One content that goes: ``size`` in bytes where it is known, and a ``path`` at which it was, where there is one."""

    digest: Digest
    size: int | None
    path: bytes | None


@dataclass(frozen=True, slots=True)
class AffectedVersion:
    """A version of the dataset at ``path`` that has some of it, as ``files``, and the ``commits`` that wrote its pointer."""

    path: bytes
    digest: Digest
    commits: list[str]
    files: list[bytes]


@dataclass(frozen=True, slots=True)
class AffectedRecord:
    """A run that read or made some of it, or something that came of it. ``logs`` may hold parts of what it read."""

    digest: Digest
    command: str
    when: str
    logs: dict[str, Digest]


@dataclass(slots=True)
class Derived:
    """What runs made, directly or not, of what is purged: paths with digests; and these runs."""

    data: list[tuple[bytes, Digest]] = field(default_factory=list)
    records: list[AffectedRecord] = field(default_factory=list)


class Contents:
    """What all ``versions`` consist of. Trees that are not here are obtained, if that is allowed; of ``unread`` ones nobody
    knows."""

    def __init__(self, repo: Repo, versions: Versions) -> None:
        self._repo = repo
        self._versions = versions
        self._trees = {
            version: TreeSource(repo.cache, repo.stat_cache, *version, obtain=repo.obtain_trees)
            for version in versions
            if version[0].algorithm == repo.algorithm
        }
        self.unread: set[Digest] = set()
        self._sizes: dict[bytes, tuple[int | None, bytes]] | None = None

    def meant(self, words: Iterable[bytes | str]) -> dict[bytes, PurgedFile]:
        """The contents that absolute paths and digests mean, by raw digest: of a path all that it ever was.

        Raises:
            NotFoundError: nothing has that path. UsageError: a digest is ambiguous, or not of this repo's algorithm.
        """
        found: dict[bytes, PurgedFile] = {}
        for word in words:
            for digest, size, path in self._of_digest(word) if isinstance(word, str) else self._of_path(word):
                found.setdefault(digest, PurgedFile(Digest(self._repo.algorithm, digest), size, path))
        return found

    def _of_path(self, path: bytes) -> list[tuple[bytes, int | None, bytes]]:
        found: list[tuple[bytes, int | None, bytes]] = []
        name = self._repo.relative(path).removesuffix(b".datavc")
        for version, trees in self._trees.items():
            for dataset in self._versions[version]:
                if is_inside(dataset, name):
                    found += self._below(version[0], trees, dataset, b"")
                elif is_inside(name, dataset):
                    found += self._below(version[0], trees, dataset, name[len(dataset) + 1 :])
        if not found:
            raise NotFoundError(f"{show(name)} is not, and never was, in a dataset", "datavc log --all")
        return found

    def _below(
        self, version: Digest, trees: TreeSource, dataset: bytes, inner: bytes
    ) -> Iterator[tuple[bytes, int | None, bytes]]:
        """All files of a version at and below a path of it."""
        try:
            if trees.kind != FOLDER:
                if not inner:
                    yield version.raw, None, dataset
                return
            entry = trees.entry_at(inner, b"")
            if entry is None:
                return
            if entry.kind != FOLDER:
                yield entry.digest, entry.size, dataset + b"/" + inner
                return
            for path, tree in trees.walk(inner, entry.digest):
                for row in entries(tree):
                    if row.kind != FOLDER:
                        yield row.digest, row.size, b"/".join(filter(None, (dataset, path, row.name)))
        except DatavcError:
            self.unread.add(version)

    def _of_digest(self, text: str) -> list[tuple[bytes, int | None, bytes | None]]:
        algorithm, _, digits = text.partition(":")
        if not is_digest(text) or algorithm != self._repo.algorithm:
            raise UsageError(
                f"{text!r} is no digest, which reads {self._repo.algorithm}: and 8 or more hex digits"
            )
        for (version, kind), datasets in self._versions.items():
            if str(version).startswith(text) and kind == "folder":
                trees = self._trees[version, kind]
                return list(self._below(version, trees, next(iter(datasets)), b""))
        known = {digest: place for digest, place in self._known().items() if digest.hex().startswith(digits)}
        if len(known) > 1:
            raise UsageError(f"{text} is ambiguous: {len(known)} files begin so", "type more digits")
        if known:
            return [(digest, *place) for digest, place in known.items()]
        # It may be that of a log, or of what only a remote has.
        try:
            return [(Digest.parse(text).raw, None, None)]
        except DatavcError:
            raise NotFoundError(
                f"no file of any version has a digest {text}", "type all of the digest"
            ) from None

    def _known(self) -> dict[bytes, tuple[int | None, bytes]]:
        if self._sizes is None:
            self._sizes = {}
            for version, trees in self._trees.items():
                dataset = next(iter(self._versions[version]))
                for digest, size, path in self._below(version[0], trees, dataset, b""):
                    self._sizes.setdefault(digest, (size, path))
        return self._sizes

    def versions_with(self, wanted: set[bytes]) -> list[AffectedVersion]:
        """The versions that have any of these contents."""
        found: list[AffectedVersion] = []
        below: dict[bytes, list[bytes]] = {}
        for version, trees in self._trees.items():
            try:
                with deep_recursion():
                    files = _paths_in(trees, trees.top, wanted, below) if trees.kind == FOLDER else []
            except DatavcError:
                self.unread.add(version[0])
                continue
            if trees.kind != FOLDER and trees.top in wanted:
                files = [b""]
            for dataset, commits in self._versions[version].items() if files else ():
                paths = [b"/".join(filter(None, (dataset, path))) for path in files]
                found.append(AffectedVersion(dataset, version[0], commits, sorted(paths)))
        return sorted(found, key=lambda version: (version.path, version.digest))


def _paths_in(
    trees: TreeSource, digest: bytes, wanted: set[bytes], below: dict[bytes, list[bytes]]
) -> list[bytes]:
    """The paths below a tree that have any of the contents; each distinct tree of all versions is looked at once."""
    if digest not in below:
        found = []
        for entry in entries(trees.tree(digest)):
            if entry.kind == FOLDER:
                found += [entry.name + b"/" + path for path in _paths_in(trees, entry.digest, wanted, below)]
            elif entry.digest in wanted:
                found.append(entry.name)
        below[digest] = found
    return below[digest]


def derived_from(repo: Repo, digests: Iterable[Digest]) -> Derived:
    """What the records that are here say was made of these contents and versions, and of what was made of them."""
    index = LineageIndex(repo)
    try:
        return _derived(repo, index, list(dict.fromkeys(digests)))
    finally:
        index.close()


def _derived(repo: Repo, index: LineageIndex, pending: list[Digest]) -> Derived:
    derived, seen = Derived(), set(pending)
    runs = {edge.record: index.known(edge.record) for digest in pending for edge in index.makers(digest)}
    while pending:
        readers = {
            edge.record: index.known(edge.record) for digest in pending for edge in index.readers(digest)
        }
        pending = []
        runs |= readers
        # In the order in which they ran, so that what was made of something comes after it.
        for record, _ in sorted(readers.items(), key=_start):
            for edge in index.edges_of(record):
                if edge.way == "out" and edge.digest is not None and edge.digest not in seen:
                    seen.add(edge.digest)
                    pending.append(edge.digest)
                    derived.data.append((edge.path, edge.digest))
    for record, known in sorted(runs.items(), key=_start):
        if known is not None:
            derived.records.append(AffectedRecord(record, known.command, known.start, _logs(repo, record)))
    return derived


def _start(run: tuple[Digest, Known | None]) -> tuple[str, Digest]:
    record, known = run
    return known.start if known is not None else "", record


def _logs(repo: Repo, record: Digest) -> dict[str, Digest]:
    try:
        kept = read_record(repo, record).objects
    except DatavcError:
        return {}
    return {name: kept[name].digest for name in _LOGS if name in kept and kept[name].size}
