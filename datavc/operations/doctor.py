"""``doctor``: looks at all that datavc stands on, and says of each problem which command mends it. Changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from datavc import __version__
from datavc.errors import DatavcError
from datavc.locking import holder_of, is_free
from datavc.operations.steps.health.checkup import (
    Finding,
    check_datasets,
    check_git,
    failed,
    note,
    ok,
    problem,
)
from datavc.repo import Repo

# As in pyproject.toml, which a test compares: what must be installed, from which version on, and before which.
NEEDED = {
    "xxhash": ("4", ""),
    "boto3": ("1.43", ""),
    "fsspec": ("2024.6", ""),
    "urllib3": ("1.26.20", ""),
    "typer": ("0.26", "0.29"),
    "rich": ("13", ""),
    "pyfastcdc": ("0.3", ""),
    "tomlkit": ("0.13", ""),
}
_ZSTD = ("backports.zstd", ("1.0", ""))


def doctor(folder: Path, *, offline: bool = False) -> list[Finding]:
    """Versions, repository, git, datasets, cache, links, remotes, hooks, locks and clock, in this order.

    Each remote gets one request, unless ``offline``. What fails is a finding, too: nothing is raised.
    """
    found = list(_check_versions())
    try:
        repo = Repo.find(folder)
        found.append(ok("repository", f"{repo.root}, {repo.algorithm}"))
    except DatavcError as error:
        return [*found, failed("repository", error)]
    git = repo.git
    if git is not None:
        from datavc.operations.steps.health.checkhooks import check_hooks

        found += _safely("git", lambda: check_git(repo, git))
        found += _safely("hooks", lambda: check_hooks(git))
    found += _safely("datasets", lambda: check_datasets(repo))
    found += _safely("locks", lambda: _check_lock(repo))
    from datavc.operations.steps.health.checkstores import check_cache, check_remotes

    found += _safely("cache", lambda: check_cache(repo))
    found += _safely("remotes", lambda: check_remotes(repo, offline=offline))
    return found


def _safely(area: str, check: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """All findings up to the first that cannot be looked into, and that."""
    found: list[Finding] = []
    try:
        for finding in check():
            found.append(finding)
    except DatavcError as error:
        found.append(failed(area, error))
    except OSError as error:
        found.append(problem(area, f"{error.filename or area}: {error.strerror or error}"))
    return found


def _check_versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    python = ".".join(map(str, sys.version_info[:3]))
    wrong = False
    needed = {**NEEDED, **({} if sys.version_info >= (3, 14) else dict([_ZSTD]))}
    for name, (oldest, before) in needed.items():
        limits = f"{name}>={oldest}" + (f",<{before}" if before else "")
        command = f"{sys.executable} -m pip install '{limits}'"
        try:
            there = version(name)
        except PackageNotFoundError:
            wrong = True
            yield problem("versions", f"the package {name} is missing", command)
            continue
        if _numbers(there) < _numbers(oldest) or (before and _numbers(there) >= _numbers(before)):
            wrong = True
            yield problem("versions", f"{name} is {there}, and datavc works with {limits}", command)
    if not wrong:
        yield ok(
            "versions", f"datavc {__version__}, Python {python}, {os.uname().sysname} {os.uname().release}"
        )


def _numbers(text: str) -> tuple[int, ...]:
    """``1.43.2rc1`` as numbers: 1, 43, 2."""
    numbers = []
    for part in text.split("."):
        digits = ""
        for letter in part:
            if not letter.isdigit():
                break
            digits += letter
        if not digits:
            break
        numbers.append(int(digits))
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _check_lock(repo: Repo) -> Iterator[Finding]:
    """The lock of this worktree goes with the process that holds it: it is held, or it is free."""
    path = repo.private / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield ok("locks", "no command is at work")
        return
    try:
        standing = is_free(fd)
        if standing == "held":
            yield note("locks", f"in use by {holder_of(fd)}")
        elif standing == "free":
            yield ok("locks", "no command is at work")
        else:
            yield note(
                "locks",
                "this file system has none: two commands at once do their work twice, and nothing is deleted at once",
            )
    finally:
        os.close(fd)
