"""What to say of a version that is nowhere because it was dropped on purpose."""

from __future__ import annotations

from collections.abc import Iterable

from datavc.backends.base import Backend
from datavc.errors import DatavcError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.store.expired import read_expiry


def expired(places: Iterable[Backend], repo_id: str, digest: Digest) -> ObjectNotFound | None:
    """That the version has expired in one of ``places``, when, and by whom; None if it has not."""
    for place in places:
        try:
            expiry = read_expiry(place, repo_id, digest)
        except DatavcError:
            continue
        if expiry is not None:
            root = expiry.root
            return ObjectNotFound(
                f"{show(root.path)} cannot be had: its version {digest.short}, stored on {root.when[:10]}, expired "
                f"on {expiry.when[:10]} in {place.describe()}, where {expiry.who} dropped it (datavc gc --expire)",
                "datavc log shows other versions; datavc gc --restore brings this one back while its bytes are there",
            )
    return None
