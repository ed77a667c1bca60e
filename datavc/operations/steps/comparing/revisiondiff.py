"""The sides of ``diff A B`` and ``diff A``: datasets of revisions, and the workspace as if it were one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from datavc.errors import NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer
from datavc.formats.tree import FOLDER, KIND_NAMES
from datavc.operations.steps.comparing.compare import Change
from datavc.operations.steps.comparing.treediff import dataset_changes
from datavc.operations.steps.examining.examine import base_trees, examine
from datavc.operations.steps.naming.revisions import Revision, resolve_revision
from datavc.operations.steps.trees.trees import TreeSource
from datavc.progress import Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


class Look(NamedTuple):
    """How the workspace is looked at."""

    jobs: int
    progress: Progress
    rehash: bool


def revision_changes(
    repo: Repo, paths: list[bytes], old: str, new: str | None, look: Look
) -> dict[bytes, list[Change]]:
    """What changed from revision ``old`` to ``new``, or to the workspace, in the absolute ``paths``; by dataset.

    Where one side is a dataset's own tag or a digest, that dataset alone is compared.

    Raises:
        UsageError: there is no such revision. NotFoundError: a path is in no dataset of either side.
        ObjectNotFound, IntegrityError: a tree is missing or damaged.
    """
    wanted = [repo.relative(path).removesuffix(POINTER_SUFFIX) for path in paths]
    before = resolve_revision(repo, old)
    after = resolve_revision(repo, new) if new is not None else None
    only = after.dataset if after is not None and after.dataset is not None else before.dataset
    left = _side(before, only)
    right = (
        _side(after, only)
        if after is not None
        else [item for item in repo.datasets() if only in (None, item.path)]
    )
    for path in wanted:
        if not any(_concerns(path, dataset.path) for dataset in (*left, *right)):
            raise NotFoundError(f"{show(path)} is in no dataset of either side", "datavc log")
    if wanted:
        left = [item for item in left if any(_concerns(path, item.path) for path in wanted)]
        right = [item for item in right if any(_concerns(path, item.path) for path in wanted)]
    known: dict[Digest, TreeSource] = {}
    if after is None:
        right = _workspace(repo, right, {item.path: item for item in left}, look, known)
    found = dataset_changes(repo, left, right, known)
    if wanted:
        found = {
            dataset: [change for change in changes if _is_meant(change, wanted)]
            for dataset, changes in found.items()
        }
    return {dataset: changes for dataset, changes in found.items() if changes}


def _side(revision: Revision, only: bytes | None) -> list[Dataset]:
    """The datasets of a revision; one that is named by a digest stands at the path of what it is compared with."""
    if only is None:
        return revision.datasets
    if revision.dataset is not None:
        return [Dataset(only, dataset.pointer) for dataset in revision.meant]
    return [dataset for dataset in revision.datasets if dataset.path == only]


def _workspace(
    repo: Repo,
    datasets: list[Dataset],
    left: Mapping[bytes, Dataset],
    look: Look,
    known: dict[Digest, TreeSource],
) -> list[Dataset]:
    """What is in the workspace, each dataset as a pointer would say it; trees that are in no store go into ``known``."""
    found = []
    for dataset in datasets:
        path = dataset.path
        view = examine(
            repo, path, dataset.pointer, jobs=look.jobs, progress=look.progress, rehash=look.rehash
        )
        if view.entry is None or view.content is None:
            continue
        digest, kind = view.content
        found.append(Dataset(path, Pointer(kind, digest, view.entry.size, view.entry.count)))
        stored = {side.digest for side in (dataset, left.get(path)) if side is not None}
        if view.entry.kind == FOLDER and digest not in stored:
            source = base_trees(repo, (digest, KIND_NAMES[FOLDER]))
            for name, encoded in view.scan.seal()[1].items():
                source.take(name, encoded)
            known[digest] = source
    return found


def _concerns(path: bytes, dataset: bytes) -> bool:
    return is_inside(path, dataset) or is_inside(dataset, path)


def _is_meant(change: Change, wanted: list[bytes]) -> bool:
    names = [name for name in (change.path, change.old_path) if name is not None]
    return any(
        _concerns(path, name) if change.kind == "folder" else is_inside(name, path)
        for path in wanted
        for name in names
    )
