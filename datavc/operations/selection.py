"""Which datasets, and which parts of them, a command's paths mean."""

from __future__ import annotations

from dataclasses import dataclass

from datavc.errors import DatavcError, NotFoundError
from datavc.formats.paths import is_inside, show
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


@dataclass(frozen=True, slots=True)
class Selected:
    """A dataset, and the sub-paths of it that are meant, relative to it; None is all of it."""

    dataset: Dataset
    parts: tuple[bytes, ...] | None = None


def select(repo: Repo, paths: list[bytes], among: list[Dataset] | None = None) -> list[Selected]:
    """The datasets that absolute ``paths`` name, hold or lie in; all of them where there are no paths.

    ``among`` are those of a revision; without it, those of the workspace.

    Raises:
        NotFoundError: a path has nothing to do with any dataset.
        UsageError: a path is outside of the repository.
        MalformedError, ConflictError: the pointer of one of them cannot be read.
    """
    if among is not None:
        return _selected(repo, paths, among, " at that revision")
    selected, unreadable = select_readable(repo, paths)
    for error in unreadable.values():
        raise error
    return selected


def select_readable(repo: Repo, paths: list[bytes]) -> tuple[list[Selected], dict[bytes, DatavcError]]:
    """Like :func:`select`, of the workspace; of the datasets meant whose pointers cannot be read it is told why, by path.

    Raises:
        NotFoundError: a path has nothing to do with any dataset.
        UsageError: a path is outside of the repository.
    """
    unreadable: dict[bytes, DatavcError] = {}
    datasets = repo.datasets(unreadable)
    if not paths:
        return _selected(repo, [], datasets), unreadable
    meant: dict[bytes, DatavcError] = {}
    others = []
    for path in paths:
        relative = repo.relative(path)
        hit = {
            name: error
            for name, error in unreadable.items()
            if is_inside(name, relative.removesuffix(POINTER_SUFFIX)) or is_inside(relative, name)
        }
        meant |= hit
        if not hit or any(is_inside(dataset.path, relative) for dataset in datasets):
            others.append(path)
    return _selected(repo, others, datasets) if others else [], meant


def _selected(repo: Repo, paths: list[bytes], datasets: list[Dataset], where: str = "") -> list[Selected]:
    if not paths:
        return [Selected(dataset) for dataset in datasets]
    known = {dataset.path for dataset in datasets}
    parts: dict[bytes, set[bytes]] = {}
    for path in paths:
        relative = repo.relative(path)
        named = relative.removesuffix(POINTER_SUFFIX)
        if named != relative and named in known:
            relative = named
        found = False
        for dataset in datasets:
            if is_inside(dataset.path, relative):
                parts.setdefault(dataset.path, set()).add(b"")
                found = True
            elif is_inside(relative, dataset.path):
                parts.setdefault(dataset.path, set()).add(relative[len(dataset.path) + 1 :])
                found = True
        if not found:
            raise NotFoundError(
                f"{show(relative) or '.'} is no dataset{where}, and none lies in it", "datavc status"
            )
    return [
        Selected(dataset, None if b"" in parts[dataset.path] else tuple(sorted(parts[dataset.path])))
        for dataset in datasets
        if dataset.path in parts
    ]
