"""Pointers that a checkout of a revision is about to replace or remove, and that no commit has: how to get back to them."""

from __future__ import annotations

from collections.abc import Iterable

from datavc.errors import DatavcError
from datavc.formats.paths import show
from datavc.operations.steps.delivering.switching import Wanted
from datavc.operations.steps.naming.notes import current_commit
from datavc.progress import Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


def tell_uncommitted(
    repo: Repo, wanted: Iterable[Wanted], dropped: Iterable[Dataset], progress: Progress
) -> None:
    """Say of each pointer that git has never seen which version it stands for: its data stays in the cache."""
    commit = current_commit(repo)
    going: list[tuple[bytes, bytes | None]] = [
        (item.path, item.content) for item in wanted if item.content is not None and item.parts is None
    ]
    going += [(dataset.path, None) for dataset in dropped]
    found: dict[bytes, bytes] = {}
    for path, content in going:
        file = repo.absolute(path + POINTER_SUFFIX)
        if file.is_file() and (data := file.read_bytes()) != content:
            found[path] = data
    if not found or repo.git is None:
        return
    from datavc.git.revisions import blob_name, known_blobs

    names = {path: blob_name(data, commit or "0" * 40) for path, data in found.items()}
    known = known_blobs(repo.git, list(names.values()))
    for path, name in names.items():
        if name not in known:
            _tell(repo, path, progress)


def _tell(repo: Repo, path: bytes, progress: Progress) -> None:
    try:
        pointer = repo.read_pointer(path)
    except DatavcError:
        return
    if pointer is not None:
        progress.note(
            f"warning: {show(path)}: its version {pointer.digest} is in no commit; to get it back: "
            f"datavc checkout {pointer.digest} -- {repo.typed(path)}"
        )
