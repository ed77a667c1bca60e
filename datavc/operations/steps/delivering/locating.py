"""Finding where the objects of a plan lie, and which are missing, before anything is touched."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.errors import IntegrityError, MalformedError
from datavc.formats.digest import Digest
from datavc.operations.steps.delivering.plan import Plan
from datavc.repo import Repo
from datavc.store.index import Location, ObjectIndex


@dataclass(slots=True)
class Located:
    """``locations`` by digest, out of the pack indexes ``indexes``; ``blobs`` are whole blobs; ``missing`` are paths, and
    ``purged`` those that are never to be written, with their digests."""

    indexes: tuple[str, ...] = ()
    locations: dict[bytes, Location] = field(default_factory=dict)
    blobs: set[bytes] = field(default_factory=set)
    missing: list[bytes] = field(default_factory=list)
    purged: list[tuple[bytes, Digest]] = field(default_factory=list)


def locate(repo: Repo, version: Digest, plan: Plan) -> Located:
    """Look up every object that ``plan`` writes, and every chunk of those that are kept as chunk lists."""
    wanted = {entry.digest: entry.size for work in plan.folders for entry in work.entries}
    if not wanted:
        return Located()
    cache = repo.cache
    index = cache.index(version)
    purged = wanted.keys() & cache.purged()
    gone = [
        (work.place(entry), Digest(repo.algorithm, entry.digest))
        for work in (plan.folders if purged else ())
        for entry in work.entries
        if entry.digest in purged
    ]
    for digest in purged:
        del wanted[digest]
    found = index.find_many(wanted)
    if len(found) < len(wanted):
        # The root is gone, or something it names is: whatever else is here may still have the bytes.
        rest = [name for name in cache.index_names() if name not in index.names]
        index = ObjectIndex(cache.backend, repo.algorithm, [*index.names, *rest])
        found = index.find_many(wanted)
    located = Located(index.names, found, purged=gone)
    lost = set()
    for digest, size in wanted.items():
        location = found.get(digest)
        if location is not None and not location[4] & 1 and location[3] != size:
            raise _wrong_size(repo, digest, size, location[3])
        if location is None:
            if cache.has_blob(digest, size):
                located.blobs.add(digest)
            else:
                lost.add(digest)
        elif location[4] & 1 and not _has_chunks(repo, index, digest, location, size):
            lost.add(digest)
    if lost:
        located.missing = [
            work.place(entry) for work in plan.folders for entry in work.entries if entry.digest in lost
        ]
    return located


def leave_out_purged(plan: Plan, located: Located) -> None:
    """Write none of the files that were purged; another content of theirs, which is in the way, goes."""
    purged = {digest.raw for _, digest in located.purged}
    for work in plan.folders if purged else ():
        rows = list(zip(work.entries, work.replaced, strict=True))
        plan.removed += [
            (work.place(entry), there)
            for entry, there in rows
            if entry.digest in purged and there is not None
        ]
        kept = [(entry, there) for entry, there in rows if entry.digest not in purged]
        work.entries, work.replaced = [entry for entry, _ in kept], [there for _, there in kept]


def _wrong_size(repo: Repo, digest: bytes, said: int, found: int) -> MalformedError:
    """Pointers and trees are untrusted: what they say of a file must be so."""
    return MalformedError(
        f"object {Digest(repo.algorithm, digest)} has {found} bytes, where its pointer or tree says {said}",
        "take the pointer from git again: git checkout -- POINTER",
    )


def _has_chunks(repo: Repo, index: ObjectIndex, digest: bytes, location: Location, size: int) -> bool:
    from datavc.store.reader import ObjectReader

    reader = ObjectReader(repo.cache.backend, repo.algorithm, index.find)
    try:
        listed = reader.chunk_list(digest, location)
    except (IntegrityError, LookupError):
        return False
    if listed.total != size:
        raise _wrong_size(repo, digest, size, listed.total)
    wanted = set(listed.digests)
    return len(index.find_many(wanted)) == len(wanted)
