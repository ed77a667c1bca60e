"""Notes of versions that were dropped on purpose although history still leads to them: written before their roots go.

A note counts only where there is no root: whoever stores the version again has it.
"""

from __future__ import annotations

from datavc.backends.base import Backend
from datavc.errors import MalformedError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.expiry import Expiry, decode_expiry, encode_expiry
from datavc.formats.root import Root
from datavc.formats.times import utc_text
from datavc.store import layout
from datavc.store.who import who_am_i


def write_expiry(backend: Backend, root: Root) -> None:
    """Note that this process drops the version of ``root``. Raises StorageError."""
    name = layout.expired_path(root.repo, root.digest)
    backend.replace(name, encode_expiry(Expiry(who_am_i(), utc_text(), root)))


def read_expiry(backend: Backend, repo_id: str, digest: Digest) -> Expiry | None:
    """Who dropped the version when, or None. A note that cannot be read is none. Raises StorageError."""
    try:
        expiry = decode_expiry(backend.read(layout.expired_path(repo_id, digest)))
    except (StoredFileNotFound, MalformedError):
        return None
    return expiry if expiry.root.digest == digest else None


def forget_expiry(backend: Backend, repo_id: str, digest: Digest) -> None:
    """Take the note back: the version is there again. Raises StorageError."""
    backend.delete(layout.expired_path(repo_id, digest))


def expired_digests(backend: Backend, repo_id: str) -> set[Digest]:
    """The versions that notes are about, whether they are there again or not: one listing. Raises StorageError."""
    found = set()
    for file in backend.list(layout.expired_prefix(repo_id)):
        try:
            found.add(Digest.parse_file_name(file.name.rpartition("/")[2]))
        except MalformedError:
            continue
    return found
