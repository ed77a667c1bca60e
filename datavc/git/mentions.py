"""Every pointer that git still holds, wherever that is, as bytes: for whoever must not delete what one of them names.

What is gathered is rather too much than too little: all refs, HEADs and reflogs of all worktrees, the stash, each
worktree's index with what a merge left there, and the commits that an operation under way will come back to.
"""

from __future__ import annotations

import re
from pathlib import Path

from datavc.errors import NotFoundError
from datavc.git.pointerlog import read_blobs
from datavc.git.program import Git

_SUFFIX = b".datavc"
_FILES = (b"100644", b"100755")
_ID = re.compile(rb"^(?:[0-9a-f]{40}|[0-9a-f]{64})\b", re.MULTILINE)
# Relative to a worktree's git folder: names of commits that no ref need lead to.
_UNDER_WAY = (
    "*_HEAD",
    "MERGE_AUTOSTASH",
    "rebase-merge/orig-head",
    "rebase-merge/onto",
    "rebase-merge/autostash",
    "rebase-merge/stopped-sha",
    "rebase-apply/orig-head",
    "rebase-apply/onto",
    "rebase-apply/autostash",
)
# These name another repository than the one that is asked for.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE")


def every_pointer(common: Path) -> list[bytes]:
    """The bytes of every pointer that the repository with the shared git folder ``common`` holds anywhere.

    Raises:
        NotFoundError: git lacks one of them. DatavcError: git fails, so nothing is known.
    """
    git = Git(common, without=_ELSEWHERE)
    folders = [common, *sorted(path for path in (common / "worktrees").glob("*") if path.is_dir())]
    blobs = _logged(git, _commits_under_way(git, folders))
    for folder in folders:
        blobs |= _indexed(git, folder)
    contents = read_blobs(git, sorted(blobs))
    lost = blobs - contents.keys()
    if lost:
        raise NotFoundError(f"git lacks the pointer {min(lost)[:12]} in {common}", "git fsck")
    return list(contents.values())


def is_shallow_at(common: Path) -> bool:
    """Whether the repository lacks a part of its history."""
    return (common / "shallow").exists()


def _logged(git: Git, commits: list[str]) -> set[str]:
    """Pointers of all commits: with full history and each parent of a merge, none that was ever there is left out."""
    listed = git.run(
        f"--git-dir={git.toplevel}",
        "-c",
        "log.follow=false",
        "log",
        "--all",
        "--reflog",
        "--full-history",
        "-m",
        "--root",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--no-show-signature",
        "--format=",
        "--ignore-missing",
        "--stdin",
        input="".join(f"{commit}\n" for commit in commits).encode() + b"--\n*.datavc\n",
    )
    found = set()
    for part in listed.split(b"\0"):
        row = part.lstrip(b"\n")
        if row.startswith(b":"):
            words = row.lstrip(b":").split(b" ")
            if words[1] in _FILES:
                found.add(words[3].decode("ascii"))
    return found


def _indexed(git: Git, folder: Path) -> set[str]:
    """Pointers in the index of one worktree, those of both sides of a merge too."""
    listed = git.run(f"--git-dir={folder}", "ls-files", "--stage", "-z")
    found = set()
    for row in listed.split(b"\0")[:-1]:
        about, _, path = row.partition(b"\t")
        mode, blob, _ = about.split(b" ")
        if mode in _FILES and path.endswith(_SUFFIX):
            found.add(blob.decode("ascii"))
    return found


def _commits_under_way(git: Git, folders: list[Path]) -> list[str]:
    names = set()
    for folder in folders:
        for pattern in _UNDER_WAY:
            for file in folder.glob(pattern):
                names |= {found.decode("ascii") for found in _ID.findall(file.read_bytes())}
    if not names:
        return []
    listed = "".join(f"{name}\n" for name in sorted(names)).encode()
    answer = git.run(f"--git-dir={git.toplevel}", "cat-file", "--batch-check", input=listed).decode("ascii")
    return [row.split(" ")[0] for row in answer.splitlines() if row.endswith(tuple("0123456789"))]
