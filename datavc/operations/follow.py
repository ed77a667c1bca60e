"""Data follows the pointers that git has moved: what the hooks do after a checkout, a merge, a commit, a reset.

Unsaved work is never overwritten, and what fails is told and left as it is: ``status`` names it, ``checkout`` does it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from datavc.errors import DatavcError, ObjectNotFound
from datavc.formats.paths import show
from datavc.formats.pointer import parse_pointer
from datavc.operations.checkout import checkout
from datavc.operations.steps.delivering.switching import CheckedOut
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


@dataclass(frozen=True, slots=True)
class Followed:
    """One dataset whose pointer moved: what became of it, or why it was left (``message``), and what then to type."""

    path: bytes
    done: CheckedOut | None = None
    message: str | None = None
    hint: str | None = None


def follow(
    repo: Repo, old: str | None, new: str | None, *, jobs: int = 1, progress: Progress = SILENT
) -> list[Followed]:
    """Check out the datasets whose pointers moved from commit ``old`` to ``new``.

    Without ``old`` nobody knows from where; without ``new`` git is still at work, and its index has what HEAD will be.
    A dataset that is new comes where its data is in the cache, one that is gone goes where all of it is saved. One that
    was not in the workspace before stays away. Nothing is fetched.
    """
    moved, fresh, gone = _between(repo, old, new)
    rows = []
    for name in repo.pointer_paths():
        path = name.removesuffix(POINTER_SUFFIX)
        try:
            if not _must_follow(repo, path, moved, fresh, everything=old is None and new is not None):
                continue
            rows.append(Followed(path, _check_out(repo, path, jobs=jobs, progress=progress)))
        except DatavcError as error:
            rows.append(_left(repo, path, error))
    for path, content in gone.items():
        row = drop_again(repo, path, content, jobs=jobs, progress=progress)
        if row is not None:
            rows.append(row)
    return rows


def check_out_again(repo: Repo, path: bytes, *, jobs: int = 1, progress: Progress = SILENT) -> Followed:
    """Check out one dataset, or what of it is in the workspace; what fails is in the result."""
    try:
        return Followed(path, _check_out(repo, path, jobs=jobs, progress=progress))
    except DatavcError as error:
        return _left(repo, path, error)


def _between(
    repo: Repo, old: str | None, new: str | None
) -> tuple[set[bytes], set[bytes], dict[bytes, bytes]]:
    """The datasets whose pointers differ in the two commits, those that are new, and those gone, with their pointers."""
    if repo.git is None or old is None or old == new:
        return set(), set(), {}
    from datavc.git.pointerlog import pointers_between, read_blobs, staged_pointers

    changes = staged_pointers(repo.git) if new is None else pointers_between(repo.git, old, new)
    contents = read_blobs(repo.git, [row.old for row in changes if row.blob is None and row.old is not None])
    moved, fresh, gone = set(), set(), {}
    for row in changes:
        path = row.path.removesuffix(POINTER_SUFFIX)
        if row.blob is None:
            if row.old in contents:
                gone[path] = contents[row.old]
        elif row.old is None:
            fresh.add(path)
        else:
            moved.add(path)
    return moved, fresh, gone


def _must_follow(repo: Repo, path: bytes, moved: set[bytes], fresh: set[bytes], *, everything: bool) -> bool:
    """Whether the workspace was made from another version than the pointer says, because the pointer moved."""
    pointer = repo.read_pointer(path)
    if pointer is None:
        return False
    state = repo.read_state(path)
    if not os.path.lexists(repo.absolute(path)):
        return everything or path in fresh
    if state.base is None or (state.base, state.kind) == (pointer.digest, pointer.kind):
        return False
    # Otherwise somebody chose another version than the pointer's: datavc checkout DIGEST leaves the pointer alone.
    return path in moved or path in fresh or repo.pointer_is_newer(path)


def _check_out(repo: Repo, path: bytes, *, jobs: int, progress: Progress) -> CheckedOut:
    """All of the dataset, or where parts of it alone were checked out, those."""
    parts = repo.read_state(path).partial
    full = repo.root_bytes + b"/" + path
    names = [full] if parts is None else [full + b"/" + part for part in parts]
    return checkout(repo, names, jobs=jobs, progress=progress).datasets[0]


def drop_again(
    repo: Repo, path: bytes, content: bytes, *, jobs: int = 1, progress: Progress = SILENT
) -> Followed | None:
    """Take a dataset away whose pointer is gone; None where it is not in the workspace, or git's own now.

    ``content`` is what its pointer was. What is unsaved stays, and what fails is in the result.
    """
    assert repo.git is not None
    from datavc.git.pointers import tracked_below
    from datavc.operations.steps.delivering.dropping import carry_out_drop, plan_drop
    from datavc.operations.steps.delivering.fulfil import deliver_workers

    if os.path.lexists(repo.absolute(path + POINTER_SUFFIX)) or not os.path.lexists(repo.absolute(path)):
        return None
    try:
        if repo.read_state(path).base is None or tracked_below(repo.git, [path]):
            return None
        dataset = Dataset(path, parse_pointer(content, show(path + POINTER_SUFFIX)))
        with repo.lock("checkout"), deliver_workers(jobs) as workers:
            drop = plan_drop(repo, dataset, workers, progress)
            if drop.unsaved:
                return Followed(path, None, "it is no dataset any more, and has unsaved changes")
            done = carry_out_drop(repo, drop, dry_run=False, workers=workers, progress=progress)
        return Followed(path, done)
    except DatavcError as error:
        return Followed(path, None, error.message, error.hint)


def _left(repo: Repo, path: bytes, error: DatavcError) -> Followed:
    if not isinstance(error, ObjectNotFound):
        return Followed(path, None, error.message, error.hint)
    has_remote = bool(repo.config.tables_in("remote", "url"))
    hint = f"datavc pull {repo.typed(path)}" if has_remote else error.hint
    return Followed(path, None, "not all of it is in the cache", hint)


def has_parent(repo: Repo) -> bool:
    """Whether there is a commit before HEAD, here."""
    if repo.git is None:
        return False
    return repo.git.run("rev-parse", "--verify", "--quiet", "HEAD^", accept=(0, 1)) != b""


def is_rebasing(git_dir: Path) -> bool:
    """Whether git is in the middle of a rebase, at whose end the data follows once for all of it."""
    return any((git_dir / name).is_dir() for name in ("rebase-merge", "rebase-apply"))
