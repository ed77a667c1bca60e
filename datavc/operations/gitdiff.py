"""Comparing two versions of one pointer for ``git diff``: which files differ, instead of two digests."""

from __future__ import annotations

from pathlib import Path

from datavc.durable import storage_errors
from datavc.errors import MalformedError
from datavc.formats.paths import show
from datavc.formats.pointer import parse_pointer
from datavc.operations.steps.comparing.compare import Change
from datavc.operations.steps.comparing.treediff import dataset_changes
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


def gitdiff(
    repo: Repo, old: tuple[bytes, Path], new: tuple[bytes, Path], *, progress: Progress = SILENT
) -> list[Change]:
    """The changes from one version of a pointer to another; each is its path in git, and a file, empty where there is none.

    Raises:
        ConflictError, MalformedError: one of them is no pointer, or of another digest algorithm than the repo.
        ObjectNotFound: a tree is neither here nor on a remote. IntegrityError: one is damaged.
    """
    before, after = _dataset(repo, *old), _dataset(repo, *new)
    with looking_afar(repo, offline=False, progress=progress, forbidding=""):
        found = dataset_changes(repo, before, after)
    return [change for changes in found.values() for change in changes]


def _dataset(repo: Repo, name: bytes, file: Path) -> list[Dataset]:
    with storage_errors(file):
        content = file.read_bytes()
    if not content:
        return []
    pointer = parse_pointer(content, show(name), repo.typed(name))
    if pointer.digest.algorithm != repo.algorithm:
        raise MalformedError(
            f"{show(name)} is of {pointer.digest.algorithm}, this repo's hash is {repo.algorithm}"
        )
    return [Dataset(name.removesuffix(POINTER_SUFFIX), pointer)]
