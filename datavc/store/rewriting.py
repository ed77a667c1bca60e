"""Rewriting packs: what is kept of them goes into new ones, and pack indexes and roots name these instead.

Three steps, each of which may be cut off anywhere; until the last is done, every root names what it always did:

1. :func:`rewrite_packs` writes new packs, then new pack indexes: each takes the place of an old one, with the same rows
   but for those of rewritten packs. Nothing that was there is touched.
2. :func:`repoint_roots` replaces each root that names an old index by one that names the new.
3. The caller lets go of the old indexes, then the old packs: gc by a tombstone and a grace, in which everybody who still
   relies on them is heard; purge at once.

The new packs hold the same in the same order whoever writes them, so a second run after a kill finds them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from pathlib import Path

from datavc.backends.base import Backend
from datavc.errors import IntegrityError
from datavc.formats.pack import DATA, META
from datavc.formats.root import Root, encode_root
from datavc.progress import SILENT, Progress
from datavc.store import layout
from datavc.store.census import StoredRoot, read_roots
from datavc.store.index import Location, open_index
from datavc.store.packreader import decode_entry, locations, open_pack
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack
from datavc.store.repointing import Rewriting, kept_rows, publish_rows, repointed
from datavc.store.tombstones import Guard

Keep = Callable[[bytes], bool]
"""Whether an object, by its raw digest, is kept."""


def rewrite_packs(
    backend: Backend,
    scratch: Path,
    packs: Mapping[bytes, int],
    named: Mapping[str, Iterable[bytes]],
    keep: Keep,
    *,
    progress: Progress = SILENT,
) -> Rewriting:
    """Write what is kept of ``packs`` (raw name and length of each) into new packs, and the pack indexes that say so.

    ``named`` tells for each pack index there is which packs it names; packs that none names get an index of their own. An
    object that lies in several of the packs is written once. All rows of the packs are held in memory: 250 bytes each.

    Raises:
        IntegrityError: a pack is damaged, or of an unknown format; what is sound in it can be saved by ``fsck --repair``.
        StoredFileNotFound: a pack or pack index was deleted meanwhile.
        StorageError, OutOfSpace: what was written stays and is used by the next run.
    """
    copies: dict[str, _Copy] = {}
    try:
        for pack in sorted(packs):
            _copy_pack(backend, scratch, pack, keep, copies)
            progress.advance(size=packs[pack])
        for copy in copies.values():
            copy.close()
    except BaseException:
        for copy in copies.values():
            copy.abandon()
        raise
    written = {pack for copy in copies.values() for pack in copy.sizes}
    # One of which all is kept may come out as it was.
    done = Rewriting({pack: size for pack, size in packs.items() if pack not in written})
    _replace_indexes(backend, done, named, copies)
    orphans = set(packs).difference(*map(set, named.values()))
    for algorithm, copy in copies.items():
        rows = [
            (digest, row) for digest, row in copy.rows.items() if not copy.sources[digest].isdisjoint(orphans)
        ]
        if rows:
            done.added += publish_rows(backend, algorithm, rows, copy.sizes)
    return done


def begin_rewriting(backend: Backend) -> Guard:
    """What :func:`repoint_roots` needs; to be called before one looks what there is. Raises MalformedError."""

    def packs_of(names: tuple[str, ...]) -> dict[bytes, int]:
        return {pack: size for name in names for pack, size in open_index(backend, name).packs}

    return Guard(backend, packs_of)


def repoint_roots(
    backend: Backend,
    done: Rewriting,
    executor: Executor,
    guard: Guard,
    before: Callable[[], None] = lambda: None,
) -> bool:
    """Make every root, of whatever repo, name the new pack indexes; whether there was one that did not.

    ``before`` is called when the roots are known and none was replaced. A root that somebody writes meanwhile stays as it is.
    One that is replaced counts as new.

    Raises:
        IntegrityError: a root cannot be read. ConflictError: gc is deleting what a root relies on.
    """
    old = [
        stored for stored in read_roots(backend, executor) if repointed(stored.root, done) is not stored.root
    ]
    if old:
        before()
    for stored in old:
        _repoint(backend, stored, repointed(stored.root, done), guard)
    return bool(old)


def _repoint(backend: Backend, stored: StoredRoot, new: Root, guard: Guard) -> None:
    if not stored.is_unchanged(backend):
        return
    if stored.name.endswith(layout.RESCUE):
        # Of a writer that is at work, or was killed: no version hangs on it.
        backend.replace(stored.name, encode_root(new))
    else:
        guard.publish(new)


class _Copy:
    """What is kept of packs of one algorithm. ``sources`` are the packs that an object lay in; ``rows`` where it lies now."""

    def __init__(self, backend: Backend, scratch: Path, algorithm: str) -> None:
        self.sources: dict[bytes, set[bytes]] = {}
        self.rows: dict[bytes, Location] = {}
        self.sizes: dict[bytes, int] = {}
        self.streams = {
            content: PackStream(backend, scratch, algorithm, content, published=self._take)
            for content in (DATA, META)
        }

    def close(self) -> None:
        for stream in self.streams.values():
            stream.close()

    def abandon(self) -> None:
        for stream in self.streams.values():
            stream.abandon()

    def _take(self, pack: SealedPack) -> None:
        self.sizes[pack.name] = pack.size
        self.rows.update(locations(pack.name, pack.footer))


def _copy_pack(backend: Backend, scratch: Path, pack: bytes, keep: Keep, copies: dict[str, _Copy]) -> None:
    path = layout.pack_path(pack)
    try:
        data = backend.read(path)
        footer = open_pack(pack, data)
        if footer.algorithm not in copies:
            copies[footer.algorithm] = _Copy(backend, scratch, footer.algorithm)
        copy = copies[footer.algorithm]
        for digest, location in locations(pack, footer):
            if not keep(digest):
                continue
            _, offset, length, raw_length, flags = location
            stored = data[offset : offset + length]
            decode_entry(footer.algorithm, digest, location, stored)
            copy.streams[footer.content].add_stored(digest, stored, raw_length, flags & 1, flags >> 1)
            copy.sources.setdefault(digest, set()).add(pack)
    except IntegrityError as error:
        raise IntegrityError(
            f"{path} of {backend.describe()} cannot be rewritten: {error.message}", "datavc fsck --repair"
        ) from error


def _replace_indexes(
    backend: Backend,
    done: Rewriting,
    named: Mapping[str, Iterable[bytes]],
    copies: Mapping[str, _Copy],
) -> None:
    for name in sorted(named):
        if done.packs.keys().isdisjoint(named[name]):
            continue
        reader = open_index(backend, name)
        copy = copies[reader.algorithm]
        (new,) = publish_rows(
            backend, reader.algorithm, kept_rows(reader, done, copy.rows), dict(reader.packs) | copy.sizes
        )
        done.indexes[name] = new
