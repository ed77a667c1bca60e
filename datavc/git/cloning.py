"""``git clone``, through the git program."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from datavc.errors import ConflictError, UsageError
from datavc.git.program import Git, show_path

# A caller's repository is none of the new one's business.
_OF_A_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


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
        raise ConflictError(f"{show_path(folder)} is there already, and not empty", "choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".datavc-tmp-clone-{os.urandom(6).hex()}")
    try:
        git = Git(here, without=_OF_A_REPOSITORY)
        git.run("clone", "--quiet", "--", url, os.fspath(staged))
        os.rename(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
