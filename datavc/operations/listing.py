"""What ``ls``, ``du`` and ``cat`` share: finding an entry of a dataset from its trees alone."""

from __future__ import annotations

from datavc.errors import NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import Entry
from datavc.operations.steps.examining.examine import base_trees
from datavc.operations.steps.naming.versions import find_version, is_digest
from datavc.operations.steps.trees.trees import TreeSource
from datavc.repo import Dataset, Repo


def find_entry(
    repo: Repo, path: bytes, among: list[Dataset] | None = None
) -> tuple[Dataset, TreeSource, bytes, Entry]:
    """The dataset that the absolute ``path`` is or lies in, its trees, the path inside it, and the entry there.

    ``among`` are the datasets of a revision; without it, those of the workspace.

    Raises:
        NotFoundError: no dataset has that path. ObjectNotFound: a tree is missing.
    """
    relative = repo.relative(path)
    dataset = repo.owner(relative, repo.datasets() if among is None else among)
    if dataset is None:
        where, hint = ("", "datavc ls") if among is None else (" at that revision", "datavc ls REV:")
        raise NotFoundError(f"{show(relative) or 'the whole repository'} is in no dataset{where}", hint)
    trees = base_trees(repo, (dataset.digest, dataset.pointer.kind))
    inner = relative[len(dataset.path) + 1 :]
    entry = trees.entry_at(inner, relative.rpartition(b"/")[2])
    if entry is None:
        raise NotFoundError(
            f"{show(relative)} is not in the dataset {show(dataset.path)}",
            f"datavc ls {repo.typed(dataset.path)}",
        )
    if not inner and trees.kind != 3:
        entry = entry._replace(size=dataset.pointer.size)
    return dataset, trees, inner, entry


def find_digest(repo: Repo, text: str) -> tuple[TreeSource, Entry]:
    """The trees and the entry of a version in the cache that is named by its digest.

    Raises:
        UsageError: ``text`` is no digest. NotFoundError: the cache has no such version.
    """
    if not is_digest(text):
        raise UsageError(f"{text!r} is no digest")
    root = find_version(repo, text)
    trees = base_trees(repo, (Digest(root.digest.algorithm, root.digest.raw), root.kind))
    entry = trees.entry_at(b"", root.path.rpartition(b"/")[2])
    assert entry is not None
    return trees, entry._replace(size=root.size)


def datasets_in(repo: Repo, path: bytes, among: list[Dataset] | None = None) -> list[Dataset]:
    """The datasets at or below the absolute ``path``; ``among`` as in :func:`find_entry`."""
    relative = repo.relative(path)
    return [
        dataset
        for dataset in (repo.datasets() if among is None else among)
        if is_inside(dataset.path, relative)
    ]
