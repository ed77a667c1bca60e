"""What git knows about the pointers: which are not committed, and in which commit the workspace stands."""

from __future__ import annotations

from datavc.repo import POINTER_SUFFIX, Repo


def uncommitted_pointers(repo: Repo) -> dict[bytes, str]:
    """Dataset path -> reason, for each pointer that differs from git's last commit; empty without git."""
    if repo.git is None:
        return {}
    from datavc.git.pointers import uncommitted

    return {path.removesuffix(POINTER_SUFFIX): reason for path, reason in uncommitted(repo.git).items()}


def current_commit(repo: Repo) -> str | None:
    """The commit that is checked out; None without git, and before the first commit."""
    if repo.git is None:
        return None
    from datavc.errors import DatavcError

    try:
        return repo.git.run("rev-parse", "--verify", "-q", "HEAD").decode("ascii", "replace").strip() or None
    except DatavcError:
        return None
