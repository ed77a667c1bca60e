"""What a user writes as a revision, made into a commit and the pointers in it; and ``REV:PATH``, one thing in the past.

A revision is what git takes, a dataset's own tag ``PATH@NAME``, or a digest. Everything else that has revisions asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from datavc.errors import DatavcError, MalformedError, NotFoundError, UsageError
from datavc.formats.digest import ALGORITHMS
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer, format_pointer, parse_pointer
from datavc.formats.root import Root
from datavc.git.program import Git
from datavc.repo import POINTER_SUFFIX, Dataset, Repo
from datavc.workspace.safepath import refused_name

_DIGEST = re.compile(rf"((?:{'|'.join(ALGORITHMS)}):[0-9a-f]{{8,}})(?::(.*))?", re.DOTALL)
_RELATIVE_TIME = re.compile(r"now|today|yesterday|\d+[ .](second|minute|hour|day|week|month|year)s?[ .]ago")


@dataclass(frozen=True, slots=True)
class Revision:
    """What ``text`` names: its ``commit`` (None for a digest that no commit has) and the datasets there, by path.

    ``pointers`` has the bytes of each one's pointer. ``dataset`` is the one that alone is meant by a dataset's own tag or
    by a digest; None where it is all of them.
    """

    text: str
    commit: str | None
    datasets: list[Dataset]
    pointers: dict[bytes, bytes] = field(default_factory=dict)
    dataset: bytes | None = None

    @property
    def meant(self) -> list[Dataset]:
        """The datasets that are meant where no path is named."""
        return [found for found in self.datasets if self.dataset in (None, found.path)]


def resolve_revision(repo: Repo, text: str) -> Revision:
    """The revision that ``text`` names.

    Raises:
        UsageError: it names none, or several; there is no git.
        NotFoundError: a shallow clone lacks it, or no version has that digest.
        MalformedError, ConflictError: a pointer there cannot be read.
    """
    if _DIGEST.fullmatch(text):
        return _by_digest(repo, text)
    commit, dataset = resolve_commit(repo, text)
    return revision_at(repo, commit, text, dataset)


def resolve_commit(repo: Repo, text: str) -> tuple[str, bytes | None]:
    """The commit that ``text`` names, and the dataset where it is a dataset's own tag. Raises as :func:`resolve_revision`."""
    git = _git(repo)
    from datavc.git.revisions import resolve, tagged_commit

    if _DIGEST.fullmatch(text):
        raise UsageError(f"{text} is a digest, and no commit", "name a commit, a branch or a tag")
    if not text:
        raise UsageError("an empty string is no revision", "for the last commit, type HEAD")
    for tag, path in _tags_meant(repo, text):
        commit = tagged_commit(git, tag)
        if commit is not None:
            return commit, path
    return resolve(git, text), None


def revision_at(repo: Repo, commit: str, text: str | None = None, dataset: bytes | None = None) -> Revision:
    """The revision of a ``commit`` whose full id is known. Raises as :func:`resolve_revision`."""
    from datavc.git.history import pointers_at

    datasets, pointers = [], {}
    for found in pointers_at(_git(repo), commit):
        path = found.path.removesuffix(POINTER_SUFFIX)
        datasets.append(Dataset(path, read_past_pointer(repo, found.content, found.path, commit)))
        pointers[path] = found.content
    if dataset is not None and dataset not in pointers:
        raise NotFoundError(
            f"commit {commit[:12]}, which {text} names, has no dataset {show(dataset)}", "datavc tag"
        )
    return Revision(text or commit, commit, datasets, pointers, dataset)


def revision_before(repo: Repo, date: str) -> Revision:
    """The last first-parent commit of HEAD by committer date that is not later than ``date``.

    A date without a time is its midnight; a time without a zone is local.

    Raises:
        UsageError: ``date`` is none. NotFoundError: no commit is that old, or a shallow clone lacks it.
    """
    git = _git(repo)
    from datavc.git.revisions import commit_before

    commit = commit_before(git, _seconds(git, date), date)
    return revision_at(repo, commit, commit[:12])


def read_past_pointer(repo: Repo, content: bytes, path: bytes, commit: str) -> Pointer:
    """The pointer with these bytes at ``path`` of ``commit``; it is as untrusted as one in the workspace.

    Raises:
        MalformedError: it cannot be read, stands for what no dataset may be, or is of another hash than this repo's.
    """
    where = f"{commit[:12]}:{show(path)}"
    for part in path.removesuffix(POINTER_SUFFIX).split(b"/"):
        reason = refused_name(part)
        if reason is not None:
            raise MalformedError(
                f"the pointer {where} stands for what no dataset may be: {show(part)} {reason}"
            )
    pointer = parse_pointer(content, where)
    if pointer.digest.algorithm != repo.algorithm:
        raise MalformedError(
            f"{where} is of {pointer.digest.algorithm}, this repo's hash is {repo.algorithm}"
        )
    return pointer


def common_origin(repo: Repo, one: str, other: str) -> str:
    """The commit from which two revisions have come, by git's merge-base. Raises UsageError where there is none."""
    from datavc.git.revisions import merge_base

    found = merge_base(_git(repo), resolve_commit(repo, one)[0], resolve_commit(repo, other)[0])
    if found is None:
        raise UsageError(f"{one} and {other} have no commit in common", f"datavc diff {one} {other}")
    return found


def is_revision(repo: Repo, word: str) -> bool:
    """Whether ``word`` names a revision. Words that name two, or one that is refused, do: the caller will be told."""
    if _DIGEST.fullmatch(word):
        return not word.count(":") > 1
    if repo.git is None or not word:
        return False
    from datavc.git.revisions import names_commit, tagged_commit

    git = repo.git
    return (
        "@{" in word
        or names_commit(git, word)
        or any(tagged_commit(git, tag) for tag, _ in _tags_meant(repo, word))
    )


def split_word(word: str) -> tuple[str, str] | None:
    """The two halves of ``REV:PATH``; None where ``word`` is not written so."""
    digest = _DIGEST.fullmatch(word)
    if digest is not None:
        return digest[1], digest[2] or ""
    if word.startswith(("/", "./", "../", ":", "~")):
        return None
    depth = 0
    for place, letter in enumerate(word):
        depth += (letter == "{") - (letter == "}")
        if letter == ":" and depth <= 0:
            return word[:place], word[place + 1 :]
    return None


def _tags_meant(repo: Repo, text: str) -> Iterator[tuple[bytes, bytes]]:
    """The tags that ``PATH@NAME`` may mean, with the dataset's path: as seen from the root, then from here."""
    path, at, name = text.rpartition("@")
    if not (at and path and name) or "@{" in text:
        return
    from datavc.git.revisions import dataset_tag, parse_dataset_tag

    raw = text.encode("utf-8", "surrogateescape")
    parsed = parse_dataset_tag(raw)
    if parsed is not None:
        yield raw, parsed[0]
    import os

    for top in (repo.root_bytes, repo.here):
        try:
            absolute = os.path.normpath(os.path.join(top, os.fsencode(path)))
            relative = repo.relative(absolute)
            yield dataset_tag(relative, name), relative
        except UsageError:
            continue


def _by_digest(repo: Repo, text: str) -> Revision:
    """A version that is named by its digest: out of the cache's roots, else out of git's history.

    Last come those of which the cache has a part: what was added to a dataset of which not everything was pulled.
    """
    from datavc.operations.steps.naming.versions import find_version

    try:
        root = find_version(repo, text)
    except NotFoundError as missing:
        try:
            return _by_digest_in_history(repo, text, missing)
        except NotFoundError:
            partly = _find_partly(repo, text)
            if partly is None:
                raise
            root = partly
    pointer = Pointer(root.kind, root.digest, root.size, root.files)
    return Revision(
        text, None, [Dataset(root.path, pointer)], {root.path: format_pointer(pointer)}, root.path
    )


def _find_partly(repo: Repo, text: str) -> Root | None:
    """The root of the one dataset's version of which the cache has a part, and whose digest begins so."""
    found = {
        root.digest: root
        for _, root in repo.cache.roots()
        if root is not None and root.kind != "record" and str(root.digest).startswith(text)
    }
    return next(iter(found.values())) if len(found) == 1 else None


def _by_digest_in_history(repo: Repo, text: str, missing: NotFoundError) -> Revision:
    if repo.git is None:
        raise missing
    from datavc.git.pointerlog import pointer_log, read_blobs

    changes = list(pointer_log(repo.git, everywhere=True))
    contents = read_blobs(repo.git, [change.blob for _, found in changes for change in found if change.blob])
    versions: dict[str, Revision] = {}
    for commit, found in changes:
        for change in found:
            content = contents.get(change.blob or "")
            if content is None or text.encode() not in content:
                continue
            try:
                pointer = read_past_pointer(repo, content, change.path, commit.id)
            except DatavcError:
                # An old pointer that nobody can read names nothing.
                continue
            if str(pointer.digest).startswith(text):
                path = change.path.removesuffix(POINTER_SUFFIX)
                revision = Revision(text, commit.id, [Dataset(path, pointer)], {path: content}, path)
                versions.setdefault(str(pointer.digest), revision)
    if not versions:
        raise NotFoundError(f"{missing.message}, and no commit has it", missing.hint)
    if len(versions) > 1:
        raise UsageError(f"{text} is ambiguous: {', '.join(sorted(versions))}", "type more digits")
    return next(iter(versions.values()))


def _git(repo: Repo) -> Git:
    if repo.git is None:
        raise UsageError("there are no revisions without git", "a digest names a version: datavc ls -l")
    return repo.git


def _seconds(git: Git, date: str) -> int:
    """Seconds since 1970 of a date as ISO 8601 has it, ``@SECONDS``, or git's ``2 weeks ago``. Raises UsageError."""
    import math
    from datetime import datetime

    text = date.strip()
    if re.fullmatch(r"@\d{1,12}", text):
        return int(text[1:])
    try:
        return math.floor(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        pass
    if _RELATIVE_TIME.fullmatch(text):
        from datavc.git.revisions import approximate_time

        return approximate_time(git, text)
    raise UsageError(f"{date!r} is no date", "write 2026-01-31, '2026-01-31 18:00', or '2 weeks ago'")


def at_path(revision: Revision, path: bytes) -> Dataset | None:
    """The dataset of the revision that ``path`` is, or lies in."""
    return next((found for found in revision.datasets if is_inside(path, found.path)), None)
