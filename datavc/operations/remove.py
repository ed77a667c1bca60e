"""``remove``: stop keeping a dataset. Its data stays in the workspace unless asked otherwise, and in git's history always.

The pointer goes last: while it is there, the same command finishes what an interrupted one began.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field

from datavc.durable import remove_durably, storage_errors
from datavc.errors import ConflictError, UsageError
from datavc.formats.paths import show, to_text
from datavc.git.ignorefile import ignore_file
from datavc.operations.selection import Selected, select
from datavc.operations.steps.comparing.compare import changes
from datavc.operations.steps.examining.examine import View, base_trees, examine
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo


@dataclass(slots=True)
class RemoveResult:
    """The datasets that are none any more, and whether their data was deleted too."""

    removed: list[bytes] = field(default_factory=list)
    deleted: bool = False
    git_add: list[str] = field(default_factory=list)


def remove(
    repo: Repo,
    paths: list[bytes],
    *,
    delete: bool = False,
    force: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> RemoveResult:
    """Take away the pointers of the datasets named, their ignore lines and their workspace state.

    With ``delete`` the data goes from the workspace too, where it is exactly what the cache has, or with ``force``.

    Raises:
        ConflictError: data that is kept nowhere would be deleted.
        UsageError: a path is a part of a dataset, or none was named.
    """
    if not paths:
        raise UsageError("nothing was named to be removed", "datavc remove PATH")
    result = RemoveResult(deleted=delete)
    with repo.lock("remove"):
        selected = select(repo, paths)
        for item in selected:
            if item.parts is not None:
                part = item.dataset.path + b"/" + item.parts[0]
                typed = repo.typed(part)
                raise UsageError(
                    f"{show(part)} is a part of a dataset", f"rm -r {typed}, then datavc add {typed}"
                )
            if delete and not force:
                _refuse_loss(repo, item, jobs, progress)
        for item in selected:
            result.removed.append(item.dataset.path)
            if not dry_run:
                _remove(repo, item.dataset.path, delete=delete, result=result)
    return result


def _refuse_loss(repo: Repo, item: Selected, jobs: int, progress: Progress) -> None:
    path = item.dataset.path
    view = examine(repo, path, item.dataset.pointer, jobs=jobs, progress=progress)
    if view.standing == "missing":
        return
    if not _is_kept(repo, view):
        raise ConflictError(
            f"{show(path)} has data that is not in the cache, and would be lost",
            f"datavc add {repo.typed(path)} keeps it; "
            f"datavc remove --delete --force {repo.typed(path)} deletes it",
        )


def _is_kept(repo: Repo, view: View) -> bool:
    """Whether the cache has all that is there: as a version, or as what is left of the pointer's version."""
    if view.content is None or view.target is None or view.scan.problems:
        return False
    if repo.cache.root(view.content[0]) is not None:
        return True
    if repo.cache.root(view.target[0]) is None:
        return False
    return all(change.status == "removed" for change in changes(view, base_trees(repo, view.target)))


def _remove(repo: Repo, path: bytes, *, delete: bool, result: RemoveResult) -> None:
    place = repo.absolute(path)
    sweep(repo, beside(repo, [path]))
    if delete and os.path.lexists(place):
        with storage_errors(place):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
    repo.unignore(path)
    repo.drop_state(path)
    remove_durably(repo.absolute(path + POINTER_SUFFIX))
    result.git_add.append(to_text(path + POINTER_SUFFIX))
    if repo.git is not None:
        result.git_add.append(to_text(ignore_file(path)))
