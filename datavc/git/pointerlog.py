"""What commits did to pointers, from one ``git log``, and the pointers' bytes, from one ``git cat-file --batch``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from datavc.git.program import Git

_POINTERS = b":(glob)**/*.datavc"
_FIELDS = "%H%x00%P%x00%ct%x00%an%x00%ae%x00%s"
_LOG = (
    "-z",
    "--raw",
    "-c",
    "--no-abbrev",
    "--no-renames",
    "--no-color",
    "--no-show-signature",
    "--no-notes",
    "--encoding=UTF-8",
    f"--format={_FIELDS}",
)
_ONE = ("-r", "-z", "--root", "-c", "--no-abbrev", "--no-renames")
# As git itself fetches what a partial clone lacks.
_FETCH = (
    "-c",
    "fetch.negotiationAlgorithm=noop",
    "fetch",
    "--no-tags",
    "--no-write-fetch-head",
    "--recurse-submodules=no",
    "--filter=blob:none",
    "--quiet",
    "--stdin",
)
_FILES = (b"100644", b"100755")


class LoggedCommit(NamedTuple):
    """A commit: ``when`` is the committer's date in seconds since 1970, ``author`` and ``subject`` are text."""

    id: str
    parents: tuple[str, ...]
    when: int
    author: str
    email: str
    subject: str


class PointerChange(NamedTuple):
    """What a commit did to the pointer at ``path``: which blob it is now (None: gone), and was in the first parent."""

    path: bytes
    blob: str | None
    old: str | None


def pointer_log(
    git: Git,
    start: Iterable[str] = ("HEAD",),
    path: bytes | None = None,
    *,
    everywhere: bool = False,
    limit: int | None = None,
) -> Iterator[tuple[LoggedCommit, list[PointerChange]]]:
    """The commits from ``start`` on that changed pointers (or the one at ``path``), the newest first.

    A merge is among them where it made what none of its parents has. ``everywhere`` starts at all refs; ``limit`` is of
    commits. Nothing comes where there is no commit yet.
    """
    places = ["--all"] if everywhere else list(start)
    spec = b":(top,literal)" + path if path is not None else _POINTERS
    accept = (0, 128) if places == ["HEAD"] else (0,)  # 128: there is no commit yet
    most = [f"--max-count={limit}"] if limit is not None else []
    listed = git.run("log", *_LOG, *most, *places, "--", spec, accept=accept)
    return _parse(listed)


def changed_pointers(git: Git, commits: Iterable[str]) -> dict[str, list[PointerChange]]:
    """What each of these commits did to pointers, all asked at once."""
    asked = "".join(f"{commit}\n" for commit in commits).encode("ascii")
    if not asked:
        return {}
    found: dict[str, list[PointerChange]] = {}
    parts = iter(git.run("diff-tree", "--stdin", *_ONE, "--", _POINTERS, input=asked).split(b"\0")[:-1])
    changes: list[PointerChange] = []
    for part in parts:
        row = part.lstrip(b"\n")
        if row.startswith(b":"):
            changes.append(_change(row, next(parts)))
        elif row:
            changes = found.setdefault(row.decode("ascii"), [])
    return found


def pointers_between(git: Git, old: str, new: str) -> list[PointerChange]:
    """How the pointers of commit ``new`` differ from those of ``old``."""
    options = ("-r", "-z", "--no-abbrev", "--no-renames")
    listed = git.run("diff-tree", *options, old, new, "--", _POINTERS)
    return _parse_raw(listed)


def staged_pointers(git: Git) -> list[PointerChange]:
    """How the pointers in git's index differ from those of the last commit, if there is one."""
    listed = git.run(
        "diff",
        "--cached",
        "--raw",
        "-z",
        "--no-abbrev",
        "--no-renames",
        "--no-ext-diff",
        "--",
        _POINTERS,
    )
    return _parse_raw(listed)


def unsent_pointers(git: Git, remote: str, tips: list[str], there: list[str]) -> dict[tuple[bytes, str], str]:
    """Each pointer, as path and blob, that ``git push`` of ``tips`` will send for the first time, and a commit that has it.

    What the git remote has is known from the branches that are followed here, and from the commits ``there``.
    """
    spelled = "".join(f"{commit}\n" for commit in there).encode()
    answer = git.run("cat-file", "--batch-check", input=spelled).decode("ascii", "replace") if there else ""
    known = [line.split(" ")[0] for line in answer.splitlines() if not line.endswith(" missing")]
    # Simplified history leaves out the side of a merge that did not prevail.
    followed = [f"--remotes={remote}"] if remote else []
    start = ["--full-history", *tips, "--not", *followed, *known]
    found: dict[tuple[bytes, str], str] = {}
    for commit, changes in pointer_log(git, start):
        for change in changes:
            if change.blob is not None:
                found.setdefault((change.path, change.blob), commit.id)
    return found


def read_blobs(git: Git, blobs: Iterable[str]) -> dict[str, bytes]:
    """The bytes of these blobs; those that git lacks are left out."""
    names = list(dict.fromkeys(blobs))
    if not names:
        return {}
    asked = "".join(f"{name}\n" for name in names).encode()
    if len(names) > 1:
        _obtain(git, asked)
    answer = git.run("cat-file", "--batch", "--buffer", input=asked)
    found: dict[str, bytes] = {}
    start = 0
    while start < len(answer):
        end = answer.index(b"\n", start)
        words = answer[start:end].split(b" ")
        start = end + 1
        if len(words) == 3:  # otherwise: NAME missing
            length = int(words[2])
            found[words[0].decode("ascii")] = answer[start : start + length]
            start += length + 1
    return found


def _obtain(git: Git, asked: bytes) -> None:
    """In a partial clone, have git fetch all of these blobs at once: left alone, it would ask the server for each."""
    found = git.run("config", "--get-regexp", r"^remote\..*\.promisor$", accept=(0, 1))
    name = found.partition(b"\n")[0].rpartition(b" ")[0]
    if name:
        remote = name.removeprefix(b"remote.").removesuffix(b".promisor")
        # What fails is said by whoever then lacks a blob.
        git.run(*_FETCH[:3], remote, *_FETCH[3:], input=asked, accept=(0, 1, 128))


def _parse_raw(listed: bytes) -> list[PointerChange]:
    parts = listed.split(b"\0")[:-1]
    changes = [_change(row, path) for row, path in zip(parts[::2], parts[1::2], strict=True)]
    return [change for change in changes if _is_pointer(change.path)]


def _parse(listed: bytes) -> Iterator[tuple[LoggedCommit, list[PointerChange]]]:
    parts = listed.split(b"\0")
    place, end = 0, len(parts)
    while place < end:
        if len(parts[place]) < 40:  # between commits, and at the end
            place += 1
            continue
        words = [part.decode("utf-8", "replace") for part in parts[place : place + 6]]
        commit = LoggedCommit(words[0], tuple(words[1].split()), int(words[2]), words[3], words[4], words[5])
        place += 6
        changes = []
        while place < end and not parts[place].strip():  # one of them comes before the rows of a merge
            place += 1
        while place + 1 < end and parts[place].lstrip(b"\n").startswith(b":"):
            changes.append(_change(parts[place].lstrip(b"\n"), parts[place + 1]))
            place += 2
        yield commit, [change for change in changes if _is_pointer(change.path)]


def _change(row: bytes, path: bytes) -> PointerChange:
    """One line of ``--raw``: ``:MODE MODE BLOB BLOB M``, of a merge with one more colon, mode and blob per parent."""
    parents = len(row) - len(row.lstrip(b":"))
    words = row[parents:].split(b" ")
    modes, blobs = words[: parents + 1], words[parents + 1 : 2 * parents + 2]
    new = blobs[-1].decode("ascii") if modes[-1] in _FILES else None
    old = blobs[0].decode("ascii") if modes[0] in _FILES else None
    return PointerChange(path, new, old)


def _is_pointer(path: bytes) -> bool:
    return path.endswith(b".datavc") and path.rpartition(b"/")[2] != b".datavc"


def blobs_at(git: Git, places: Iterable[tuple[str, bytes]]) -> list[bytes | None]:
    """The bytes of the file at a path of a commit, for each such pair; None where there is none."""
    asked = [commit.encode("ascii") + b":" + path for commit, path in places]
    # A name with a newline would be two questions: what cannot be asked is not there.
    plain = [name for name in asked if b"\n" not in name]
    if not plain:
        return [None] * len(asked)
    listed = git.run("cat-file", "--batch-check", input=b"".join(name + b"\n" for name in plain))
    rows = dict(zip(plain, listed.split(b"\n"), strict=False))
    names = {
        name: row.split(b" ")[0].decode("ascii")
        for name, row in rows.items()
        if row.split(b" ")[1:2] == [b"blob"]
    }
    contents = read_blobs(git, names.values())
    return [contents.get(names.get(name, "")) for name in asked]
