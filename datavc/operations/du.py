"""``du``: how large datasets and the folders in them are, from trees alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datavc.formats.tree import FOLDER, Entry
from datavc.operations.listing import datasets_in, find_entry
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.progress import SILENT, Progress
from datavc.repo import Dataset, Repo


@dataclass(frozen=True, slots=True)
class Usage:
    """A dataset, or a folder in one: bytes and files below it."""

    path: bytes
    size: int
    files: int


def du(
    repo: Repo,
    paths: list[bytes],
    *,
    depth: int = 0,
    among: list[Dataset] | None = None,
    offline: bool = False,
    progress: Progress = SILENT,
) -> list[Usage]:
    """The datasets (or folders in them) that ``paths`` name or hold, and the folders in them ``depth`` levels deep.

    ``among`` are the datasets of a revision that stand in place of the workspace's. Trees that are not here are
    fetched, unless ``offline``.

    Raises:
        NotFoundError: nothing has that path. ObjectNotFound: a tree is missing.
    """
    with looking_afar(repo, offline=offline, progress=progress):
        return _add_up(repo, paths, depth, among)


def _add_up(repo: Repo, paths: list[bytes], depth: int, among: list[Dataset] | None) -> list[Usage]:
    rows: list[Usage] = []
    for path in paths or [repo.root_bytes]:
        inside = datasets_in(repo, path, among)
        if inside and not depth:
            rows += [Usage(found.path, found.pointer.size, found.pointer.files) for found in inside]
            continue
        for place in [repo.root_bytes + b"/" + found.path for found in inside] or ([path] if paths else []):
            _, trees, _, entry = find_entry(repo, place, among)
            rows += _usage(trees, repo.relative(place), entry, depth)
    return rows


def _usage(trees: TreeSource, path: bytes, entry: Entry, depth: int) -> Iterator[Usage]:
    if entry.kind == FOLDER:
        trees.require_walkable(entry.digest, depth)
    pending = [(path, entry, depth)]
    while pending:
        path, entry, depth = pending.pop()
        yield Usage(path, entry.size, entry.count)
        if depth and entry.kind == FOLDER:
            inner = [row for row in entries(trees.tree(entry.digest)) if row.kind == FOLDER]
            pending += [(path + b"/" + row.name, row, depth - 1) for row in reversed(inner)]
