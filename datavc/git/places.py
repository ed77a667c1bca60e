"""Where git keeps things: the top folder of the work tree, this work tree's git folder, and the one shared by all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from datavc.errors import DatavcError, RepoNotFound
from datavc.formats.paths import shell_word
from datavc.git.program import Git, git_failure, show_path

# One process answers all. --is-inside-work-tree stands between the paths as a separator, because a path may hold a
# newline; --show-toplevel comes last, because it fails where there is no work tree. (--path-format needs git 2.31.)
_QUESTIONS = (
    "--is-inside-work-tree",
    "--is-bare-repository",
    "--absolute-git-dir",
    "--is-inside-work-tree",
    "--git-common-dir",
    "--is-inside-work-tree",
    "--show-toplevel",
)


class GitPlaces(NamedTuple):
    """Absolute paths, symlinks resolved. A worktree that is linked shares ``common_dir`` with others."""

    toplevel: Path
    git_dir: Path
    common_dir: Path


def find_git(start: Path) -> GitPlaces | None:
    """The git repository whose work tree holds the folder ``start``; None where there is none.

    Git is started only where a parent looks like a repository, or where GIT_DIR names one. A submodule is a repository
    of its own, with its git folder inside that of the repository around it.

    Raises:
        RepoNotFound: what is there cannot be used: bare, git's own folder, another user's, or a broken link.
        NotFoundError: there is one, and no git program.
        DatavcError: git failed for another reason.
    """
    start = Path(os.path.realpath(start))
    if not os.environ.get("GIT_DIR") and not _may_be_in_git(start):
        return None
    with Git(start).start("rev-parse", *_QUESTIONS) as process:
        code, output, errors = process.wait()
    if code == 0:
        return _parse_places(start, output)
    # Git itself passes over a .git that is an empty folder, or that lies above a mount point or a ceiling.
    if b"fatal: not a git repository (or any" in errors:
        return None
    raise _no_work_tree(start, output) or git_failure("rev-parse", start, code, errors)


def _may_be_in_git(start: Path) -> bool:
    for folder in (start, *start.parents):
        if os.path.lexists(folder / ".git"):
            return True
        if os.path.lexists(folder / "HEAD") and os.path.isdir(folder / "objects"):
            return True  # a bare repository, or the inside of a git folder
    return False


def _parse_places(start: Path, output: bytes) -> GitPlaces:
    inside, _bare, paths = output.split(b"\n", 2)
    git_dir, common_dir, toplevel = paths.removesuffix(b"\n").split(b"\n" + inside + b"\n")
    # Git prints the common folder relative to the one that it was started in.
    absolute = (
        os.path.realpath(os.path.join(os.fsencode(start), path)) for path in (toplevel, git_dir, common_dir)
    )
    return GitPlaces(*(Path(os.fsdecode(path)) for path in absolute))


def _no_work_tree(start: Path, output: bytes) -> DatavcError | None:
    """Why there is no work tree here, if that is what stopped git before its last answer."""
    answers = output.split(b"\n", 3)
    if len(answers) < 4 or answers[0] != b"false":
        return None
    git_dir = os.fsdecode(answers[2])
    if answers[1] == b"true":
        return RepoNotFound(
            f"{show_path(git_dir)} is a bare git repository, in which there are no files to version",
            f"work in a clone of it: git clone {shell_word(os.fsencode(git_dir))}",
        )
    return RepoNotFound(
        f"{show_path(start)} is inside git's own folder {show_path(git_dir)}",
        f"run datavc among your files: cd {shell_word(os.fsencode(os.path.dirname(git_dir)))}",
    )
