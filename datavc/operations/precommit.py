"""Before ``git commit``: broken pointers are refused, and what is not going to be in the commit is told."""

from __future__ import annotations

from datavc.errors import DatavcError
from datavc.formats.paths import show
from datavc.formats.pointer import parse_pointer
from datavc.git.pointers import CHANGED, UNTRACKED
from datavc.operations.status import status
from datavc.operations.steps.naming.notes import uncommitted_pointers
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo


def precommit(repo: Repo, *, jobs: int = 1, progress: Progress = SILENT) -> list[tuple[str, str]]:
    """Warnings, each with the next command: data that differs from its pointer, pointers that are not in the commit.

    Raises:
        ConflictError, MalformedError: a pointer that is staged has conflict markers, or is none.
    """
    if repo.git is None:
        return []
    from datavc.git.pointerlog import read_blobs, staged_pointers

    staged = [row for row in staged_pointers(repo.git) if row.blob is not None]
    contents = read_blobs(repo.git, [row.blob for row in staged if row.blob is not None])
    for row in staged:
        if row.blob in contents:
            parse_pointer(contents[row.blob], f"the staged {show(row.path)}", repo.typed(row.path))
    warnings = []
    try:
        for found in status(repo, [], jobs=jobs, progress=progress):
            if found.states[0] in ("modified", "diverged"):
                typed = repo.typed(found.path)
                warnings.append((f"{show(found.path)} was changed and not added", f"datavc add {typed}"))
    except DatavcError as error:
        warnings.append((error.message, error.hint or "datavc status"))
    for path, reason in uncommitted_pointers(repo).items():
        if reason in (CHANGED, UNTRACKED):
            pointer = path + POINTER_SUFFIX
            warnings.append(
                (f"{show(pointer)} is not in this commit as it is now", f"git add {repo.typed(pointer)}")
            )
    return warnings
