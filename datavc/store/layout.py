"""Where everything lies in a store: the one place that turns names of things into names of stored files."""

from __future__ import annotations

from datavc.errors import MalformedError
from datavc.formats.digest import Digest

STORE_NOTE = "datavc-store.json"
PACKS = "packs/"
INDEXES = "indexes/"
ROOTS = "roots/"
BLOBS = "blobs/"
CLONES = "clones/"
TRASH = "trash/"
EXPIRED = "expired/"
PURGED = "purged/"
QUARANTINE = "quarantine/"
# Beside a root that is about to be written, so that gc sees what it is going to rely on.
RESCUE = ".rescue"


def sealed_name(raw: bytes) -> str:
    """``xxh128-HEX``: the name of a pack or pack index, the xxh128 of its bytes, whatever the repo's algorithm."""
    return f"xxh128-{raw.hex()}"


def sealed_raw(name: str) -> bytes:
    """The xxh128 that a pack's or pack index's name carries.

    Raises:
        MalformedError: ``name`` is no such name.
    """
    digest = Digest.parse_file_name(name)
    if digest.algorithm != "xxh128":
        raise MalformedError(f"{name!r} does not name a pack or pack index")
    return digest.raw


def pack_path(raw: bytes) -> str:
    """The stored file of the pack with this xxh128."""
    text = raw.hex()
    return f"{PACKS}{text[:2]}/xxh128-{text}"


def pack_of(path: str) -> bytes:
    """The xxh128 of the pack that the stored file ``path`` is, by its name. Raises MalformedError: it is named as none."""
    return sealed_raw(path.rpartition("/")[2])


def index_path(name: str) -> str:
    """The stored file of a pack index."""
    return f"{INDEXES}{name}"


def root_path(repo_id: str, digest: Digest) -> str:
    """The stored file of a repo's root for ``digest``."""
    return f"{ROOTS}{repo_id}/{digest.file_name}"


def expired_prefix(repo_id: str) -> str:
    """Where the notes of a repo's expired versions are."""
    return f"{EXPIRED}{repo_id}/"


def expired_path(repo_id: str, digest: Digest) -> str:
    """The stored note that a repo's version was dropped on purpose."""
    return f"{expired_prefix(repo_id)}{digest.file_name}"


def blob_path(algorithm: str, raw: bytes) -> str:
    """The stored file of a whole blob, in caches that share files with the workspace."""
    text = raw.hex()
    return f"{BLOBS}{text[:2]}/{algorithm}-{text}"


def purged_path(digest: Digest) -> str:
    """The stored file that says that this object was purged."""
    return f"{PURGED}{digest.file_name}"
