"""The code that a run ran: every file of the workspace that git tracks or would track, as it is now, committed or not.

Nothing is written into the user's git folder: the files are listed by git and read from the disk. Without git, all small
files of the workspace stand for the code.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from datavc.errors import DatavcError
from datavc.git.program import Git

LARGEST_BYTES = 10 << 20
"""A larger file is no code: it is named, and not kept."""
_LARGEST_WITHOUT_GIT = 1 << 20
_MOST_FILES, _MOST_BYTES = 20_000, 256 << 20
_PRIVATE = (b".datavc", b".git")
_COMPILED = b"__pycache__"
Redact = Callable[[bytes, bytes], bytes]
"""Takes secrets out of the content of the file at a path."""


@dataclass(slots=True)
class Code:
    """The files by path, as kind (a tree's word) and content; ``left_out`` are paths with the reason."""

    files: dict[bytes, tuple[str, bytes]] = field(default_factory=dict)
    left_out: list[tuple[bytes, str]] = field(default_factory=list)
    redacted: list[bytes] = field(default_factory=list)


def read_code(root: bytes, git: Git | None, datasets: Iterable[bytes], redact: Redact) -> Code:
    """The code below the folder ``root``, without the ``datasets``, and without what ``redact`` takes out."""
    code = Code()
    taken = tuple(path + b"/" for path in datasets)
    lone = set(datasets)
    limit = LARGEST_BYTES if git is not None else _LARGEST_WITHOUT_GIT
    room = _MOST_BYTES
    for number, path in enumerate(_paths(root, git, lone)):
        if path in lone or path.startswith(taken):
            continue
        if number >= _MOST_FILES:
            code.left_out.append((path, f"and more: only {_MOST_FILES:,} files are kept"))
            break
        _take(code, root, path, min(limit, room), redact)
        room -= len(code.files[path][1]) if path in code.files else 0
    return code


def _take(code: Code, root: bytes, path: bytes, limit: int, redact: Redact) -> None:
    full = root + b"/" + path
    try:
        seen = os.lstat(full)
        if stat.S_ISLNK(seen.st_mode):
            code.files[path] = ("symlink", os.readlink(full))
            return
        if stat.S_ISDIR(seen.st_mode):
            code.left_out.append((path, "is a repository of its own"))
            return
        if not stat.S_ISREG(seen.st_mode):
            return
        if seen.st_size > limit:
            code.left_out.append((path, f"has {seen.st_size} bytes"))
            return
        with open(full, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return
    except OSError as error:
        code.left_out.append((path, error.strerror or str(error)))
        return
    clean = redact(content, path)
    if clean != content:
        code.redacted.append(path)
    code.files[path] = ("executable" if seen.st_mode & stat.S_IXUSR else "file", clean)


def _paths(root: bytes, git: Git | None, datasets: set[bytes]) -> Iterator[bytes]:
    if git is not None:
        listed = git.run("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        # What Python compiled is no code, although nobody told git to ignore it.
        paths = (path.rstrip(b"/") for path in sorted(set(listed.split(b"\0"))))
        yield from (path for path in paths if path and _COMPILED not in path.split(b"/"))
        return
    for folder, names, files in os.walk(root):
        inner = folder[len(root) + 1 :]
        prefix = inner + b"/" if inner else b""
        names[:] = sorted(
            name
            for name in names
            if name not in _PRIVATE and name != _COMPILED and prefix + name not in datasets
        )
        yield from (prefix + name for name in sorted(files))


def git_state(git: Git | None, redact: Callable[[str], str]) -> dict[str, object]:
    """Commit, branch and remote URL, without credentials; what git does not know is null."""
    if git is None:
        return {"vcs": "none", "commit": None, "branch": None, "url": None, "dirty": None}

    def ask(*words: str) -> str:
        try:
            return git.run(*words).decode("utf-8", "replace").strip()
        except DatavcError:
            return ""

    # NAME, tab, URL, " (fetch)", and in partial clones the filter.
    remotes = [line.partition(" (fetch)")[0].partition("\t") for line in ask("remote", "-v").splitlines()]
    urls = {name: url for name, _, url in remotes if not url.endswith(" (push)")}
    url = urls.get("origin") or next(iter(urls.values()), "")
    lines = ask("status", "--porcelain=v2", "--branch", "--ignore-submodules=none").splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit, branch = heads.get("branch.oid", "(initial)"), heads.get("branch.head", "(detached)")
    return {
        "vcs": "git",
        "commit": None if commit == "(initial)" else commit,
        "branch": None if branch == "(detached)" else branch,
        "url": redact(url) or None,
        "dirty": any(not line.startswith("#") for line in lines),
    }
