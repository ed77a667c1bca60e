"""The content of one version, by ranges: out of the cache, or in few requests out of remotes. Nothing is checked out.

An object comes in pieces: itself, or the chunks of its list. Each is verified before anybody sees a byte of it, and an
object that is asked for whole is verified as a whole, too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from itertools import accumulate
from typing import NamedTuple

from datavc.errors import (
    DigestMismatch,
    IntegrityError,
    MalformedError,
    ObjectNotFound,
    PurgedError,
    StorageError,
    StoredFileNotFound,
)
from datavc.formats.chunklist import ChunkList, decode_chunk_list
from datavc.formats.digest import Digest, hash_function
from datavc.formats.pack import LIST
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER, MAX_DEPTH, MAX_TREE_BYTES
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.transfers.blobs import TrustedBlobs
from datavc.operations.steps.transfers.pieces import Part, Pieces, span_of
from datavc.operations.steps.transfers.sources import Remotes, Source, Sources
from datavc.operations.steps.trees.expiry import expired
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.parallel import map_ahead
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.piececache import PieceCache
from datavc.store.purged import read_purged
from datavc.store.reader import MAX_LIST_BYTES, ObjectReader
from datavc.store.receiving import Piece, Receipt, StoredEntry, plan_pieces, raw_of, receive

# As many requests at once as fetch has under way.
_THREADS = 4
# Trees and lists lie in packs of their own; one shorter than two requests are dear comes whole, for what is asked next.
_WHOLE_BELOW = 512 << 10
# Of what comes with it, so much is decoded and kept: a pack of zeros decodes to a thousand times its length.
_SPARE_BYTES = 32 << 20


class _Received(NamedTuple):
    """Pieces, and the encodings of chunk lists, by the digests of their objects."""

    pieces: dict[bytes, bytes]
    lists: dict[bytes, bytes]


class Content:
    """Reads the objects of ``version``. Safe in threads."""

    def __init__(self, repo: Repo, version: Version, remotes: Remotes, pieces: PieceCache) -> None:
        self.version = version
        self.trees = _Trees(self, version.digest, version.kind)
        self._algorithm = version.digest.algorithm
        self._hash = hash_function(self._algorithm)
        self._cache = repo.cache
        self._blobs = TrustedBlobs(repo.cache)
        self._kept = pieces
        self._purged = repo.cache.purged()
        self._has_remotes = bool(repo.remotes())
        self._sources = Sources(remotes, version.digest, whole=False)
        self._more = iter(self._sources)
        self._opened: list[Source] = []
        self._layouts: dict[bytes, Pieces | None] = {}
        self._walked: set[bytes] = set()
        self._lock = threading.RLock()
        self._index = self._cache.index(version.digest)
        self._reader = ObjectReader(self._cache.backend, self._algorithm, self._index.find)

    def whole(self, digest: bytes, limit: int) -> bytes:
        """All of an object, of at most ``limit`` bytes. Raises as :meth:`read`."""
        return self.read([Part(digest, None, 0, limit)])[0]

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """The bytes of several parts, which come together.

        Raises:
            ObjectNotFound: neither the cache nor a remote has it. DigestMismatch, MalformedError: what they have is not it.
            StorageError: a remote, or the disk, failed.
        """
        self._lay_out({part.digest: part.size for part in parts})
        wanted: dict[bytes, None] = {}
        for part in parts:
            pieces = self._layouts[part.digest]
            if pieces is not None:
                if len(pieces.digests) > 1:
                    self._require_size(part, pieces.starts[-1])
                wanted |= dict.fromkeys(pieces.digests[span_of(part, pieces)])
        found = self._pieces(wanted, is_data=any(part.size is not None for part in parts))
        return [self._joined(part, found) for part in parts]

    def is_here(self, digest: bytes) -> bool:
        """Whether an object, which is one piece, is on this machine."""
        if digest in self._layouts and self._layouts[digest] is None:
            return True
        return self._index.find(digest) is not None or self._kept.get(self._name(digest)) is not None

    def read_trees(self, path: bytes = b"") -> None:
        """Read every tree at and below the folder ``path``, those of one level together, and refuse what has no end.

        Raises as :meth:`read`.
        """
        entry = self.trees.entry_at(path, path.rpartition(b"/")[2])
        if entry is None or entry.kind != FOLDER or entry.digest in self._walked:
            return
        level = {entry.digest}
        walked = set(level)
        for _ in range(MAX_DEPTH + 1):
            missing = level - self.trees.known_digests()
            parts = [Part(digest, None, 0, MAX_TREE_BYTES) for digest in missing]
            for part, encoded in zip(parts, self.read(parts), strict=True):
                self.trees.take(part.digest, encoded)
            trees = [tree for tree in map(self.trees.tree, level) if FOLDER in tree.kinds]
            level = {row.digest for tree in trees for row in entries(tree) if row.kind == FOLDER}
            walked |= level
            if not level:
                break
        self.trees.require_walkable(entry.digest)
        self._walked |= walked

    # What objects consist of

    def _lay_out(self, objects: Mapping[bytes, int | None]) -> None:
        """Find out what each object consists of: None where it is a whole blob of the cache."""
        pending = {digest: size for digest, size in objects.items() if digest not in self._layouts}
        if not pending:
            return
        for digest in sorted(pending.keys() & self._purged):
            raise self._lacking(digest)
        with self._lock:
            here = self._index.find_many(pending)
        for digest, row in here.items():
            del pending[digest]
            listed = self._reader.chunk_list(digest, row) if row[4] & LIST else None
            self._take_layout(digest, listed)
        for digest, size in list(pending.items()):
            encoded = self._kept.get(self._list_name(digest))
            if size is not None and self._blobs.has(digest, size):
                self._layouts[digest] = None
                del pending[digest]
            elif encoded is not None or self._kept.get(self._name(digest)) is not None:
                self._take_encoded(digest, encoded)
                del pending[digest]
        if pending:
            lists = self._listed_afar(set(pending))
            for digest in pending:
                self._take_encoded(digest, lists.get(digest))

    def _take_encoded(self, digest: bytes, encoded: bytes | None) -> None:
        """Take the chunk list that ``encoded`` is, or leads to through lists of its own; None where there is none."""
        listed = decode_chunk_list(encoded, self._algorithm) if encoded is not None else None
        while listed is not None and listed.level:
            if listed.total > MAX_LIST_BYTES:
                raise MalformedError(f"the chunk list of {self._show(digest)} has {listed.total} bytes")
            pieces = self._pieces(dict.fromkeys(listed.digests), is_data=False)
            below = decode_chunk_list(b"".join(pieces[chunk] for chunk in listed.digests), self._algorithm)
            if below.level != listed.level - 1:
                raise MalformedError(f"the chunk list of {self._show(digest)} does not count down its levels")
            listed = below
        self._take_layout(digest, listed)

    def _take_layout(self, digest: bytes, listed: ChunkList | None) -> None:
        if listed is None:
            self._layouts[digest] = Pieces([digest], [0])
        else:
            self._layouts[digest] = Pieces(listed.digests, list(accumulate(listed.lengths, initial=0)))

    def _listed_afar(self, digests: set[bytes]) -> dict[bytes, bytes]:
        """The chunk lists, encoded, of those of the objects that remotes keep as lists."""
        listed, pending = set(), set(digests)
        number = 0
        while pending:
            with self._lock:
                source = self._source(number)
                rows = self._rows(source, pending) if source is not None else {}
            if source is None:
                break
            number += 1
            listed |= {digest for digest, row in rows.items() if row[4] & LIST}
            pending -= rows.keys()
        return self._receive(listed, is_data=False).lists if listed else {}

    # Pieces

    def _joined(self, part: Part, found: Mapping[bytes, bytes]) -> bytes:
        """The bytes of a part out of the pieces that it lies in."""
        pieces = self._layouts[part.digest]
        if pieces is None:
            return self._blobs.read(part.digest, part.start, part.stop)
        span = span_of(part, pieces)
        digests = pieces.digests[span]
        if len(pieces.digests) == 1:
            content = found[part.digest]
            self._require_size(part, len(content))
            return content[part.start : part.stop]
        for number, digest in enumerate(digests, span.start):
            if len(found[digest]) != pieces.starts[number + 1] - pieces.starts[number]:
                raise MalformedError(f"chunk {self._show(digest)} has not the length that its list gives")
        content = b"".join(map(found.__getitem__, digests))
        if len(digests) == len(pieces.digests) and self._hash(content) != part.digest:
            raise DigestMismatch(
                f"{show(self.version.path)} cannot be read: the chunks of object {self._show(part.digest)} "
                "do not add up to it",
                "datavc fsck",
            )
        begin = pieces.starts[span.start]
        return content[part.start - begin : part.stop - begin]

    def _require_size(self, part: Part, size: int) -> None:
        """Before anything long is read: who wrote the digest where a tree should be may have meant a film."""
        if part.size is None and size > part.stop:
            raise MalformedError(
                f"object {self._show(part.digest)} has {size:,} bytes where {part.stop:,} are allowed"
            )
        if part.size is not None and size != part.size:
            raise MalformedError(
                f"object {self._show(part.digest)} has {size:,} bytes, and its entry says {part.size:,}"
            )

    def _pieces(self, wanted: Iterable[bytes], *, is_data: bool = True) -> dict[bytes, bytes]:
        """Pieces, out of memory, the disk, the cache, or remotes."""
        found: dict[bytes, bytes] = {}
        missing: set[bytes] = set()
        for digest in wanted:
            content = self._kept.get(self._name(digest))
            if content is None:
                missing.add(digest)
            else:
                found[digest] = content
        if missing:
            with self._lock:
                here = self._index.find_many(missing)
            for digest, row in here.items():
                if row[4] & LIST:
                    raise MalformedError(f"object {self._show(digest)} is a chunk list where a chunk must be")
                found[digest] = self._reader.read_whole(digest, row)
                self._kept.hold(self._name(digest), found[digest])
            missing -= here.keys()
        if missing:
            found |= self._receive(missing, is_data=is_data).pieces
            if not missing <= found.keys():
                raise self._lacking(min(missing - found.keys()))
        return found

    # From afar

    def _source(self, number: int) -> Source | None:
        """The remote that is asked after ``number`` others; to be called under the lock."""
        while self._has_remotes and len(self._opened) <= number:
            source = next(self._more, None)
            if source is None:
                return None
            self._opened.append(source)
        return self._opened[number] if self._has_remotes else None

    def _rows(self, source: Source, digests: set[bytes]) -> dict[bytes, tuple[bytes, int, int, int, int]]:
        if source.has_failed:
            return {}
        try:
            return source.locate(digests)
        except (StoredFileNotFound, IntegrityError, StorageError) as error:
            self._sources.fail(source, error)
            return {}

    def _planned(self, pending: set[bytes], *, is_data: bool) -> Iterator[tuple[Source, list[Piece]]]:
        number = 0
        while pending:
            with self._lock:
                source = self._source(number)
                if source is None:
                    return
                rows = self._rows(source, pending)
                whole_below = 0 if is_data else _WHOLE_BELOW
                planned = plan_pieces(rows, source.sizes, whole_below=whole_below) if rows else []
            number += 1
            yield source, planned

    def _receive(self, wanted: set[bytes], *, is_data: bool) -> _Received:
        """What packs of remotes hold: all that is wanted, and what came with it. Raises as :meth:`read`."""
        pending = set(wanted)
        found = _Received({}, {})
        wrong: dict[bytes, DigestMismatch | ObjectNotFound] = {}
        for source, planned in self._planned(pending, is_data=is_data):
            for receipt in _received(source, self._algorithm, planned):
                self._keep(receipt.entries, wanted, found)
                pending -= {entry.digest for entry in receipt.entries}
                for digest, reason in receipt.lost.items():
                    wrong[digest] = self._spoilt(digest, reason, source, receipt.piece)
                if receipt.failure is not None:
                    with self._lock:
                        self._sources.fail(source, receipt.failure)
                    break
        for digest in sorted(pending):
            raise wrong.get(digest) or self._lacking(digest)
        return found

    def _keep(self, entries: list[StoredEntry], wanted: set[bytes], found: _Received) -> None:
        """Take entries that were verified: those ``wanted``, and what came with them for later, as far as that is little."""
        spare = _SPARE_BYTES
        for entry in entries:
            digest = entry.digest
            if digest not in wanted:
                spare -= entry.raw_length
                if spare < 0:
                    continue
            content = raw_of(self._algorithm, [entry])[digest]
            is_list = entry.form == LIST
            self._kept.put(self._list_name(digest) if is_list else self._name(digest), content)
            if digest in wanted:
                (found.lists if is_list else found.pieces)[digest] = content

    def _spoilt(
        self, digest: bytes, reason: str, source: Source, piece: Piece
    ) -> DigestMismatch | ObjectNotFound:
        kind = DigestMismatch if reason == "is damaged" else ObjectNotFound
        where = f"{layout.pack_path(piece.pack)} of {source.store.describe()}"
        return kind(
            f"{show(self.version.path)} cannot be read: object {self._show(digest)} in {where} {reason}",
            f"datavc push --check --read -r {source.store.name}, in a clone that has it, sends it again",
        )

    def _lacking(self, digest: bytes) -> ObjectNotFound | StorageError:
        name = show(self.version.path)
        for place in (self._cache.backend, *(store.backend for store in self._sources.asked)):
            with suppress(StorageError):
                note = read_purged(place, Digest(self._algorithm, digest))
                if note is not None:
                    return PurgedError(f"{name} cannot be read: object {self._show(digest)} of it was {note}")
        if self._sources.failures:
            failure = self._sources.failures[-1]
            return StorageError(f"{name} cannot be read: {failure.message}", failure.hint)
        places = [self._cache.backend, *(store.backend for store in self._sources.asked)]
        known = expired(places, self._cache.repo_id, self.version.digest)
        if known is not None:
            return known
        self._sources.fall_short()
        asked = ", ".join(store.describe() for store in self._sources.asked)
        where = (
            f"neither in the cache nor on {asked}" if asked else "not in the cache, and there is no remote"
        )
        return ObjectNotFound(
            f"{name} cannot be read: object {self._show(digest)} of {self.version.digest.short} is {where}",
            self._sources.remedy(),
        )

    def _name(self, digest: bytes) -> str:
        return f"{self._algorithm}-{digest.hex()}"

    def _list_name(self, digest: bytes) -> str:
        return f"{self._algorithm}-{digest.hex()}-list"

    def _show(self, digest: bytes) -> str:
        return str(Digest(self._algorithm, digest))


class _Trees(TreeSource):
    """The trees of a version, each read when it is asked for."""

    def __init__(self, content: Content, top: Digest, kind: str) -> None:
        super().__init__(None, None, top, kind)
        self._content = content

    def _encoded(self, digest: bytes) -> bytes:
        return self._content.whole(digest, MAX_TREE_BYTES)


def _received(source: Source, algorithm: str, planned: list[Piece]) -> Iterator[Receipt]:
    """The pieces, in their order; several at once, where there are several."""
    work = partial(receive, source.store.backend, None, algorithm)
    if len(planned) <= 1:
        yield from map(work, planned)
        return
    with (
        ThreadPoolExecutor(min(_THREADS, len(planned))) as executor,
        closing(map_ahead(work, planned, executor, _THREADS)) as receipts,
    ):
        yield from receipts
