"""Which records go with a push or a fetch, and what of one is to be transferred: itself, its objects, the records before it.

A record goes before the datasets that it made, and after the records that made what it read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.record import Record, decode_record
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import RECORD, has_record, read_record, record_roots
from datavc.operations.steps.trees.difference import fresh_entries, walk_difference
from datavc.operations.steps.trees.trees import TreeSource
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.remote import RemoteStore

# From so many on, what a remote has is listed once instead of asked one by one.
_LISTED_FROM = 5


def record_version(digest: Digest, size: int = 0, commit: str | None = None) -> Version:
    """A record, as transfers know versions."""
    return Version(b"", digest, RECORD, size, 1, commit)


def name_of(version: Version) -> str:
    """What a version is called in messages."""
    return f"the record {version.digest.short}" if version.kind == RECORD else show(version.path)


def records_to_push(repo: Repo, versions: Iterable[Version], *, everything: bool) -> list[Version]:
    """The records that go before ``versions``, or all that are here, each behind those that it names."""
    wanted = [version.record for version in versions if version.record is not None]
    roots = {root.digest: root for root in record_roots(repo.cache)} if wanted or everything else {}
    if everything:
        wanted += sorted(roots)
    ordered: dict[Digest, Version] = {}
    pending = [(digest, False) for digest in reversed(wanted)]
    while pending:
        digest, is_opened = pending.pop()
        root = roots.get(digest)
        if root is None or digest in ordered:
            continue
        if is_opened:
            ordered[digest] = record_version(digest, root.size, root.commit)
            continue
        pending.append((digest, True))
        try:
            pending += [
                (parent, False) for parent in read_record(repo, digest).parents if parent not in ordered
            ]
        except DatavcError:
            # Damaged: pushing it will say so.
            continue
    return list(ordered.values())


def absent_records(store: RemoteStore, records: list[Version]) -> list[Version]:
    """Those that the remote does not have."""
    if len(records) < _LISTED_FROM:
        return [record for record in records if store.root(record.digest) is None]
    there = {file.name for file in store.backend.list(f"{layout.ROOTS}{store.repo_id}/")}
    return [record for record in records if layout.root_path(store.repo_id, record.digest) not in there]


def parents_of(repo: Repo, version: Version) -> list[Digest]:
    """The records that a record names; none of anything else, and of one that cannot be read."""
    if version.kind != RECORD or not has_record(repo, version.digest):
        return []
    return read_record(repo, version.digest).parents


def record_objects(cache: Cache, digest: Digest, tree: int) -> dict[bytes, int]:
    """Everything that is reachable from a record in the cache, in order, with the size of files, and ``tree`` of trees.

    Raises:
        ObjectNotFound: a record or a tree is missing. IntegrityError: one is damaged.
    """
    objects: dict[bytes, int] = {}
    for name, encoded, record in closure_records(digest, lambda wanted: _read(cache, wanted)):
        objects[name.raw] = len(encoded)
        for kept in record.objects.values():
            if kept.kind != "folder":
                objects.setdefault(kept.digest.raw, kept.size)
                continue
            for step in walk_difference(TreeSource(cache, None, kept.digest, "folder"), None):
                objects[step.digest] = tree
                for entry in fresh_entries(step):
                    objects.setdefault(entry.digest, entry.size)
    return objects


def closure_records(
    digest: Digest, read: Callable[[list[Digest]], dict[Digest, bytes]]
) -> Iterator[tuple[Digest, bytes, Record]]:
    """A record and all those that it goes back to, each once; ``read`` gives the bytes of some at a time."""
    seen, level = {digest}, [digest]
    while level:
        below: list[Digest] = []
        for name, encoded in read(level).items():
            record = decode_record(encoded, f"the record {name.short}")
            yield name, encoded, record
            for parent in record.parents:
                if parent not in seen and parent.algorithm == digest.algorithm:
                    seen.add(parent)
                    below.append(parent)
        level = below


def _read(cache: Cache, digests: list[Digest]) -> dict[Digest, bytes]:
    from datavc.formats.record import MAX_RECORD_BYTES

    return {digest: cache.reader(digest).read(digest.raw, limit=MAX_RECORD_BYTES) for digest in digests}
