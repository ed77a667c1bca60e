"""``datavc git hook``: what git's hooks call."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.render import next_command, show_from_here, talk
from datavc.cli.session import current
from datavc.errors import DatavcError, RepoNotFound, UsageError

if TYPE_CHECKING:
    from datavc.operations.follow import Followed
    from datavc.repo import Repo

REFUSED = 1


def git_hook(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The hook")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARGUMENT]...", show_default=False, help="What git gives to it"),
    ] = None,
) -> int | None:
    """Do what one of git's hooks is for

    datavc install has git call it; the pre-commit framework does so by .pre-commit-hooks.yaml. Those called post-... never
    fail. pre-commit refuses broken pointers alone, pre-push pointers without their data.

    Examples:
      datavc git hook post-checkout OLD NEW 1
      datavc git hook pre-push origin URL

    Exit codes: 0 go on, 1 refused.
    """
    from datavc.repo import Repo

    hooks = {
        "post-checkout": _post_checkout,
        "post-commit": _post_commit,
        "post-index-change": _post_index_change,
        "post-merge": _post_merge,
        "post-rewrite": _post_rewrite,
        "pre-commit": _pre_commit,
        "pre-push": _pre_push,
    }
    if name not in hooks:
        raise UsageError(f"datavc has no hook {name!r}", f"choose among {', '.join(hooks)}")
    try:
        repo = Repo.find(current().folder)
    except RepoNotFound:
        # A hooks folder may be that of many repositories.
        return None
    if name.startswith("pre-"):
        return hooks[name](repo, arguments or [])
    try:
        return hooks[name](repo, arguments or [])
    except DatavcError as error:
        talk(f"datavc: {error.message}")
        if error.hint:
            next_command(error.hint)
        return None


def _post_checkout(repo: Repo, arguments: list[str]) -> None:
    """Git says: the old HEAD, the new one, and 1 where it was a branch, 0 where it was files that were checked out."""
    names = "PRE_COMMIT_FROM_REF", "PRE_COMMIT_TO_REF", "PRE_COMMIT_CHECKOUT_TYPE"
    given = arguments or [os.environ.get(name, "") for name in names]
    if len(given) < 2 or not given[1]:
        return
    old = given[0] if given[0].strip("0") else None
    _follow_unless_rebasing(repo, old, given[1])


def _post_commit(repo: Repo, arguments: list[str]) -> None:
    """Of a cherry-pick or a revert; who commits has the data already. A first commit has nothing to follow."""
    from datavc.operations.follow import has_parent

    if has_parent(repo):
        _follow_unless_rebasing(repo, "HEAD^", "HEAD")


def _post_index_change(repo: Repo, arguments: list[str]) -> None:
    """Git says: 1 where it changed the work tree, after which it may be about to move HEAD."""
    if arguments[:1] == ["1"]:
        _follow_unless_rebasing(repo, "HEAD", None)


def _post_merge(repo: Repo, arguments: list[str]) -> None:
    """Git says: 1 where it was a squash, after which HEAD stands where it stood."""
    is_squash = (arguments or [os.environ.get("PRE_COMMIT_IS_SQUASH_MERGE", "0")])[0] == "1"
    _follow(repo, *(("HEAD", "HEAD") if is_squash else ("ORIG_HEAD", "HEAD")))


def _post_rewrite(repo: Repo, arguments: list[str]) -> None:
    """Git says what rewrote: rebase or amend, which moves nothing."""
    if (arguments or [os.environ.get("PRE_COMMIT_REWRITE_COMMAND", "")])[0] == "rebase":
        _follow(repo, "ORIG_HEAD", "HEAD")


def _follow_unless_rebasing(repo: Repo, old: str | None, new: str | None) -> None:
    """In a rebase, data follows once, at its end."""
    from datavc.operations.follow import is_rebasing

    if not is_rebasing(repo.private.parent):
        _follow(repo, old, new)


def _follow(repo: Repo, old: str | None, new: str | None) -> None:
    from datavc.operations.follow import follow

    session = current()
    rows = follow(repo, old, new, jobs=session.workers, progress=session.progress)
    for row in rows:
        tell_followed(repo, row)


def tell_followed(repo: Repo, row: Followed) -> None:
    """Say on standard error what became of a dataset whose pointer moved."""
    from datavc.cli.commands.checkout import checked_out

    name = show_from_here(repo.root, row.path)
    if row.done is not None:
        talk(f"{name}: {checked_out(row.done, dry_run=False)}")
        return
    talk(f"{name} is left as it is: {row.message}")
    if row.hint:
        next_command(row.hint)


def _pre_commit(repo: Repo, arguments: list[str]) -> None:
    from datavc.operations.precommit import precommit

    session = current()
    jobs = session.workers
    for warning, command in precommit(repo, jobs=jobs, progress=session.progress):
        talk(f"warning: {warning}")
        next_command(command)


def _pre_push(repo: Repo, arguments: list[str]) -> int | None:
    """Git says: the remote's name and URL, and on standard input what goes where."""
    from datavc.operations.prepush import prepush

    session = current()
    remote = (arguments or [os.environ.get("PRE_COMMIT_REMOTE_NAME", "")])[0]
    jobs = session.workers
    try:
        for row in prepush(repo, remote, _pushed(), jobs=jobs, progress=session.progress):
            talk(f"{show_from_here(repo.root, row.path)} at {row.commit[:12]}: its data was sent")
    except DatavcError as error:
        talk(f"error: {error.message}")
        for line in (error.hint or "").splitlines():
            talk(f"hint: {line}")
        talk("hint: git push --no-verify pushes nevertheless")
        return REFUSED
    return None


def _pushed() -> list[tuple[str, str]]:
    """The commits that git sends, each with what the other side has now."""
    # Of a first push of all history, the pre-commit framework says only which branch it is.
    tip = os.environ.get("PRE_COMMIT_TO_REF") or os.environ.get("PRE_COMMIT_LOCAL_BRANCH")
    if tip:
        return [(tip, os.environ.get("PRE_COMMIT_FROM_REF", ""))]
    if sys.stdin is None or sys.stdin.isatty():
        return []
    rows = [line.split(" ") for line in sys.stdin.read().splitlines()]
    return [(row[1], row[3]) for row in rows if len(row) == 4]
