"""Sending objects from the cache to a remote: whole packs as they are, the rest copied into new ones.

Payloads are copied as they are stored, but hashed first. The order is fixed by what is sent, so that a push that was
interrupted makes the same packs again, asks for each by name, and sends none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import xxhash

from datavc.backends.base import Backend
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import DatavcError, DigestMismatch, IntegrityError, StoredFileNotFound
from datavc.formats.digest import hash_function, new_hasher
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import DATA, META, WHOLE, decode_pack_header
from datavc.parallel import map_ahead
from datavc.progress import Progress
from datavc.store import layout
from datavc.store.blobwriter import BlobWriter, pack_chunks
from datavc.store.cache import Cache
from datavc.store.chunking import BLOB_CUTS, cut_blocks, new_buffer
from datavc.store.compression import Compressor
from datavc.store.index import IndexBuilder, Location
from datavc.store.packreader import decode_entry, read_footer
from datavc.store.packstream import PackStream
from datavc.store.packwriter import SealedPack

# Packs below this are copied into larger ones where there are more than so many: each costs a request of its own.
_SMALL_PACK, _MANY_SMALL = 4 << 20, 8
_WHOLE_BLOB = 1 << 20
_BATCH = 512
_SMALLEST, _UNMEASURED, _LARGEST = 4 << 20, 32 << 20, 60 << 20


@dataclass(slots=True)
class SendPlan:
    """``packs`` go as they are, ``entries`` are copied into new packs, ``blobs`` (whole files) are cut into chunks."""

    packs: list[SealedPack] = field(default_factory=list)
    entries: dict[bytes, Location] = field(default_factory=dict)
    blobs: dict[bytes, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes to send, as they are stored; whole blobs count as if they did not shrink."""
        packs = sum(pack.size for pack in self.packs)
        return packs + sum(row[2] for row in self.entries.values()) + sum(self.blobs.values())

    @property
    def objects(self) -> int:
        """How many objects are sent."""
        return sum(len(pack.footer.digests) for pack in self.packs) + len(self.entries) + len(self.blobs)


def plan_sending(
    backend: Backend, found: Mapping[bytes, Location], blobs: dict[bytes, int], sizes: Mapping[bytes, int]
) -> SendPlan:
    """Packs that hold nothing but wanted objects go as they are: a push sends no object that it was not asked for."""
    whole: list[SealedPack] = []
    for pack in dict.fromkeys(location[0] for location in found.values()):
        try:
            footer = read_footer(backend, pack, sizes[pack])
        except DatavcError:
            # A damaged footer says nothing about the entries: they are looked at one by one.
            continue
        if all(map(found.__contains__, footer.digests)):
            whole.append(SealedPack(pack, sizes[pack], Path(), footer))
    small = [pack for pack in whole if pack.size < _SMALL_PACK]
    if len(small) > _MANY_SMALL:
        whole = [pack for pack in whole if pack.size >= _SMALL_PACK]
    return _plan(whole, found, blobs)


def _plan(whole: list[SealedPack], found: Mapping[bytes, Location], blobs: dict[bytes, int]) -> SendPlan:
    sent = {digest for pack in whole for digest in pack.footer.digests}
    return SendPlan(whole, {digest: row for digest, row in found.items() if digest not in sent}, blobs)


def check_sources(
    cache: Cache, plan: SendPlan, found: Mapping[bytes, Location], executor: Executor
) -> tuple[SendPlan, set[bytes]]:
    """Read all that will be sent: the plan without the packs that are not what their names say, and damaged objects."""
    sound = executor.map(partial(_is_sound, cache.backend), plan.packs)
    packs = [pack for pack, is_sound in zip(plan.packs, sound, strict=True) if is_sound]
    plan = _plan(packs, found, plan.blobs)
    rows = list(plan.entries.items())
    batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    damaged: set[bytes] = set()
    for some in executor.map(partial(_damaged, cache), batches):
        damaged.update(some)
    blobs = executor.map(partial(_is_sound_blob, cache), plan.blobs)
    damaged.update(digest for digest, is_sound in zip(plan.blobs, blobs, strict=True) if not is_sound)
    return plan, damaged


def _is_sound(backend: Backend, pack: SealedPack) -> bool:
    with suppress(DatavcError):
        return xxhash.xxh3_128_digest(backend.read(layout.pack_path(pack.name))) == pack.name
    return False


def _damaged(cache: Cache, rows: Iterable[tuple[bytes, Location]]) -> list[bytes]:
    damaged = []
    for digest, location in rows:
        try:
            decode_entry(cache.algorithm, digest, location, _stored(cache.backend, location))
        except DatavcError:
            damaged.append(digest)
    return damaged


def _is_sound_blob(cache: Cache, digest: bytes) -> bool:
    hasher = new_hasher(cache.algorithm)
    try:
        with open(cache.blob_file(digest), "rb") as file:
            while piece := file.read(4 << 20):
                hasher.update(piece)
    except OSError:
        return False
    return hasher.digest() == digest


def _stored(backend: Backend, location: Location) -> bytes:
    return backend.read(layout.pack_path(location[0]), location[1], location[2])


class Sender:
    """Sends what a plan says. New packs have at most ``pack_bytes``; stored files that are ``broken`` are replaced.

    ``threads`` requests are under way at once, each with one pack in memory.
    """

    def __init__(
        self,
        cache: Cache,
        target: Backend,
        executor: Executor,
        *,
        threads: int,
        pack_bytes: int,
        broken: set[str],
        progress: Progress,
    ) -> None:
        self._cache = cache
        self.target = _OnceBackend(target, broken)
        self._executor = executor
        self._threads = threads
        self._pack_bytes = pack_bytes
        self._progress = progress
        self.rows = IndexBuilder(cache.algorithm)
        self.packs = 0

    def send(self, plan: SendPlan, scratch: Path, held: Callable[[bytes], bool]) -> None:
        """Send all of ``plan``; ``held`` says whether a chunk of a whole blob is there already.

        Raises:
            IntegrityError: something in the cache is damaged; it was not sent.
            StorageError: the remote failed or refused. What was sent is found again by the next push.
        """
        for pack in map_ahead(self._send_pack, plan.packs, self._executor, self._threads):
            self._take(pack)
            self._progress.advance(size=pack.size)
        streams = {content: self._stream(scratch, content) for content in (DATA, META)}
        try:
            self._copy(plan.entries, streams)
            writer = BlobWriter(self._cache.algorithm, streams[DATA], streams[META], held)
            for digest, size in plan.blobs.items():
                self._cut(digest, size, streams[DATA], writer, held)
            for stream in streams.values():
                stream.close()
        except BaseException:
            for stream in streams.values():
                stream.abandon()
            raise

    def _send_pack(self, pack: SealedPack) -> SealedPack:
        path = layout.pack_path(pack.name)
        if not self.target.has(path, pack.size):
            data = self._cache.backend.read(path)
            if xxhash.xxh3_128_digest(data) != pack.name:
                raise DigestMismatch(f"{path} of the cache was damaged while it was pushed", "datavc fsck")
            self.target.write(path, data)
        return pack

    def _stream(self, scratch: Path, content: int) -> PackStream:
        return PackStream(
            self.target,
            scratch,
            self._cache.algorithm,
            content,
            published=self._take,
            executor=self._executor,
            limit=self._pack_bytes,
        )

    def _take(self, pack: SealedPack) -> None:
        self.rows.add_pack(pack)
        self.packs += 1

    def _copy(self, entries: Mapping[bytes, Location], streams: Mapping[int, PackStream]) -> None:
        contents: dict[bytes, int] = {}
        for digest, location in entries.items():
            pack = location[0]
            if pack not in contents:
                header = self._cache.backend.read(layout.pack_path(pack), 0, HEADER_BYTES)
                contents[pack] = decode_pack_header(header)[1]
            stored = _stored(self._cache.backend, location)
            entry = decode_entry(self._cache.algorithm, digest, location, stored)
            streams[contents[pack]].add(digest, entry.raw, entry.form, entry.packed)
            self._progress.advance(size=len(stored))

    def _cut(
        self,
        digest: bytes,
        size: int,
        data: PackStream,
        writer: BlobWriter,
        held: Callable[[bytes], bool],
    ) -> None:
        """A whole blob, as ``add`` stores such files in packs."""
        algorithm = self._cache.algorithm
        with open(self._cache.blob_file(digest), "rb", buffering=0) as file:
            if size <= _WHOLE_BLOB:
                content = file.read(_WHOLE_BLOB + 1)
                found = hash_function(algorithm)(content)
                if found == digest:
                    data.add(digest, content, WHOLE, Compressor().pack(b"blob", content))
            else:
                for block in cut_blocks(file.readinto, BLOB_CUTS, lambda: new_buffer(BLOB_CUTS)):
                    writer.add(block.read, pack_chunks(algorithm, block.chunks, held))
                found, _, _ = writer.finish()
        if found != digest:
            raise IntegrityError(
                f"the blob {self._cache.blob_file(digest)} was damaged while it was pushed", "datavc fsck"
            )
        self._progress.advance(size=size)


class _OnceBackend(WrappingBackend):
    """Asks for a pack before it sends it: what is there in that length is not sent again, unless it is known to be broken."""

    def __init__(self, inner: Backend, broken: set[str]) -> None:
        super().__init__(inner)
        self._broken = broken

    def has(self, name: str, size: int) -> bool:
        if name in self._broken:
            return False
        try:
            return self.inner.head(name).size == size
        except StoredFileNotFound:
            return False

    def write(self, name: str, data: bytes) -> bool:
        if name not in self._broken:
            return self.inner.write(name, data)
        self.inner.replace(name, data)
        return True

    def write_file(self, name: str, source: Path) -> bool:
        size = source.stat().st_size
        if self.has(name, size):
            source.unlink()
            return False
        if name in self._broken:
            self.write(name, source.read_bytes())
            source.unlink()
            return True
        return self.inner.write_file(name, source)


def pack_limits(bandwidth: float | None) -> int:
    """How long a new pack may be: what 30 seconds carry at so many bytes a second, between 4 and 64 MiB."""
    if bandwidth is None:
        return _UNMEASURED
    return int(min(_LARGEST, max(_SMALLEST, 30 * bandwidth)))
