"""Reading, writing and listing the roots of a store: which digests are wholly there, and which pack indexes say where."""

from __future__ import annotations

from collections.abc import Iterator

from datavc.backends.base import Backend
from datavc.errors import MalformedError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.root import Root, decode_root, encode_root
from datavc.store import layout

MAX_INDEXES = 16


def read_root(backend: Backend, repo_id: str, digest: Digest) -> Root | None:
    """The root of ``digest``, or None. One that is unreadable, or names another digest, counts as absent."""
    try:
        root = decode_root(backend.read(layout.root_path(repo_id, digest)))
    except (StoredFileNotFound, MalformedError):
        return None
    return root if root.digest == digest and root.repo == repo_id else None


def write_root(backend: Backend, root: Root) -> None:
    """Publish ``root``, replacing an earlier one of the same digest. Everything it names must be there already."""
    backend.replace(layout.root_path(root.repo, root.digest), encode_root(root))


def list_roots(backend: Backend, repo_id: str | None = None) -> Iterator[tuple[str, Root | None]]:
    """Each stored root's file name and content (None where unreadable), of one repo or of all."""
    prefix = layout.ROOTS if repo_id is None else f"{layout.ROOTS}{repo_id}/"
    for stored in backend.list(prefix):
        try:
            yield stored.name, decode_root(backend.read(stored.name))
        except StoredFileNotFound:
            continue
        except MalformedError:
            yield stored.name, None
