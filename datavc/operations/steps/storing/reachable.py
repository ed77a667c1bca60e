"""What a new root will reach: what of it the cache has already, and the pack indexes that will say where everything is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from datavc.errors import DatavcError, IntegrityError
from datavc.formats.digest import Digest
from datavc.formats.pack import LIST
from datavc.store.cache import Cache
from datavc.store.index import IndexBuilder, Location, ObjectIndex
from datavc.store.packwriter import SealedPack
from datavc.store.reader import ObjectReader


class Reachable:
    """Gathers what one new root reaches. ``inherited`` are the pack indexes of the version before, which it takes over."""

    def __init__(self, cache: Cache, algorithm: str, inherited: tuple[str, ...]) -> None:
        self._cache = cache
        self._algorithm = algorithm
        cache.begin_writing()
        self._inherited = ObjectIndex(cache.backend, algorithm, inherited)
        names = cache.dedup_names(inherited)
        self.known = ObjectIndex(cache.backend, algorithm, names, may_go=True)
        self._reader = ObjectReader(cache.backend, algorithm, self.known.find)
        self._builder = IndexBuilder(algorithm)
        self._published: list[str] = []
        self._elsewhere: set[bytes] = set()
        self._claimed: set[bytes] = set()

    def add_pack(self, pack: SealedPack) -> None:
        """A pack that is durable in the cache now."""
        self._builder.add_pack(pack)

    def found(self, digests: Iterable[bytes]) -> None:
        """Objects that were in the cache before."""
        self._elsewhere.update(digests)

    def claimed(self, digests: Iterable[bytes]) -> None:
        """Objects that one worker left to another; whether that one wrote them is proved in the end."""
        self._claimed.update(digests)

    def has(self, digest: bytes) -> bool:
        """Whether a chunk or a tree lies in the cache; noted, so that the new root reaches it. Safe in threads."""
        if digest in self._builder:
            return True
        if self.known.find(digest) is not None:
            self._elsewhere.add(digest)
            return True
        return False

    def has_whole(self, digest: bytes) -> bool:
        """As :meth:`has`, for an object that may be kept as a chunk list: all of its chunks are there too."""
        return self.has(digest) and self.is_whole(digest, self.known.find(digest))

    def is_whole(self, digest: bytes, location: Location | None) -> bool:
        """Whether a known object is there with all its chunks: a chunk list alone is none of them."""
        if location is None or not location[4] & LIST:
            return location is not None
        try:
            chunks = set(self._chunks(digest, location))
        except DatavcError:
            return False
        return all(chunk in self._builder or self.known.find(chunk) is not None for chunk in chunks)

    def _chunks(self, digest: bytes, location: Location) -> list[bytes]:
        """What an object that is kept as a chunk list consists of, and what that list is cut into. Raises DatavcError."""
        return [chunk for listed in self._reader.levels(digest, location) for chunk in listed.digests]

    def is_empty(self) -> bool:
        """Whether no new pack waits to be indexed."""
        return not self._builder

    def checkpoint(self) -> None:
        """Index the packs so far, so that a run that is killed later finds them."""
        self._published += self._builder.publish(self._cache.backend)

    def index(self) -> ObjectIndex:
        """Everything that was here, and all that was added, indexed on the way."""
        self.checkpoint()
        names = dict.fromkeys([*self._inherited.names, *self._published, *self.known.names])
        return ObjectIndex(self._cache.backend, self._algorithm, list(names))

    def publish(self) -> list[str]:
        """Publish the pack indexes; returns the names of those which together say where everything is.

        Raises:
            IntegrityError: something that was claimed or found is not there.
        """
        self._index_elsewhere()
        self.checkpoint()
        names = [*self._inherited.names, *self._published]
        if not names:
            # A root names one index at least, and a lone file that is kept as a whole blob lies in no pack.
            names = self._builder.publish(self._cache.backend, empty=True)
        self._prove_claims(names)
        return names

    def _index_elsewhere(self) -> None:
        """Objects that were in the cache before are named by the new pack index, unless the inherited ones do."""
        inherited = self._inherited.find_many(self._elsewhere)
        missing = {
            digest for digest in self._elsewhere if digest not in inherited and digest not in self._builder
        }
        if not missing:
            return
        sizes = self.known.packs()
        for digest, location in self._with_chunks(self.known.find_many(missing)):
            self._builder.add(digest, location, sizes[location[0]])

    def _with_chunks(self, found: dict[bytes, Location]) -> Iterator[tuple[bytes, Location]]:
        """Those objects, and the chunks of those that are kept as chunk lists."""
        for digest, location in found.items():
            yield digest, location
            if location[4] & LIST:
                listed = self._chunks(digest, location)
                chunks = {chunk for chunk in listed if chunk not in self._builder}
                known = self.known.find_many(chunks)
                if len(known) < len(chunks):
                    raise IntegrityError(
                        f"object {Digest(self._algorithm, digest)} lacks {len(chunks) - len(known)} of its chunks",
                        "run the same command again",
                    )
                yield from known.items()

    def _prove_claims(self, names: list[str]) -> None:
        if not self._claimed:
            return
        index = ObjectIndex(self._cache.backend, self._algorithm, names)
        missing = self._claimed - set(index.find_many(self._claimed))
        if missing:
            raise IntegrityError(
                f"{len(missing)} objects were promised and not written", "run the same command again"
            )
