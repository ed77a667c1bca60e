"""``ls``: what the pointers list, from trees alone; nothing of it need be in the workspace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datavc.formats.digest import Digest
from datavc.formats.tree import FOLDER, KIND_NAMES, Entry
from datavc.operations.listing import datasets_in, find_digest, find_entry
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.progress import SILENT, Progress
from datavc.repo import Dataset, Repo


@dataclass(frozen=True, slots=True)
class ListedEntry:
    """One row: ``size`` in bytes and ``files``, of a folder everything below it."""

    path: bytes
    kind: str
    size: int
    files: int
    digest: str


def ls(
    repo: Repo,
    path: bytes | None = None,
    *,
    digest: str | None = None,
    among: list[Dataset] | None = None,
    recursive: bool = False,
    offline: bool = False,
    progress: Progress = SILENT,
) -> list[ListedEntry]:
    """The entries of a folder of a dataset, the one entry that is a file, or the datasets in a folder of the repo.

    ``among`` are the datasets of a revision that is listed in place of the workspace. Trees that are not here are
    fetched, unless ``offline``.

    Raises:
        NotFoundError: nothing has that path. ObjectNotFound: a tree is missing.
    """
    with looking_afar(repo, offline=offline, progress=progress):
        return _list(repo, path, digest, among, recursive)


def _list(
    repo: Repo, path: bytes | None, digest: str | None, among: list[Dataset] | None, recursive: bool
) -> list[ListedEntry]:
    if digest is not None:
        trees, entry = find_digest(repo, digest)
        return (
            _rows(repo, trees, b"", entry, recursive)
            if entry.kind == FOLDER
            else [_row(repo, entry.name, entry)]
        )
    inside = datasets_in(repo, repo.root_bytes if path is None else path, among)
    if inside and (path is None or repo.relative(path) != inside[0].path):
        return [
            ListedEntry(
                found.path, found.pointer.kind, found.pointer.size, found.pointer.files, str(found.digest)
            )
            for found in inside
        ]
    if path is None or path == repo.root_bytes:
        return []
    _, trees, _, entry = find_entry(repo, path, among)
    relative = repo.relative(path)
    return (
        _rows(repo, trees, relative, entry, recursive)
        if entry.kind == FOLDER
        else [_row(repo, relative, entry)]
    )


def _rows(repo: Repo, trees: TreeSource, path: bytes, entry: Entry, recursive: bool) -> list[ListedEntry]:
    if recursive:
        trees.require_walkable(entry.digest)
    return list(_walk(repo, trees, path, entry, recursive))


def _walk(repo: Repo, trees: TreeSource, path: bytes, entry: Entry, recursive: bool) -> Iterator[ListedEntry]:
    pending = [(path, entries(trees.tree(entry.digest)))]
    while pending:
        folder, rest = pending[-1]
        row = next(rest, None)
        if row is None:
            pending.pop()
            continue
        inner = folder + b"/" + row.name if folder else row.name
        if not (recursive and row.kind == FOLDER and row.count):
            yield _row(repo, inner, row)
        else:
            pending.append((inner, entries(trees.checked(row))))


def _row(repo: Repo, path: bytes, entry: Entry) -> ListedEntry:
    return ListedEntry(
        path, KIND_NAMES[entry.kind], entry.size, entry.count, str(Digest(repo.algorithm, entry.digest))
    )
