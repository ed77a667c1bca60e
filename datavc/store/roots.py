"""Making, reading, writing and listing roots: which digests a store has wholly, and which pack indexes say where."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from datavc import __version__
from datavc.backends.base import Backend
from datavc.errors import MalformedError, StoredFileNotFound, UnsupportedFormat
from datavc.formats.digest import Digest
from datavc.formats.root import Root, decode_root, encode_root
from datavc.formats.times import utc_text
from datavc.store import layout
from datavc.store.index import ObjectIndex, merge_indexes
from datavc.store.note import check_note
from datavc.store.tombstones import Guard
from datavc.store.who import who_am_i

MAX_INDEXES = 16


def read_root(backend: Backend, repo_id: str, digest: Digest) -> Root | None:
    """The root of ``digest``, or None. One that is unreadable, or names another digest, counts as absent.

    Raises:
        UnsupportedFormat: it is of a later format, and so is the store, which says what version of datavc it needs.
    """
    try:
        root = decode_root(backend.read(layout.root_path(repo_id, digest)))
    except UnsupportedFormat:
        check_note(backend, create=False)
        return None
    except (StoredFileNotFound, MalformedError):
        return None
    return root if root.digest == digest and root.repo == repo_id else None


def write_root(backend: Backend, root: Root) -> None:
    """Publish ``root``, replacing an earlier one of the same digest. Everything it names must be there already."""
    backend.replace(layout.root_path(root.repo, root.digest), encode_root(root))


def new_root(
    repo_id: str,
    digest: Digest,
    *,
    kind: str,
    size: int,
    files: int,
    path: bytes,
    commit: str | None,
    saved: bool = False,
    complete: bool = True,
    clone: str | None = None,
) -> Callable[[tuple[str, ...]], Root]:
    """What makes a root of ``digest``, once the names of its pack indexes are known."""

    def make(indexes: tuple[str, ...]) -> Root:
        return Root(
            digest=digest,
            kind=kind,
            size=size,
            files=files,
            path=path,
            repo=repo_id,
            commit=commit,
            who=who_am_i(),
            when=utc_text(),
            nonce=os.urandom(8).hex(),
            indexes=indexes,
            complete=complete,
            saved=saved,
            client=f"datavc {__version__}",
            clone=clone,
        )

    return make


def begin_writing(backend: Backend, algorithm: str) -> Guard:
    """What :func:`publish_root` needs; to be called before one looks what there is. One listing. Raises MalformedError."""

    def packs_of(names: tuple[str, ...]) -> dict[bytes, int]:
        return ObjectIndex(backend, algorithm, names, look=False).packs()

    return Guard(backend, packs_of)


def publish_root(
    backend: Backend,
    algorithm: str,
    make: Callable[[tuple[str, ...]], Root],
    indexes: list[str],
    guard: Guard,
) -> Root:
    """Write the root that ``make`` builds from the names of its pack indexes, merging the smallest where they are many.

    Raises:
        ConflictError: what it relies on is being deleted as garbage.
    """
    if len(indexes) > MAX_INDEXES:
        sizes = {name: backend.head(layout.index_path(name)).size for name in indexes}
        by_size = sorted(indexes, key=lambda name: (sizes[name], name))
        merged = by_size[: len(indexes) - MAX_INDEXES // 2]
        kept = [name for name in indexes if name not in merged]
        indexes = [*kept, *merge_indexes(backend, algorithm, merged)]
    root = make(tuple(indexes))
    guard.publish(root)
    return root


def list_roots(backend: Backend, repo_id: str | None = None) -> Iterator[tuple[str, Root | None]]:
    """Each stored root's file name and content, of one repo or of all; None where it is unreadable, or is another's."""
    prefix = layout.ROOTS if repo_id is None else f"{layout.ROOTS}{repo_id}/"
    for stored in backend.list(prefix):
        if stored.name.endswith(layout.RESCUE):
            continue
        try:
            root = decode_root(backend.read(stored.name))
            yield stored.name, root if layout.root_path(root.repo, root.digest) == stored.name else None
        except StoredFileNotFound:
            continue
        except MalformedError:
            yield stored.name, None
