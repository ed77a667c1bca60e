"""Which pointers git knows, which of them await a commit, and what git tracks or ignores.

Paths are bytes relative to the top folder. What a pointer says is read in :mod:`datavc.formats.pointer`, not here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from datavc.git.program import Git

SUFFIX = b".datavc"

# Reasons why a pointer is not, or not as it lies on disk, in the last commit.
UNTRACKED = "untracked"  # git does not know it: git add, then commit
CHANGED = "changed"  # git has another content staged or committed: git add, then commit
STAGED = "staged"  # lies in the index as it lies on disk: commit
REMOVED = "removed"  # in the index or the last commit, but not on disk
UNMERGED = "unmerged"  # a merge has left it with conflicts

POINTERS = b":(glob)**/*" + SUFFIX
_STATUS = (
    "status",
    "--porcelain=v1",
    "-z",
    "--untracked-files=all",
    "--no-renames",  # the pointer of a moved dataset is one removed and one new, and needs no content compared
    "--ignore-submodules=all",
    "--",
    POINTERS,
)
# Far below the 128 KiB that Linux allows one argument, and the 256 KiB (macOS, environment included) for all.
_BATCH_BYTES = 64 * 1024


class PointerFile(NamedTuple):
    """A pointer in git's index (``tracked``), on disk (``present``), or both.

    Tracked and not present is removed by the user, or outside a sparse checkout, which :func:`uncommitted` leaves out.
    """

    path: bytes
    tracked: bool
    present: bool


class PointerOverview(NamedTuple):
    """What ``status`` needs to know of git."""

    pointers: list[PointerFile]
    uncommitted: dict[bytes, str]


class IgnoreRule(NamedTuple):
    """The line that makes git ignore a path; ``file`` as git shows it, relative to the top folder or absolute."""

    file: bytes
    line: int
    pattern: bytes


def list_pointers(git: Git) -> list[PointerFile]:
    """All pointers that git tracks or would track, sorted by path; the ignored ones are left out."""
    listed = git.run("ls-files", "-z", "-t", "-c", "-o", "--exclude-standard", "--", POINTERS)
    return _pointer_files(git, _parse_listed(listed))


def uncommitted(git: Git) -> dict[bytes, str]:
    """Pointers that differ from the last commit or are not in it, each with one of the reasons above."""
    return _parse_status(git.run(*_STATUS))


def pointer_overview(git: Git) -> PointerOverview:
    """:func:`list_pointers` and :func:`uncommitted` at the price of one: both processes run at once.

    ``git status`` walks the folders for what is untracked, so the other one has only the index to read.
    """
    with git.start("ls-files", "-z", "-t", "-c", "--", POINTERS) as index, git.start(*_STATUS) as status:
        tracked = _parse_listed(index.finish())
        reasons = _parse_status(status.finish())
    untracked = {path: False for path, reason in reasons.items() if reason == UNTRACKED}
    return PointerOverview(_pointer_files(git, untracked | tracked), reasons)


def tracked_below(git: Git, paths: Iterable[bytes]) -> list[bytes]:
    """The files git tracks among ``paths``, or anywhere below those that are folders; sorted."""
    found: set[bytes] = set()
    for batch in _batches(path.rstrip(b"/") or b"." for path in paths):
        listed = git.run("--literal-pathspecs", "ls-files", "-z", "-c", "--", *batch)
        found.update(_split(listed))
    return sorted(found)


def ignored_by(git: Git, path: bytes) -> IgnoreRule | None:
    """The rule by which git ignores ``path``; None if it does not, or already tracks it.

    Raises:
        UsageError: ``path`` is in a submodule, or behind a symlink.
    """
    return ignored_among(git, [path]).get(path)


def ignored_among(git: Git, paths: Iterable[bytes]) -> dict[bytes, IgnoreRule]:
    """Those of ``paths`` that git ignores, with the rules, as :func:`ignored_by` says of one. Raises UsageError."""
    asked = b"".join(b"./" + path + b"\0" for path in paths)
    # The index is asked as well (no --no-index): a pointer once added by git add -f stays known to git.
    fields = _split(git.run("check-ignore", "-v", "-z", "--stdin", input=asked, accept=(0, 1)))
    rows = zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=True)
    # With -v git also shows the rule by which a path is not ignored.
    return {
        path.removeprefix(b"./"): IgnoreRule(file, int(line), pattern)
        for file, line, pattern, path in rows
        if not pattern.startswith(b"!")
    }


def stage(git: Git, paths: Iterable[bytes]) -> None:
    """Put the files at ``paths`` into git's index as they are on disk; those that are gone leave it.

    Raises:
        Locked: another git command is changing the index.
        DatavcError: git ignores one of the paths, or refuses it for another reason.
    """
    there: list[bytes] = []
    gone: list[bytes] = []
    for path in paths:
        (there if os.path.lexists(_on_disk(git, path)) else gone).append(path)
    if there:
        _on_literal_paths(git, ("add",), there)
    if gone:
        _on_literal_paths(git, ("rm", "--cached", "--quiet", "--ignore-unmatch"), gone)


def _on_literal_paths(git: Git, command: Sequence[str], paths: list[bytes]) -> None:
    listed = b"".join(path + b"\0" for path in paths)
    git.run("--literal-pathspecs", *command, "--pathspec-from-file=-", "--pathspec-file-nul", input=listed)


def _parse_listed(listed: bytes) -> dict[bytes, bool]:
    """Path to whether it is tracked, of ``ls-files -t``; an unmerged path is listed up to three times."""
    return {row[2:]: row[:1] != b"?" for row in _split(listed) if _is_pointer(row[2:])}


def _parse_status(listed: bytes) -> dict[bytes, str]:
    reasons: dict[bytes, str] = {}
    for row in _split(listed):
        code, path = row[:2], row[3:]
        # A pointer taken out of the index but left on disk comes twice: as removed, then as untracked, which holds.
        if _is_pointer(path):
            reasons[path] = _reason(code)
    return reasons


def _reason(code: bytes) -> str:
    """The meaning of git's two letters: index against last commit, disk against index."""
    if code == b"??":
        return UNTRACKED
    if b"U" in code or code in (b"AA", b"DD"):
        return UNMERGED
    if code[1:] == b"D" or code == b"D ":
        return REMOVED
    return STAGED if code[1:] == b" " else CHANGED


def _pointer_files(git: Git, tracked_by_path: dict[bytes, bool]) -> list[PointerFile]:
    return [
        PointerFile(path, tracked, os.path.lexists(_on_disk(git, path)))
        for path, tracked in sorted(tracked_by_path.items())
    ]


def _is_pointer(path: bytes) -> bool:
    """Leaves out a nested repository (``name.datavc/``) and what has no name before the suffix."""
    return path.endswith(SUFFIX) and not path.endswith(b"/" + SUFFIX) and path != SUFFIX


def _on_disk(git: Git, path: bytes) -> bytes:
    return os.path.join(os.fsencode(git.toplevel), path)


def _split(listed: bytes) -> list[bytes]:
    return listed.split(b"\0")[:-1]


def _batches(paths: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    length = 0
    for path in paths:
        if batch and length + len(path) > _BATCH_BYTES:
            yield batch
            batch, length = [], 0
        batch.append(path)
        length += len(path) + 16  # the argument's own pointer and terminator
    if batch:
        yield batch
