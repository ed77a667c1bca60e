"""Which datasets, and which parts of them, a command's paths mean."""

from __future__ import annotations

from dataclasses import dataclass

from datavc.errors import NotFoundError
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
    """
    datasets = repo.datasets() if among is None else among
    if not paths:
        return [Selected(dataset) for dataset in datasets]
    known = {dataset.path for dataset in datasets}
    parts: dict[bytes, set[bytes]] = {}
    for path in paths:
        relative = repo.relative(path)
        named = relative.removesuffix(POINTER_SUFFIX)
        if named != relative and (repo.read_pointer(named) if among is None else named in known):
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
            where = "" if among is None else " at that revision"
            raise NotFoundError(
                f"{show(relative) or '.'} is no dataset{where}, and none lies in it", "datavc status"
            )
    return [
        Selected(dataset, None if b"" in parts[dataset.path] else tuple(sorted(parts[dataset.path])))
        for dataset in datasets
        if dataset.path in parts
    ]
