"""Dropping datasets that a revision lacks: their files go from the workspace, but only what the cache has.

Files first, then ignore line and workspace state, the pointer last: while it is there, the same command finishes.
"""

from __future__ import annotations

import os
from array import array
from dataclasses import dataclass

from datavc.durable import remove_durably
from datavc.errors import ConflictError
from datavc.formats.digest import Digest, hash_function
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import FOLDER, Entry, Tree, encode_tree
from datavc.operations.steps.delivering.locating import locate
from datavc.operations.steps.delivering.plan import FolderWork, Plan, Planner
from datavc.operations.steps.delivering.switching import (
    CheckedOut,
    is_readable,
    save,
    store,
    versions_on_record,
)
from datavc.operations.steps.examining.emptying import empty_workspace
from datavc.operations.steps.examining.examine import View, base_trees, examine
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.operations.steps.trees.trees import TreeSource
from datavc.parallel import Workers
from datavc.progress import Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


@dataclass(slots=True)
class Drop:
    """A dataset that is to go, and the paths in it that nothing on record has.

    Where not ``is_kept``, all of it is on record, but the cache does not prove that it has it: it is stored first.
    """

    dataset: Dataset
    view: View
    unsaved: list[bytes]
    is_kept: bool

    @property
    def path(self) -> bytes:
        """Relative to the repo's root."""
        return self.dataset.path


def plan_drop(repo: Repo, dataset: Dataset, workers: Workers, progress: Progress) -> Drop:
    """Look at a dataset that is to go, without touching anything."""
    view = examine(repo, dataset.path, dataset.pointer, jobs=workers.jobs, progress=progress, whole=True)
    if view.scan.problems:
        path, reason = view.scan.problems[0]
        raise ConflictError(
            f"{show(path)} {reason}, so {show(dataset.path)} cannot be dropped", "move it away, or name PATHs"
        )
    is_kept = _is_kept(repo, view)
    return Drop(dataset, view, [] if is_kept else _unsaved(repo, view), is_kept)


def carry_out_drop(
    repo: Repo, drop: Drop, *, dry_run: bool, workers: Workers, progress: Progress
) -> CheckedOut:
    """Save what is unsaved (the caller has refused it unless it is forced), and take the dataset away.

    Raises:
        ConflictError: something was changed after it was looked at. StorageError: something cannot be deleted.
    """
    path, view = drop.path, drop.view
    saved = None
    files = view.entry.count if view.entry is not None else 0
    if not dry_run:
        if drop.unsaved:
            saved = save(repo, view, jobs=workers.jobs, progress=progress)
        elif not drop.is_kept:
            store(repo, view, saved=False, jobs=workers.jobs, progress=progress)
        sweep(repo, [*view.scan.leftovers, *beside(repo, [path])])
        if view.scan.exists:
            empty_workspace(repo, view)
        repo.unignore(path)
        repo.drop_state(path)
        remove_durably(repo.absolute(path + POINTER_SUFFIX))
        _remove_empty_folders(repo, path.rpartition(b"/")[0])
    return CheckedOut(path, str(drop.dataset.digest), 0, 0, files, 0, saved, dropped=True)


def _unsaved(repo: Repo, view: View) -> list[bytes]:
    """The files that would be lost: those of no version on record."""
    recorded = [base_trees(repo, version) for version in versions_on_record(repo, view)]
    recorded = [source for source in recorded if is_readable(source)]
    return Planner(view, _nothing(repo.algorithm), recorded, None, case_sensitive=True).plan(0).unsaved


def _is_kept(repo: Repo, view: View) -> bool:
    """Whether the cache has all that is there: the version, or of a partial workspace every file, under some root."""
    if not view.scan.exists or view.content is None:
        return True
    if repo.cache.root(view.content[0]) is not None:
        return True
    if view.state.partial is None or view.base is None or _unsaved(repo, view):
        return False
    work = FolderWork(view.path, False, False)
    for folder in view.scan.folders.values():
        sizes = folder.stats[::4]
        for name, kind, size, digest in zip(folder.names, folder.kinds, sizes, folder.digests, strict=True):
            if kind != FOLDER and digest is not None:
                work.entries.append(Entry(name, kind, size, 1, digest))
    return not locate(repo, view.base[0], Plan(folders=[work])).missing


def _nothing(algorithm: str) -> TreeSource:
    """An empty folder, in no store: what is left of a dataset that is dropped."""
    empty = Tree(algorithm, [], b"", array("Q"), [], [])
    digest = hash_function(algorithm)(encode_tree(empty))
    source = TreeSource(None, None, Digest(algorithm, digest), "folder")
    source.remember(digest, empty)
    return source


def _remove_empty_folders(repo: Repo, folder: bytes) -> None:
    """As git does: folders in which nothing is left go too, but for the one that the user works in."""
    while folder and not is_inside(repo.here, repo.root_bytes + b"/" + folder):
        try:
            os.rmdir(repo.absolute(folder))
        except OSError:
            return
        folder = folder.rpartition(b"/")[0]
