"""``whence``: where the bytes of a file come from, wherever it lies and whatever it is called; asked by content alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from datavc.errors import DatavcError, NotFoundError, StorageError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER
from datavc.operations.steps.examining.outside import row_of_folder
from datavc.operations.steps.naming.committed import first_commits
from datavc.operations.steps.runs.lineageindex import Known, LineageIndex
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.runs.rundata import row_of_file
from datavc.operations.steps.trees.trees import TreeSource
from datavc.operations.tag import tags
from datavc.progress import SILENT, Progress
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class Made:
    """A record that made the bytes, and the path at which it did."""

    record: Digest
    path: bytes
    start: str
    status: str
    stage: str | None
    command: str


@dataclass(frozen=True, slots=True)
class Held:
    """A version of a dataset that has the bytes, at the path ``path``, and was stored at ``when``.

    ``commit`` is the first that has it, None where none does; ``tags`` are the dataset's own that name it.
    """

    dataset: bytes
    version: Digest
    path: bytes
    when: str
    commit: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(slots=True)
class Origin:
    """What is known: records that ``made`` the bytes, versions that ``held`` them, records that ``read`` them.

    ``versions`` were looked through; the trees of ``absent`` others are not here.
    """

    digest: Digest
    size: int
    made: list[Made] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    read: list[Made] = field(default_factory=list)
    versions: int = 0
    absent: int = 0

    @property
    def is_known(self) -> bool:
        """Whether anybody here has seen the bytes."""
        return bool(self.made or self.held or self.read)


def whence(repo: Repo, path: bytes, *, jobs: int = 1, progress: Progress = SILENT) -> Origin:
    """Where the file or folder at the absolute ``path`` comes from, by its content.

    Raises:
        NotFoundError: nothing is there. StorageError: it cannot be read, or does not stand still.
    """
    if not os.path.lexists(path):
        raise NotFoundError(f"{show(path)} does not exist")
    if os.path.isdir(path):
        row = row_of_folder(repo, path, path, jobs=jobs, progress=progress)
    else:
        row = row_of_file(path, path, repo.algorithm)
    if row.digest is None:
        raise StorageError(f"{show(path)} cannot be read, or changes while it is read")
    origin = Origin(row.digest, row.size)
    index = LineageIndex(repo)
    try:
        makers = index.makers_of_file(row.digest)
        origin.made = [_made(known, edge.path) for edge in makers if (known := index.known(edge.record))]
        readers = index.readers(row.digest)
        origin.read = [_made(known, edge.path) for edge in readers if (known := index.known(edge.record))]
    finally:
        index.close()
    _search_versions(repo, origin)
    _name_versions(repo, origin)
    return origin


def _made(known: Known, path: bytes) -> Made:
    return Made(known.digest, path, known.start, known.status, known.stage, known.command)


def dataset_roots(repo: Repo) -> list[Root]:
    """The roots of datasets in the cache, the newest first, complete or not."""
    found = [root for _, root in repo.cache.roots() if root is not None and root.kind != RECORD]
    usable = [root for root in found if root.digest.algorithm == repo.algorithm]
    return sorted(usable, key=lambda root: root.when, reverse=True)


def _search_versions(repo: Repo, origin: Origin) -> None:
    wanted = origin.digest.raw
    where: dict[bytes, bytes | None] = {}
    for root in dataset_roots(repo):
        origin.versions += 1
        if root.digest == origin.digest:
            origin.held.append(Held(root.path, root.digest, b"", root.when))
            continue
        if root.kind != "folder":
            continue
        try:
            trees = TreeSource(repo.cache, repo.stat_cache, root.digest, "folder")
            inner = _find(trees, trees.top, wanted, where)
        except DatavcError:
            origin.versions -= 1
            origin.absent += 1
            continue
        if inner is not None:
            origin.held.append(Held(root.path, root.digest, inner, root.when))


def _name_versions(repo: Repo, origin: Origin) -> None:
    versions: dict[bytes, set[Digest]] = {}
    for held in origin.held:
        versions.setdefault(held.dataset, set()).add(held.version)
    commits = {path: first_commits(repo, path, some) for path, some in versions.items()}
    names = {path: tags_of(repo, path) for path in versions}
    origin.held = [
        replace(
            held,
            commit=commits[held.dataset].get(held.version),
            tags=tuple(names[held.dataset].get(held.version, ())),
        )
        for held in origin.held
    ]


def tags_of(repo: Repo, path: bytes) -> dict[Digest, list[str]]:
    """The names, ``PATH@NAME``, that the dataset at ``path`` has tags for, by version."""
    found: dict[Digest, list[str]] = {}
    for known in tags(repo, repo.root_bytes + b"/" + path) if repo.git is not None else ():
        if known.path == path and known.digest is not None:
            found.setdefault(known.digest, []).append(show(known.tag))
    return found


def _find(trees: TreeSource, top: bytes, wanted: bytes, where: dict[bytes, bytes | None]) -> bytes | None:
    """The path below the tree ``top`` at which something of that digest lies. ``where`` remembers, for all versions."""
    order: list[bytes] = []
    pending = [top]
    while pending:
        digest = pending.pop()
        if digest in where:
            continue
        where[digest] = None
        order.append(digest)
        pending += (inner for _, inner in _folders(trees, digest))
    for digest in reversed(order):
        tree = trees.tree(digest)
        if wanted in tree.digests:
            where[digest] = tree.names[tree.digests.index(wanted)]
            continue
        for name, inner in _folders(trees, digest):
            below = where.get(inner)
            if below is not None:
                where[digest] = name + b"/" + below
                break
    return where[top]


def _folders(trees: TreeSource, digest: bytes) -> Iterator[tuple[bytes, bytes]]:
    tree = trees.tree(digest)
    for name, kind, inner in zip(tree.names, tree.kinds, tree.digests, strict=True):
        if kind == FOLDER:
            yield name, inner
