"""The commits that brought versions of a dataset: what people know a version by, beside its tag."""

from __future__ import annotations

from collections.abc import Collection

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.operations.steps.naming.revisions import read_past_pointer
from datavc.repo import POINTER_SUFFIX, Repo


def first_commits(repo: Repo, path: bytes, versions: Collection[Digest]) -> dict[Digest, str]:
    """Of each version of the dataset at ``path`` the oldest commit, of any ref, that wrote it into the pointer.

    One that was never committed is left out, and without git all are. Raises DatavcError where git fails.
    """
    if repo.git is None or not versions:
        return {}
    from datavc.git.pointerlog import pointer_log, read_blobs

    name = path + POINTER_SUFFIX
    written = [
        (commit.id, change.blob)
        for commit, changes in pointer_log(repo.git, path=name, everywhere=True)
        for change in changes
        if change.blob is not None
    ]
    contents = read_blobs(repo.git, {blob for _, blob in written})
    found: dict[Digest, str] = {}
    for commit, blob in written:  # the newest first
        try:
            pointer = read_past_pointer(repo, contents.get(blob, b""), name, commit)
        except DatavcError:
            # A pointer that nobody can read brought no version.
            continue
        if pointer.digest in versions:
            found[pointer.digest] = commit
    return found
