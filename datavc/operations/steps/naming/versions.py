"""Finding a version that is named by its digest, or by the first digits of it."""

from __future__ import annotations

import re

from datavc.errors import NotFoundError, UsageError
from datavc.formats.root import Root
from datavc.repo import Repo

_SPELLING = re.compile(r"([a-z0-9]+):([0-9a-f]{8,})")


def is_digest(word: str) -> bool:
    """Whether a word of the command line is spelled like a digest, with eight or more hex digits."""
    return _SPELLING.fullmatch(word) is not None


def find_version(repo: Repo, text: str) -> Root:
    """The root of the version whose digest begins with ``text``.

    Raises:
        UsageError: it is no digest, or several versions begin so.
        NotFoundError: the cache has no such version.
    """
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is no digest, which reads {repo.algorithm}: and 8 or more hex digits")
    found = {
        root.digest: root
        for _, root in repo.cache.roots()
        if root is not None and root.complete and str(root.digest).startswith(text)
    }
    if not found:
        raise NotFoundError(f"no version {text} is in the cache {repo.cache_folder}", "datavc status")
    if len(found) > 1:
        raise UsageError(
            f"{text} is ambiguous: {', '.join(str(digest) for digest in found)}", "type more digits"
        )
    return next(iter(found.values()))
