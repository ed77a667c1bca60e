"""``init``: set datavc up in a git repository, or in a folder without one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from datavc.durable import storage_errors, write_durably
from datavc.errors import RepoNotFound, UsageError
from datavc.formats.config import CONFIG_FORMAT, read_config
from datavc.formats.digest import ALGORITHMS, DEFAULT_ALGORITHM, hash_function
from datavc.git.places import find_git
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.repo import CONFIG_NAME, PRIVATE_NAME, Repo

# What no commit should hold: files that a killed command left half written, and this machine's own folder.
_IGNORED = b".datavc-tmp-*"


@dataclass(frozen=True, slots=True)
class InitResult:
    """Where the repo is, which files were made or changed (relative to it), and its random id."""

    root: str
    created: list[str]
    repo_id: str


def init(folder: Path, *, hash: str | None = None, no_git: bool = False) -> InitResult:
    """Set datavc up in the git repository that holds ``folder``, or, with ``no_git``, in ``folder`` itself.

    Safe to run again: what is there is kept.

    Raises:
        RepoNotFound: there is no git repository.
        UsageError: the repo exists with another digest algorithm, or the algorithm is unknown.
        Locked: another command is at work there.
    """
    if hash is not None and hash not in ALGORITHMS:
        raise UsageError(f"unknown digest algorithm {hash!r}", f"choose one of {', '.join(ALGORITHMS)}")
    hash_function(hash or DEFAULT_ALGORITHM)
    created: list[str] = []
    if no_git:
        root = folder
        with storage_errors(root):
            (root / PRIVATE_NAME).mkdir(exist_ok=True)
        private = root / PRIVATE_NAME
    else:
        places = find_git(folder)
        if places is None:
            raise RepoNotFound(f"{folder} is in no git repository", "git init, or: datavc init --no-git")
        root, private = places.toplevel, places.git_dir / "datavc"
    with Repo(root, None, private, private).lock("init"):
        repo_id, wrote = _write_config(root, hash)
        if wrote:
            created.append(CONFIG_NAME)
        if not no_git:
            created += _tell_git(root)
        repo = Repo.find(root)
        assert repo.cache.folder.is_dir()
        sweep(repo, beside(repo, [b""]))
    return InitResult(str(root), created, repo_id)


def _write_config(root: Path, hash: str | None) -> tuple[str, bool]:
    path = root / CONFIG_NAME
    if path.is_file():
        with storage_errors(path):
            found = read_config(path.read_bytes(), str(path), committed=True)
        algorithm = found.get("hash", DEFAULT_ALGORITHM)
        if hash is not None and hash != algorithm:
            raise UsageError(
                f"{path} says hash = {algorithm!r}: an algorithm is chosen once, when a repo is made",
                "make a new repository for another algorithm",
            )
        return str(found["repo"]), False
    repo_id = os.urandom(16).hex()
    text = (
        "# The configuration of datavc for everybody who clones this repository.\n"
        "# What is secret or holds for one machine alone belongs elsewhere: datavc config --local KEY VALUE\n"
        f'format = {CONFIG_FORMAT}\nrepo = "{repo_id}"\nhash = "{hash or DEFAULT_ALGORITHM}"\n'
    )
    write_durably(path, text.encode())
    return repo_id, True


def _tell_git(root: Path) -> list[str]:
    from datavc.git.attributes import set_attributes
    from datavc.git.ignorefile import with_line
    from datavc.git.linefile import edit_file

    changed = []
    if set_attributes(root):
        changed.append(".gitattributes")
    if edit_file(root / ".gitignore", partial(with_line, line=_IGNORED)):
        changed.append(".gitignore")
    return changed
