"""``remove``: stop keeping a dataset. Its data stays in the workspace unless asked otherwise, and in git's history always."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field

from datavc.durable import remove_durably, storage_errors
from datavc.errors import ConflictError, UsageError
from datavc.formats.paths import show, to_text
from datavc.operations.selection import Selected, select
from datavc.operations.steps.examine import examine
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
    content = view.content
    if content is None or view.scan.problems or repo.cache.root(content[0]) is None:
        raise ConflictError(
            f"{show(path)} has data that is not in the cache, and would be lost",
            f"datavc add {repo.typed(path)} keeps it; "
            f"datavc remove --delete --force {repo.typed(path)} deletes it",
        )


def _remove(repo: Repo, path: bytes, *, delete: bool, result: RemoveResult) -> None:
    """Pointer first: from then on nothing claims the data."""
    folder, _, name = path.rpartition(b"/")
    remove_durably(repo.absolute(path + POINTER_SUFFIX))
    result.git_add.append(to_text(path + POINTER_SUFFIX))
    repo.drop_state(path)
    place = repo.absolute(path)
    if delete and os.path.lexists(place):
        with storage_errors(place):
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
    if repo.git is not None:
        from datavc.git.ignorefile import unignore_names

        unignore_names(repo.absolute(folder), [name])
        result.git_add.append(to_text(folder + b"/.gitignore" if folder else b".gitignore"))
