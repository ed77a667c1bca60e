"""What a push must send: everything reachable from a version, less what the remote has, located in the cache."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field

from datavc.errors import DatavcError, DigestMismatch, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.pack import LIST
from datavc.formats.paths import show, show_some
from datavc.formats.tree import FOLDER
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.transfers.recordtransfer import name_of, record_objects
from datavc.operations.steps.trees.difference import fresh_entries, walk_difference
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import Repo
from datavc.store.cache import Cache
from datavc.store.index import Location, ObjectIndex
from datavc.store.reader import ObjectReader

_TREE = -1


@dataclass(slots=True)
class Closure:
    """``found`` are wanted objects in packs of the cache, ``blobs`` those kept whole (with their sizes), trees first.

    ``held`` are those that the remote has, with where they lie there; ``chunks`` of objects that are kept as lists;
    ``sizes`` the lengths of the cache's packs. ``purged`` are files that are left out.
    """

    found: dict[bytes, Location] = field(default_factory=dict)
    blobs: dict[bytes, int] = field(default_factory=dict)
    held: dict[bytes, Location] = field(default_factory=dict)
    chunks: dict[bytes, list[bytes]] = field(default_factory=dict)
    sizes: dict[bytes, int] = field(default_factory=dict)
    purged: set[bytes] = field(default_factory=set)

    def owners(self, digests: set[bytes]) -> set[bytes]:
        """The objects that consist of ``digests``, or have them among their chunks."""
        return digests | {digest for digest, chunks in self.chunks.items() if not digests.isdisjoint(chunks)}


def find_closure(
    repo: Repo,
    version: Version,
    base: Digest | None,
    there: ObjectIndex,
    *,
    thorough: bool,
    purged: Set[bytes] = frozenset(),
) -> Closure:
    """What of ``version`` is not ``there``. Folders that are as in ``base``, which is there wholly, are skipped, and so is
    what was ``purged`` there or here.

    ``thorough`` looks up every chunk, too, of objects that are there: each row of ``there`` stands for itself alone.

    Raises:
        ObjectNotFound: the cache lacks something, DigestMismatch: it is damaged; the paths are named.
    """
    walk = _Walk(repo, version, there)
    objects = walk.objects(base)
    gone = objects.keys() & (purged | repo.cache.purged())
    for digest in gone:
        del objects[digest]
    closure = Closure(held=there.find_many(objects), purged=gone)
    closure.found, closure.blobs = walk.locate(
        {digest: size for digest, size in objects.items() if digest not in closure.held}
    )
    walk.add_chunks(closure, closure.found)
    if thorough:
        walk.add_chunks(closure, closure.held)
    walk.refuse_lost()
    closure.sizes = walk.sizes()
    return closure


class _Walk:
    def __init__(self, repo: Repo, version: Version, there: ObjectIndex) -> None:
        self._cache = repo.cache
        self._repo = repo
        self._version = version
        self._there = there
        self._indexes = [self._cache.index(version.digest)]
        self._lost: set[bytes] = set()

    def objects(self, base: Digest | None) -> dict[bytes, int]:
        """Every tree and file that is not as in ``base``, in order, with the size of files."""
        version, cache = self._version, self._cache
        if version.kind == RECORD:
            return record_objects(cache, version.digest, _TREE)
        target = TreeSource(cache, None, version.digest, version.kind)
        if target.kind != FOLDER:
            return {version.digest.raw: version.size}
        old = TreeSource(cache, None, base, "folder") if base is not None else None
        objects: dict[bytes, int] = {}
        try:
            for step in walk_difference(target, old):
                objects[step.digest] = _TREE
                for entry in fresh_entries(step):
                    objects.setdefault(entry.digest, entry.size)
        except ObjectNotFound as error:
            raise self._lacking() from error
        return objects

    def locate(self, wanted: dict[bytes, int]) -> tuple[dict[bytes, Location], dict[bytes, int]]:
        """Where the cache has each object: in a pack, or as a whole blob."""
        rows = self._find_many(wanted)
        found, blobs = {}, {}
        for digest, size in wanted.items():
            if digest in rows:
                found[digest] = rows[digest]
            elif size != _TREE and self._cache.has_blob(digest, size):
                blobs[digest] = size
            else:
                self._lost.add(digest)
        return found, blobs

    def add_chunks(self, closure: Closure, objects: dict[bytes, Location]) -> None:
        """The chunks of those objects that are kept as lists: they are wanted, or there, as the objects themselves are."""
        for digest in [digest for digest, location in objects.items() if location[4] & LIST]:
            chunks = closure.chunks[digest] = list(self._chunks(digest))
            held = self._there.find_many(chunks)
            missing = [chunk for chunk in chunks if chunk not in held]
            rows = self._find_many(missing)
            if len(rows) < len(set(missing)):
                self._lost.add(digest)
            closure.held |= held
            closure.found |= {chunk: rows[chunk] for chunk in missing if chunk in rows}

    def refuse_lost(self) -> None:
        """Raises ObjectNotFound."""
        if self._lost:
            raise self._lacking()

    def _lacking(self) -> ObjectNotFound:
        paths = affected(self._cache, self._version, self._lost)
        return ObjectNotFound(
            f"{name_of(self._version)} cannot be pushed, because the cache lacks the bytes of {paths}",
            "push from a clone that has them, or store them again: "
            f"datavc add --rehash {self._repo.typed(self._version.path)}",
        )

    def sizes(self) -> dict[bytes, int]:
        return {pack: size for index in reversed(self._indexes) for pack, size in index.packs().items()}

    def _chunks(self, digest: bytes) -> Iterator[bytes]:
        location = self._find(digest)
        if location is None:
            # Nobody here knows which chunks it has: what the remote says of it can be proved by a pull alone.
            return
        # Not kept, since it refers to this walk: the files that both hold open are closed when the walk is dropped.
        reader = ObjectReader(self._cache.backend, self._cache.algorithm, self._find)
        try:
            for listed in reader.levels(digest, location):
                yield from listed.digests
        except ObjectNotFound:
            self._lost.add(digest)
        except DatavcError as error:
            paths = affected(self._cache, self._version, {digest})
            raise DigestMismatch(
                f"{name_of(self._version)} cannot be pushed, because its cache is damaged: {error.message}: {paths}",
                "datavc fsck",
            ) from error

    def _find(self, digest: bytes) -> Location | None:
        return self._find_many((digest,)).get(digest)

    def _find_many(self, digests: Iterable[bytes]) -> dict[bytes, Location]:
        """Out of the root's indexes; where they lack something, whatever else the cache has will do."""
        wanted = set(digests)
        found = self._indexes[0].find_many(wanted)
        if len(found) < len(wanted):
            if len(self._indexes) == 1:
                names = [name for name in self._cache.index_names() if name not in self._indexes[0].names]
                self._indexes.append(
                    ObjectIndex(self._cache.backend, self._cache.algorithm, names, may_go=True)
                )
            found |= self._indexes[1].find_many(wanted - found.keys())
        return found


def affected(cache: Cache, version: Version, digests: set[bytes]) -> str:
    """The paths of a version whose bytes, or the trees above them, are among ``digests``, for a message."""
    if version.kind == RECORD:
        return f"{len(digests)} of its objects"
    return affected_paths(TreeSource(cache, None, version.digest, version.kind), version.path, digests)


def affected_paths(source: TreeSource, top: bytes, digests: set[bytes]) -> str:
    """As :func:`affected`, of the version that ``source`` reads, whose dataset lies at ``top``.

    In a folder that is there twice they are named once.
    """
    found: list[bytes] = []
    if source.top in digests or source.kind != FOLDER:
        return show(top)
    pending, seen = [(top, source.top)], {source.top}
    while pending:
        path, digest = pending.pop()
        try:
            tree = source.tree(digest)
        except DatavcError:
            found.append(path + b"/")
            continue
        for entry in entries(tree):
            inner = path + b"/" + entry.name
            if entry.digest in digests:
                found.append(inner + b"/" if entry.kind == FOLDER else inner)
            elif entry.kind == FOLDER and entry.digest not in seen:
                seen.add(entry.digest)
                pending.append((inner, entry.digest))
    return show_some(sorted(found) or [top])
