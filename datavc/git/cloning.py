"""``git clone``, through the git program; and bare copies of repositories that are only read."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from datavc.errors import ConflictError, DatavcError, UsageError
from datavc.formats.paths import shell_word
from datavc.git.program import Git, show_path
from datavc.locking import Patience, take, waiting

# A caller's repository is none of the new one's business.
_OF_A_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")
# Pointers and datavc.toml are shorter.
_LONGEST_FILE = "64k"


def default_folder(url: str) -> str:
    """The name that git gives to a clone of ``url``: its last part, without ``.git``. Raises UsageError."""
    path = re.sub(r"^[a-z+]+://[^/]*", "", url).rstrip("/").removesuffix("/.git")
    name = re.split(r"[/:]", path)[-1].removesuffix(".git").removesuffix(".bundle")
    if not name or name in (".", ".."):
        raise UsageError(f"{url!r} does not say what to call the clone", "datavc clone GIT_URL DIR")
    return name


def clone(url: str, folder: Path, *, here: Path) -> None:
    """Clone ``url``, which may be relative to ``here``, into ``folder``: all of it, or nothing is left behind.

    Raises:
        ConflictError: there is something at ``folder``. DatavcError: git failed; the message has its own line.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        hint = "choose another folder"
        if (folder / ".git").exists():
            hint += f"; or, where a clone was interrupted: datavc -C {shell_word(os.fsencode(folder))} pull"
        raise ConflictError(f"{show_path(folder)} is there already, and not empty", hint)
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".datavc-tmp-clone-{os.urandom(6).hex()}")
    try:
        git = Git(here, without=_OF_A_REPOSITORY)
        git.run("clone", "--quiet", "--", url, os.fspath(staged))
        os.rename(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def mirror(url: str, folder: Path, rev: str) -> Git:
    """A bare copy of the repository at ``url`` in ``folder``, made or brought up to date; one at a time does so.

    A full commit id that is there already needs no look at the other side. Big files that are in git itself stay away.

    Raises:
        DatavcError: git failed; an old copy stays as it was.
    """
    bare = folder / "git"
    with open(folder / "lock", "a") as lock:
        with waiting(Patience(None)):
            take(lock.fileno(), show_path(folder))
        if not bare.is_dir():
            staged = folder / f".datavc-tmp-{os.urandom(6).hex()}"
            try:
                git = Git(folder, without=_OF_A_REPOSITORY)
                words = ("clone", "--quiet", "--bare", f"--filter=blob:limit={_LONGEST_FILE}", "--")
                git.run(*words, url, os.fspath(staged))
                os.rename(staged, bare)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
            return Git(bare, without=_OF_A_REPOSITORY)
        git = Git(bare, without=_OF_A_REPOSITORY)
        if not (re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", rev) and _has(git, rev)):
            refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            git.run("fetch", "--quiet", "--prune", "--no-write-fetch-head", "--", url, *refs)
        return git


def _has(git: Git, commit: str) -> bool:
    try:
        git.run("cat-file", "-e", f"{commit}^{{commit}}")
    except DatavcError:
        return False
    return True
