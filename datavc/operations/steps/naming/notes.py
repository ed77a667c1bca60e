"""What git knows about the pointers: which are not committed, and in which commit the workspace stands."""

from __future__ import annotations

from datavc.repo import POINTER_SUFFIX, Repo


def uncommitted_pointers(repo: Repo) -> dict[bytes, str]:
    """Dataset path -> reason, for each pointer that differs from git's last commit; empty without git."""
    if repo.git is None:
        return {}
    from datavc.git.pointers import pointer_overview

    # One wait for two processes: the list of pointers is used by whoever selects datasets next.
    overview = pointer_overview(repo.git)
    repo.known_pointers = [found.path for found in overview.pointers]
    return {path.removesuffix(POINTER_SUFFIX): reason for path, reason in overview.uncommitted.items()}


def current_commit(repo: Repo) -> str | None:
    """The commit that is checked out; None without git, and before the first commit."""
    if repo.git is None:
        return None
    from datavc.errors import DatavcError

    try:
        return repo.git.run("rev-parse", "--verify", "-q", "HEAD").decode("ascii", "replace").strip() or None
    except DatavcError:
        return None
