"""``pull``: fetch what the pointers say, then make the workspace that."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.operations.checkout import CheckoutResult, checkout
from datavc.operations.fetch import FetchResult, fetch
from datavc.operations.steps.naming.notes import current_commit, uncommitted_pointers
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY
from datavc.progress import SILENT, Progress
from datavc.repo import Repo


@dataclass(slots=True)
class PullResult:
    """What was fetched and checked out, and whose pointers these are.

    ``commit`` is the one that git has checked out, with its ``subject``; None without git. The pointers of the datasets
    ``uncommitted`` differ from it.
    """

    fetched: FetchResult
    checked_out: CheckoutResult
    commit: str | None = None
    subject: str | None = None
    uncommitted: list[bytes] = field(default_factory=list)


def pull(
    repo: Repo,
    paths: list[bytes],
    *,
    remote: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    memory: int = DEFAULT_MEMORY,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> PullResult:
    """Fetch the datasets (or sub-paths) that ``paths`` name, and check them out; all of them without paths.

    What could not be fetched is in the result, and the rest is checked out. ``force`` overwrites unsaved work, after
    storing it in the cache. A dry run says what would be fetched.

    Raises:
        As :func:`datavc.operations.fetch.fetch` and :func:`datavc.operations.checkout.checkout`.
    """
    fetched = fetch(repo, paths, remote=remote, dry_run=dry_run, memory=memory, progress=progress)
    checked_out = CheckoutResult()
    if not dry_run:
        names = [
            row.path + b"/" + part if part else row.path
            for row in fetched.datasets
            if row.outcome != "failed"
            for part in (row.parts or (b"",))
        ]
        if names:
            absolute = [repo.root_bytes + b"/" + name for name in names]
            checked_out = checkout(repo, absolute, force=force, jobs=jobs, progress=progress)
    result = PullResult(fetched, checked_out, current_commit(repo))
    if result.commit is not None and repo.git is not None:
        from datavc.git.history import subject

        result.subject = subject(repo.git, result.commit)
        changed = uncommitted_pointers(repo)
        result.uncommitted = sorted(row.path for row in fetched.datasets if row.path in changed)
    return result
