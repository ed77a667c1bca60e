"""Words of the command line that are revisions, paths, or ``REV:PATH``: told apart as git does it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from datavc.cli.session import current
from datavc.errors import NotFoundError, UsageError
from datavc.formats.paths import is_inside, shell_word

if TYPE_CHECKING:
    from datavc.operations.steps.naming.revisions import Revision
    from datavc.repo import Repo

# What only a revision has in it: a word with one of these that names none is told what is wrong with it.
_REVISION_SIGNS = "~^@{"


def split_revisions(
    repo: Repo, words: Sequence[str], verb: str, most: int, *, past: bool = False
) -> tuple[list[str], list[str]]:
    """The revisions that ``words`` begin with, ``most`` at most, and the paths after them; ``--`` stands between.

    With ``past``, a word may be a path that is nowhere now.

    Raises:
        UsageError: a word is both and no ``--`` says which, or there are too many revisions.
        NotFoundError: a word is neither.
    """
    words = list(words)
    if "--" in words:
        place = words.index("--")
        if place > most:
            raise UsageError(
                f"datavc {verb} takes {'one revision' if most == 1 else f'{most} revisions'} before --",
                f"datavc {verb} --help",
            )
        return words[:place], words[place + 1 :]
    revisions: list[str] = []
    while (
        words and len(revisions) < most and _is_revision(repo, words[0], verb, past=past or bool(revisions))
    ):
        revisions.append(words.pop(0))
    return revisions, words


def _is_revision(repo: Repo, word: str, verb: str, *, past: bool) -> bool:
    from datavc.operations.steps.naming.revisions import is_revision, resolve_commit

    named, there = is_revision(repo, word), is_path(repo, word)
    quoted = shell_word(os.fsencode(word))
    if named and there:
        raise UsageError(
            f"{word!r} is both a revision and a path",
            f"datavc {verb} {quoted} -- for the revision, datavc {verb} -- {quoted} for the path",
        )
    if not named and not there and not _is_in_dataset(repo, word):
        before, colon, inner = word.partition(":")
        if colon and before and inner and is_revision(repo, before):
            raise UsageError(
                f"datavc {verb} takes a revision first, and then paths: {word!r} is both in one",
                f"datavc {verb} {shell_word(os.fsencode(before))} -- {shell_word(os.fsencode(inner))}",
            )
        if any(sign in word for sign in _REVISION_SIGNS) and repo.git is not None:
            resolve_commit(repo, word)
        if repo.git is not None and not past and not word.startswith((".", "/")):
            raise NotFoundError(
                f"{word!r} is no revision, no dataset, and none lies in it",
                "datavc status lists the datasets, git branch --all and git tag the revisions; "
                f"for a path that is only in the past: datavc {verb} REV -- {quoted}",
            )
    return named


def is_path(repo: Repo, word: str) -> bool:
    """Whether ``word`` is a path that exists, or that of datasets. Raises nothing: what is odd is none."""
    try:
        absolute = current().absolute(word)
        relative = repo.relative(absolute)
    except UsageError:
        return False
    return os.path.lexists(absolute) or any(is_inside(found, relative) for found in _datasets(repo))


def _is_in_dataset(repo: Repo, word: str) -> bool:
    """Whether the path may be one of a dataset: only its trees know, and whoever reads them will say."""
    try:
        relative = repo.relative(current().absolute(word))
    except UsageError:
        return True  # one outside of the repository is refused as such
    return any(is_inside(relative, found) for found in _datasets(repo))


def past_path(repo: Repo, word: str, verb: str) -> tuple[Revision | None, bytes]:
    """What ``word`` names: a path of the workspace (None and the path), ``REV:PATH``, or all of REV; the path is absolute.

    After REV a path is seen from the root of the repository, as in git; one that begins with ``./`` from here.

    Raises:
        UsageError: it is both, or REV is no revision.
    """
    from datavc.operations.steps.naming.revisions import is_revision, resolve_revision, split_word

    session = current()
    halves = split_word(word)
    if halves is None:
        if is_path(repo, word) or not is_revision(repo, word):
            return None, session.absolute(word)
        halves = word, ""
    rev, inner = halves
    if is_path(repo, word):
        if is_revision(repo, rev):
            raise UsageError(
                f"{word!r} is both a path and a revision's path",
                f"datavc {verb} {shell_word(os.fsencode('./' + word))} for the path, "
                f"datavc {verb} {shell_word(os.fsencode(_full(repo, rev) + ':' + inner))} for the other",
            )
        return None, session.absolute(word)
    revision = resolve_revision(repo, rev)
    if inner.startswith(("./", "../")) or inner in (".", ".."):
        return revision, session.absolute(inner)
    relative = os.path.normpath(os.fsencode(inner)) if inner else b""
    if relative.startswith((b"/", b"..")):
        raise UsageError(
            f"{inner!r} is no path from the root of the repository", f"datavc {verb} {rev}:./PATH"
        )
    return revision, _rooted(repo, revision, b"" if relative == b"." else relative)


def _rooted(repo: Repo, revision: Revision, relative: bytes) -> bytes:
    """The absolute path; where a dataset's own tag or a digest was named, it may be one inside that dataset."""
    only = revision.dataset
    if only is not None:
        known = any(is_inside(relative, found.path) for found in revision.datasets) if relative else False
        if revision.commit is None or not known:
            relative = only + b"/" + relative if relative else only
    return repo.root_bytes + b"/" + relative if relative else repo.root_bytes


def _full(repo: Repo, rev: str) -> str:
    from datavc.operations.steps.naming.revisions import resolve_commit

    try:
        return resolve_commit(repo, rev)[0]
    except UsageError:
        return rev


def _datasets(repo: Repo) -> list[bytes]:
    return [path.removesuffix(b".datavc") for path in repo.pointer_paths()]


def split_range(repo: Repo, words: Sequence[str]) -> list[str]:
    """``words`` with a first one like ``A..B`` made into two; ``A...B`` begins where both have come from.

    Raises:
        UsageError: ``A`` and ``B`` have nothing in common.
    """
    first = words[0] if words else ""
    left, dots, right = first.partition("..")
    if not dots or repo.git is None or left.endswith("/") or first.startswith(".") or is_path(repo, first):
        return list(words)
    from datavc.operations.steps.naming.revisions import common_origin, is_revision

    together = right.startswith(".")
    left, right = left or "HEAD", right.removeprefix(".") or "HEAD"
    if not (is_revision(repo, left) and is_revision(repo, right)):
        return list(words)
    return [common_origin(repo, left, right) if together else left, right, *words[1:]]
