"""Names of revisions: which commit a user's word names, and where it names none or two, what to type instead.

Also the datasets' own tags: the git tag ``PATH@NAME``, in which bytes that no tag may have are written ``%XX``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from datavc.errors import NotFoundError, UsageError
from datavc.formats.paths import shell_word, show
from datavc.git.program import Git

# What of git's @{...} says the same in every clone at the same commit: not the reflog.
_NO_REFLOG = re.compile(r"@\{(u|upstream|push|-\d+)\}", re.IGNORECASE)
_STEPS = re.compile(r"([~^])(\d*)")
_BASE = re.compile(r"^(.*?)((?:[~^]\d*)*)$", re.DOTALL)
# As git check-ref-format has it; % because it starts our own spelling.
_NOT_IN_TAGS = re.compile(
    rb"[\x00-\x20\x7f~^:?*\[\\%]|^-|\.(?=\.)|(?<=/)\.|^\.|@(?=\{)|\.(?=lock(?:/|$))|\.(?=/|$)"
)
_HEX = re.compile(rb"%([0-9A-Fa-f]{2})")
_TAGS = "refs/tags/"


class DatasetTag(NamedTuple):
    """The git tag ``PATH@NAME``: the commit it names, and when it was made (seconds since 1970)."""

    path: bytes
    name: str
    commit: str
    when: int


def resolve(git: Git, rev: str) -> str:
    """The commit that ``rev`` names.

    Raises:
        UsageError: it names none, or both a branch and a tag, or what the reflog of this clone alone knows.
        NotFoundError: this clone is shallow and lacks it.
    """
    if "@{" in _NO_REFLOG.sub("", rev):
        raise UsageError(
            f"{rev!r} asks this clone's reflog, which says something else in every clone",
            "for a time: --before DATE; for a commit: git reflog shows its id",
        )
    found = _commit(git, rev)
    if found is None:
        raise _unknown(git, rev)
    base = _base(rev)
    if not rev.startswith(("refs/", "heads/", "tags/", "remotes/", ":", "-")) and _is_name(base):
        _refuse_two_refs(git, rev, base)
    return found


def names_commit(git: Git, rev: str) -> bool:
    """Whether git takes ``rev`` for a commit."""
    return _commit(git, rev) is not None


def commit_before(git: Git, seconds: int, said: str) -> str:
    """The last first-parent commit of HEAD that was committed at that time or earlier; ``said`` is how it was typed.

    Raises:
        NotFoundError: there is none, or this clone is too shallow to have it.
    """
    listed = git.run(
        "rev-list", "-1", "--first-parent", f"--min-age={seconds}", "HEAD", "--", accept=(0, 128)
    )
    if listed:
        return listed.decode("ascii").strip()
    if is_shallow(git):
        raise NotFoundError(
            f"the history of this shallow clone does not reach back to {said}",
            f"git fetch --shallow-since={shell_word(said.encode())}",
        )
    raise NotFoundError(f"no commit is as old as {said}", "git log --first-parent --format='%h %ci %s'")


def approximate_time(git: Git, text: str) -> int:
    """Seconds since 1970 of what git understands, such as ``2 weeks ago``. It takes anything, so ask for no nonsense."""
    answer = git.run("rev-parse", f"--before={text}")
    return int(answer.strip().partition(b"=")[2])


def merge_base(git: Git, one: str, other: str) -> str | None:
    """The commit from which both have come, if there is one."""
    found = git.run("merge-base", one, other, accept=(0, 1)).decode("ascii").split()
    return found[0] if found else None


def is_shallow(git: Git) -> bool:
    """Whether this clone lacks a part of the history."""
    return git.run("rev-parse", "--is-shallow-repository").strip() == b"true"


def known_blobs(git: Git, names: list[str]) -> set[str]:
    """Which of these blobs git has."""
    if not names:
        return set()
    answer = git.run("cat-file", "--batch-check", input="".join(f"{name}\n" for name in names).encode())
    rows = [line.split(" ") for line in answer.decode("ascii").splitlines()]
    return {row[0] for row in rows if len(row) == 3}


def blob_name(data: bytes, commit: str) -> str:
    """The name that git gives to a blob with these bytes, in a repository where ``commit`` is the name of a commit."""
    import hashlib

    algorithm = "sha1" if len(commit) == 40 else "sha256"
    return hashlib.new(algorithm, b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def dataset_tag(path: bytes, name: str) -> bytes:
    """The short name of the git tag of the dataset at ``path``.

    Raises:
        UsageError: ``name`` is no name for a tag.
    """
    if not name or any(letter in name for letter in "@/:~^?*[\\% ") or not name.isprintable() or ".." in name:
        raise UsageError(
            f"{name!r} is no name for a tag", "use letters, digits, dots, dashes and underscores"
        )
    if name.startswith((".", "-")) or name.endswith((".", ".lock")):
        raise UsageError(f"{name!r} is no name for a tag", "begin and end it with a letter or a digit")
    return _NOT_IN_TAGS.sub(lambda match: b"%%%02X" % match[0][0], path) + b"@" + name.encode()


def parse_dataset_tag(tag: bytes) -> tuple[bytes, str] | None:
    """The dataset's path and the name that :func:`dataset_tag` made ``tag`` of; None where it is no tag of a dataset."""
    path, at, name = tag.rpartition(b"@")
    if not (at and path and name) or b"/" in name:
        return None
    return _HEX.sub(lambda match: bytes.fromhex(match[1].decode()), path), name.decode("utf-8", "replace")


def dataset_tags(git: Git) -> list[DatasetTag]:
    """Every tag that is called ``PATH@NAME`` and names a commit, by path, then by age."""
    form = "%(objecttype) %(*objecttype) %(objectname) %(*objectname) %(creatordate:unix) %(refname)"
    listed = git.run("for-each-ref", f"--format={form}", "refs/tags")
    found = []
    for line in listed.split(b"\n")[:-1]:
        kind, inner, own, target, when, ref = line.split(b" ", 5)
        parsed = parse_dataset_tag(ref.removeprefix(_TAGS.encode()))
        if parsed is not None and b"commit" in (kind, inner):
            commit = (own if kind == b"commit" else target).decode("ascii")
            found.append(DatasetTag(*parsed, commit, int(when or 0)))
    return sorted(found, key=lambda tag: (tag.path, tag.when, tag.name))


def tagged_commit(git: Git, tag: bytes) -> str | None:
    """The commit of the tag of that short name, if there is one."""
    return _commit(git, b"refs/tags/" + tag)


def make_tag(git: Git, tag: bytes, commit: str, *, message: str | None = None, force: bool = False) -> None:
    """Make a tag: annotated where there is a message.

    Raises:
        DatavcError: git refuses it.
    """
    options = [*(["--force"] if force else []), *(["-m", message] if message else [])]
    git.run("tag", *options, "--", tag, commit)


def remote_for_tags(git: Git) -> str | None:
    """The git remote that a tag would be pushed to: that of the current branch, else ``origin``, else the only one."""
    names = git.run("remote").decode("utf-8", "surrogateescape").split()
    branch = git.run("rev-parse", "--abbrev-ref", "HEAD", accept=(0, 128)).decode(errors="replace").strip()
    own = git.run("config", "--get", f"branch.{branch}.remote", accept=(0, 1)) if branch else b""
    chosen = own.decode("utf-8", "surrogateescape").strip()
    if chosen in names:
        return chosen
    if "origin" in names:
        return "origin"
    return names[0] if len(names) == 1 else None


def _commit(git: Git, rev: str | bytes) -> str | None:
    word = rev if isinstance(rev, bytes) else rev.encode("utf-8", "surrogateescape")
    if not word or b"\0" in word or b"\n" in word:
        return None
    # ":/text" is the youngest commit whose message has the text, to the end of the word.
    asked = word if word.startswith(b":/") else word + b"^{commit}"
    found = git.run("rev-parse", "--verify", "-q", "--end-of-options", asked, accept=(0, 1, 128))
    return found.decode("ascii").strip() or None


def _base(rev: str) -> str:
    match = _BASE.match(rev)
    return match[1] if match is not None else rev


def _is_name(word: str) -> bool:
    return bool(word) and not any(letter in word for letter in "{}:*?[ \\") and word not in ("HEAD", "@")


def _refuse_two_refs(git: Git, rev: str, base: str) -> None:
    """A branch and a tag of one name, at different commits: git would take the tag."""
    listed = git.run(
        "for-each-ref",
        "--format=%(objectname) %(*objectname) %(refname)",
        f"refs/heads/{base}",
        f"refs/tags/{base}",
    )
    rows = [line.split(" ", 2) for line in listed.decode("utf-8", "surrogateescape").splitlines()]
    exact = [
        (target or own, ref)
        for own, target, ref in rows
        if ref in (f"refs/heads/{base}", f"refs/tags/{base}")
    ]
    if len({commit for commit, _ in exact}) > 1:
        rest = rev[len(base) :]
        raise UsageError(
            f"{base!r} is both a branch and a tag", f"type heads/{base}{rest} or tags/{base}{rest}"
        )


def _unknown(git: Git, rev: str) -> UsageError | NotFoundError:
    shown = show(rev.encode("utf-8", "surrogateescape"))
    base = _base(rev)
    steps = _generations(rev[len(base) :])
    shallow = is_shallow(git)
    if shallow and steps and (_commit(git, base) is not None):
        depth = f"--deepen={steps}" if re.fullmatch(r"[0-9a-f]{7,}", base) else f"--depth={steps + 1}"
        return NotFoundError(
            f"{shown} is beyond the history of this shallow clone",
            f"git fetch {depth} brings it, then try again",
        )
    if shallow:
        return NotFoundError(
            f"{shown} is no commit, branch or tag of this shallow clone",
            "if the server has it: git fetch --unshallow --tags",
        )
    if re.fullmatch(r"[0-9a-f]{4,39}", rev) and _is_ambiguous(git, rev):
        return UsageError(f"the commit id {shown} is ambiguous", "type more of its digits")
    if steps and _commit(git, base) is not None:
        return UsageError(f"{show(base.encode())} has no such ancestor: {shown}", f"git log --oneline {base}")
    return UsageError(f"{shown!r} is no commit, branch or tag of this repository", _nearest(git, rev))


def _generations(steps: str) -> int:
    """How many commits lie between a commit and what ``~3^2`` leads to."""
    return sum(
        int(number or 1) if sign == "~" else int(number != "0") for sign, number in _STEPS.findall(steps)
    )


def _is_ambiguous(git: Git, rev: str) -> bool:
    listed = git.run("rev-parse", f"--disambiguate={rev}").split()
    return len(listed) > 1


def _nearest(git: Git, rev: str) -> str:
    from difflib import get_close_matches

    names = git.run("for-each-ref", "--format=%(refname:short)").decode("utf-8", "replace").splitlines()
    near = get_close_matches(rev, names, n=1, cutoff=0.7)
    if near:
        return f"the nearest is {near[0]}; git branch --all and git tag list them"
    return "git branch --all and git tag list them; git fetch --tags brings what is new"
