"""Every pointer that git still holds, wherever that is, as bytes: for whoever must not delete what one of them names.

What is gathered is rather too much than too little: all refs (of trees and of pointers too), HEADs and reflogs of all
worktrees, the stash, each worktree's index with what a merge left there, settled or not, and whatever the notes of a merge,
rebase, bisection or sequence of picks name.
"""

from __future__ import annotations

import re
from pathlib import Path

from datavc.errors import NotFoundError
from datavc.git.pointerlog import read_blobs
from datavc.git.program import Git

_SUFFIX = b".datavc"
_FILES = (b"100644", b"100755")
_WORD = re.compile(rb"\b[0-9a-f]{7,64}\b")
# Relative to a worktree's git folder: files that name what no ref need lead to, in full or as it was typed.
_UNDER_WAY = (
    "*_HEAD",
    "MERGE_AUTOSTASH",
    "AUTO_MERGE",
    "BISECT_*",
    "rebase-merge/*",
    "rebase-apply/*",
    "sequencer/*",
)
# With reftable these are no files, and only git can read them.
_PSEUDO_REFS = (
    "HEAD ORIG_HEAD CHERRY_PICK_HEAD REVERT_HEAD REBASE_HEAD BISECT_HEAD BISECT_EXPECTED_REV AUTO_MERGE"
)
# Refs that each worktree has for itself: git log --all sees those of the main one alone.
_OWN_REFS = ("refs/bisect", "refs/worktree", "refs/rewritten")
_LONGEST_NOTE = 16 << 20
# What is longer is no pointer.
_LONGEST_BLOB = 64 << 10
_GREP = (
    "--no-replace-objects",
    "grep",
    "--no-color",
    "--no-recurse-submodules",
    "-haE",
    "(xxh128|blake3|sha256):[0-9a-f]{32}",
)
_AT_ONCE = 500
# These name another repository than the one that is asked for.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE")


def every_pointer(common: Path) -> list[bytes]:
    """The bytes of every pointer that the repository with the shared git folder ``common`` holds anywhere.

    Raises:
        NotFoundError: git lacks one of them. DatavcError: git fails, so nothing is known.
    """
    git = Git(common, without=_ELSEWHERE)
    named = _named(git, commits_of_refs=False)
    blobs = named.blobs | _logged(git, sorted(named.commits))
    for tree in named.trees:
        blobs |= _listed(git.run(f"--git-dir={common}", "ls-tree", "-r", "-z", tree), place=2)
    return _contents(git, blobs)


def tip_pointers(common: Path) -> list[bytes]:
    """As :func:`every_pointer`, without what history and reflogs alone lead to: lines of pointers, or whole ones.

    What is left is named by a ref itself, an index, a HEAD, a stash, or by an operation that is under way.
    """
    git = Git(common, without=_ELSEWHERE)
    named = _named(git, commits_of_refs=True)
    stashes = git.run(
        f"--git-dir={common}", "log", "--walk-reflogs", "--format=%H %P", "refs/stash", "--", accept=(0, 128)
    )
    tips = sorted(named.commits | named.trees | set(stashes.decode("ascii").split()))
    lines = [
        git.run(
            f"--git-dir={common}", *_GREP, *tips[start : start + _AT_ONCE], "--", "*.datavc", accept=(0, 1)
        )
        for start in range(0, len(tips), _AT_ONCE)
    ]
    return lines + _contents(git, named.blobs)


def has_all_history(common: Path) -> bool:
    """Whether the repository has all of its history: it is not shallow, and no graft hides a part of it."""
    return not (common / "shallow").exists() and not (common / "info/grafts").exists()


def _folders(common: Path) -> list[Path]:
    """The git folders of all worktrees, the main one first."""
    return [common, *sorted(path for path in (common / "worktrees").glob("*") if path.is_dir())]


def _named(git: Git, *, commits_of_refs: bool) -> _Named:
    """What is named besides history, and the pointers in indexes."""
    named = _Named()
    for folder in _folders(git.toplevel):
        is_main = folder == git.toplevel
        words = _words_under_way(folder)
        words += _refs(git, folder, () if is_main else _OWN_REFS, commits=commits_of_refs or not is_main)
        named.look_up(git, folder, words)
        for kind in ("--stage", "--resolve-undo"):
            named.blobs |= _listed(git.run(f"--git-dir={folder}", "ls-files", kind, "-z"), place=1)
    return named


def _contents(git: Git, blobs: set[str]) -> list[bytes]:
    contents = read_blobs(git, sorted(blobs))
    lost = blobs - contents.keys()
    if lost:
        raise NotFoundError(f"git lacks the pointer {min(lost)[:12]} in {git.toplevel}", "git fsck")
    return list(contents.values())


class _Named:
    """Objects that something names: commits, and trees and blobs that no commit need lead to."""

    def __init__(self) -> None:
        self.commits: set[str] = set()
        self.trees: set[str] = set()
        self.blobs: set[str] = set()

    def look_up(self, git: Git, folder: Path, words: list[str]) -> None:
        """Take what of these words is an object, as the worktree with the git folder ``folder`` understands them."""
        asked = "".join(f"{word}^{{}}\n" for word in dict.fromkeys([*_PSEUDO_REFS.split(), *words]))
        answer = git.run(f"--git-dir={folder}", "cat-file", "--batch-check", input=asked.encode())
        for row in answer.decode("utf-8", "replace").splitlines():
            name, _, about = row.partition(" ")
            kind, _, size = about.partition(" ")
            if kind == "commit":
                self.commits.add(name)
            elif kind == "tree":
                self.trees.add(name)
            elif kind == "blob" and size.isdigit() and int(size) <= _LONGEST_BLOB:
                self.blobs.add(name)


def _refs(git: Git, folder: Path, below: tuple[str, ...], *, commits: bool) -> list[str]:
    """What the refs ``below`` some names name: all of it, or with ``commits`` false what ``git log --all`` passes over."""
    listed = git.run(
        f"--git-dir={folder}", "for-each-ref", "--format=%(objecttype) %(objectname)", *below
    ).decode("ascii")
    rows = [row.split(" ") for row in listed.splitlines()]
    return [name for kind, name in rows if commits or kind != "commit"]


def _words_under_way(folder: Path) -> list[str]:
    """Whatever may be the name of an object in the notes of a merge, rebase, bisection and so on."""
    words: set[bytes] = set()
    for pattern in _UNDER_WAY:
        for file in folder.glob(pattern):
            if file.is_file() and file.stat().st_size <= _LONGEST_NOTE:
                words.update(_WORD.findall(file.read_bytes()))
    return sorted(word.decode("ascii") for word in words)


def _logged(git: Git, commits: list[str]) -> set[str]:
    """Pointers of all commits: with full history and each parent of a merge, none that was ever there is left out."""
    listed = git.run(
        # What a replacement hides is there again when that is deleted.
        "--no-replace-objects",
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


def _listed(listed: bytes, *, place: int) -> set[str]:
    """Pointers among the rows of a tree or an index, whose blob is the word at that ``place``."""
    found = set()
    for row in listed.split(b"\0")[:-1]:
        about, _, path = row.partition(b"\t")
        words = about.split(b" ")
        if words[0] in _FILES and path.endswith(_SUFFIX):
            found.add(words[place].decode("ascii"))
    return found
