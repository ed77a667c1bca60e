"""Pointers in commits: at one, at the tips of branches and tags, and what one pointer was before. Nothing is checked out.

What a pointer says is read in :mod:`datavc.formats.pointer`, not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datavc.errors import NotFoundError
from datavc.formats.paths import show
from datavc.git.pointerlog import read_blobs
from datavc.git.program import Git

_SUFFIX = b".datavc"
_BLOB = b"100644", b"100755"


class CommittedPointer(NamedTuple):
    """A pointer's path relative to the top folder, and its bytes."""

    path: bytes
    content: bytes


def tips(git: Git, *, branches: bool, tags: bool) -> list[str]:
    """The commits at which local branches and tags stand, the oldest first, each once."""
    places = [*(["refs/heads"] if branches else []), *(["refs/tags"] if tags else [])]
    if not places:
        return []
    listed = git.run(
        "for-each-ref",
        "--sort=creatordate",
        "--format=%(objecttype) %(*objecttype) %(objectname) %(*objectname)",
        *places,
    )
    found = []
    for line in listed.decode("ascii").splitlines():
        kind, inner, name, target = line.split(" ")
        if kind == "commit":
            found.append(name)
        elif inner == "commit":
            found.append(target)
    return list(dict.fromkeys(found))


def pointers_at(git: Git, commit: str) -> list[CommittedPointer]:
    """Every pointer in ``commit``, by path.

    Raises:
        NotFoundError: git lacks one of them.
    """
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit)
    names: list[tuple[bytes, str]] = []
    for row in listed.split(b"\0")[:-1]:
        about, _, path = row.partition(b"\t")
        mode, _, blob = about.split(b" ")
        if mode in _BLOB and path.endswith(_SUFFIX) and path.rpartition(b"/")[2] != _SUFFIX:
            names.append((path, blob.decode("ascii")))
    contents = read_blobs(git, [blob for _, blob in names])
    lost = [path for path, blob in names if blob not in contents]
    if lost:
        raise NotFoundError(f"git lacks the pointer {show(lost[0])} of commit {commit[:12]}", "git fsck")
    return sorted(CommittedPointer(path, contents[blob]) for path, blob in names)


def pointer_history(git: Git, path: bytes, limit: int, also: Sequence[str] = ()) -> list[bytes]:
    """What the pointer at ``path`` was in the last ``limit`` commits that changed it, the newest first.

    They are those of HEAD, and of the commits ``also``, such as the one that is being merged.
    """
    listed = git.run(
        "--literal-pathspecs",
        "log",
        f"--max-count={limit}",
        "--format=",
        "--raw",
        "--no-abbrev",
        "--no-renames",
        "-z",
        *(("HEAD", *also) if also else ()),
        "--",
        path,
        accept=(0, 128),  # 128: there is no commit yet
    )
    rows = [
        row.lstrip(b"\n").split(b" ") for row in listed.split(b"\0") if row.lstrip(b"\n").startswith(b":")
    ]
    blobs = [row[3].decode("ascii") for row in rows if len(row) == 5 and row[1] in _BLOB]
    contents = read_blobs(git, blobs)
    return [contents[blob] for blob in dict.fromkeys(blobs) if blob in contents]


def subject(git: Git, commit: str) -> str:
    """The first line of a commit's message, fit to be shown."""
    return show(git.run("log", "-1", "--format=%s", commit, "--").rstrip(b"\n"))


def files_at(git: Git, commit: str) -> Iterator[tuple[bytes, bytes]]:
    """Every file of a commit, with its content; of a symlink its target. Submodules are left out."""
    listed = git.run("ls-tree", "-r", "-z", "--full-tree", commit)
    rows = [row.partition(b"\t") for row in listed.split(b"\0") if row]
    blobs = {path: head.split()[2].decode() for head, _, path in rows if head.split()[1] == b"blob"}
    contents = read_blobs(git, blobs.values())
    return ((path, contents[name]) for path, name in blobs.items() if name in contents)
