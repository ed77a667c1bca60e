"""``diff``: the workspace against the pointers or a revision, or one revision against another, file by file.

Works from trees alone, while the data is away.
"""

from __future__ import annotations

from dataclasses import dataclass

from datavc.formats.paths import SubPaths
from datavc.formats.tree import FOLDER, KIND_NAMES
from datavc.operations.selection import select
from datavc.operations.steps.comparing.compare import Change, changes
from datavc.operations.steps.comparing.revisiondiff import Look, revision_changes
from datavc.operations.steps.examining.examine import View, base_trees, examine
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.progress import SILENT, Progress
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """What differs between a dataset's pointer and the workspace, by path."""

    path: bytes
    changes: list[Change]


def diff(
    repo: Repo,
    paths: list[bytes],
    *,
    old: str | None = None,
    new: str | None = None,
    jobs: int = 1,
    offline: bool = False,
    progress: Progress = SILENT,
    rehash: bool = False,
) -> list[DatasetDiff]:
    """The differences of the datasets that ``paths`` name, hold or lie in; of all without paths.

    From the revision ``old`` to ``new``; without ``new``, to the workspace; without both, from the pointers to the
    workspace. Trees that are not here are fetched, unless ``offline``.

    Raises:
        NotFoundError: a path has nothing to do with any dataset. UsageError: there is no such revision.
        ObjectNotFound: a tree is neither in the cache nor kept beside the workspace state.
    """
    results = []
    with looking_afar(repo, offline=offline, progress=progress):
        if old is not None:
            look = Look(jobs, progress, rehash)
            return [DatasetDiff(*found) for found in revision_changes(repo, paths, old, new, look).items()]
        for item in select(repo, paths):
            view = examine(
                repo, item.dataset.path, item.dataset.pointer, jobs=jobs, progress=progress, rehash=rehash
            )
            found = [] if view.standing == "clean" else _changes(repo, view)
            if item.parts is not None:
                full = SubPaths(view.path + b"/" + part for part in item.parts)
                found = [change for change in found if full.hold(change.path)]
            results.append(DatasetDiff(view.path, found))
    return results


def _changes(repo: Repo, view: View) -> list[Change]:
    assert view.target is not None and view.pointer is not None
    trees = base_trees(repo, view.target)
    if view.entry is not None:
        return changes(view, trees)
    return list(_all_removed(view, trees))


def _all_removed(view: View, trees: TreeSource) -> list[Change]:
    assert view.pointer is not None
    if trees.kind != FOLDER:
        return [
            Change("removed", view.path, view.pointer.kind, 0, None, view.pointer.kind, view.pointer.size)
        ]
    gone = []
    for folder, tree in trees.walk():
        prefix = view.path + b"/" + folder + b"/" if folder else view.path + b"/"
        for entry in entries(tree):
            if entry.kind != FOLDER:
                kind = KIND_NAMES[entry.kind]
                gone.append(Change("removed", prefix + entry.name, kind, 0, None, kind, entry.size))
    return sorted(gone, key=lambda change: change.path)
