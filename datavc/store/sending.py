"""Sending objects from the cache to a remote: whole packs as they are, the rest copied into new ones.

Payloads are copied as they are stored, but hashed first: what is damaged here is not sent. The order is fixed by what is
sent, so that a push that was interrupted makes the same packs again, asks for each by name, and sends none twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import xxhash

from datavc.backends.base import Backend, is_there
from datavc.errors import ConflictError, DatavcError
from datavc.formats.digest import hash_function
from datavc.formats.header import HEADER_BYTES
from datavc.formats.pack import DATA, MAX_PACK_BYTES, META, WHOLE, decode_pack_header
from datavc.parallel import map_ahead
from datavc.progress import Progress
from datavc.store import layout
from datavc.store.blobwriter import BlobWriter, pack_chunks
from datavc.store.check import is_blob
from datavc.store.chunking import BLOB_CUTS, cut_blocks, new_buffer
from datavc.store.compression import Compressor
from datavc.store.index import IndexBuilder, Location
from datavc.store.packreader import decode_entry, read_footer
from datavc.store.packstream import PackStream, closing_streams
from datavc.store.packwriter import SealedPack
from datavc.store.replacing import ReplacingBackend

# Packs below this are copied into larger ones where there are more than so many: each costs two requests, some 30 ms.
# One of more entries costs more to copy (25 microseconds each) than to send.
_SMALL_PACK, _FEW_ENTRIES, _MANY_SMALL = 4 << 20, 1000, 8
_WHOLE_BLOB = 1 << 20
_SMALLEST, _UNMEASURED, _LARGEST = 4 << 20, 32 << 20, 60 << 20


class SendSource(Protocol):
    """Where objects are sent from: packs in a backend, whole blobs as files."""

    @property
    def backend(self) -> Backend:
        """Where packs lie."""

    @property
    def algorithm(self) -> str:
        """That of the digests."""

    def blob_file(self, raw: bytes) -> Path:
        """Where the whole blob lies."""


@dataclass(slots=True)
class SendPlan:
    """``packs`` go as they are, ``entries`` are copied into new packs, ``blobs`` (whole files) are cut into chunks.

    ``found`` is where each object lies that is in a pack.
    """

    packs: list[SealedPack]
    found: Mapping[bytes, Location]
    blobs: dict[bytes, int]
    entries: dict[bytes, Location] = field(init=False)

    def __post_init__(self) -> None:
        sent = {digest for pack in self.packs for digest in pack.footer.digests}
        self.entries = {digest: row for digest, row in self.found.items() if digest not in sent}

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
    backend: Backend,
    found: Mapping[bytes, Location],
    blobs: dict[bytes, int],
    sizes: Mapping[bytes, int],
    pack_bytes: int,
) -> SendPlan:
    """Packs that hold nothing but wanted objects go as they are: a push sends no object that it was not asked for.

    Those that are longer than ``pack_bytes`` are cut into several, if the line is too slow for the longest.
    """
    longest = pack_bytes if pack_bytes < _UNMEASURED else MAX_PACK_BYTES
    whole: list[SealedPack] = []
    for pack in dict.fromkeys(location[0] for location in found.values()):
        try:
            footer = read_footer(backend, pack, sizes[pack])
        except DatavcError:
            # A damaged footer says nothing about the entries: they are looked at one by one.
            continue
        if sizes[pack] <= longest and all(map(found.__contains__, footer.digests)):
            whole.append(SealedPack(pack, sizes[pack], Path(), footer))
    large = [pack for pack in whole if pack.size >= _SMALL_PACK or len(pack.footer.digests) >= _FEW_ENTRIES]
    return SendPlan(large if len(whole) - len(large) > _MANY_SMALL else whole, found, blobs)


def _stored(backend: Backend, location: Location) -> bytes:
    return backend.read(layout.pack_path(location[0]), location[1], location[2])


class Sender:
    """Sends what a plan says. New packs have at most ``pack_bytes``; stored files that are ``broken`` are replaced.

    ``threads`` requests are under way at once, each with one pack in memory. ``rows`` says where what was sent lies.
    ``damaged`` are objects that were not sent, because what the cache has is not what their digests say.
    """

    def __init__(
        self,
        cache: SendSource,
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
        self.damaged: set[bytes] = set()

    def send(self, plan: SendPlan, scratch: Path, held: Callable[[bytes], bool]) -> None:
        """Send all of ``plan``; ``held`` says whether a chunk of a whole blob is there already.

        Raises:
            StorageError: the remote failed or refused. What was sent is found again by the next push.
            ConflictError: a file that is linked to the workspace was changed there meanwhile.
        """
        sent = []
        for pack, is_sound in map_ahead(self._send_pack, plan.packs, self._executor, self._threads):
            if is_sound:
                sent.append(pack)
                self._take(pack)
                self._progress.advance(size=pack.size, files=len(pack.footer.digests))
        if len(sent) < len(plan.packs):
            # What of a damaged pack is sound goes with the rest.
            plan = SendPlan(sent, plan.found, plan.blobs)
        streams = {content: self._stream(scratch, content) for content in (DATA, META)}
        with closing_streams(streams.values()):
            self._copy(plan.entries, streams)
            writer = BlobWriter(self._cache.algorithm, streams[DATA], streams[META], held)
            for digest, size in plan.blobs.items():
                self._cut(digest, size, streams[DATA], writer, held)

    def _send_pack(self, pack: SealedPack) -> tuple[SealedPack, bool]:
        """Send a pack as it is, unless it is there; whether it is what its name says."""
        path = layout.pack_path(pack.name)
        if self.target.has(path, pack.size):
            return pack, True
        try:
            data = self._cache.backend.read(path)
        except DatavcError:
            return pack, False
        if xxhash.xxh3_128_digest(data) != pack.name:
            return pack, False
        self.target.write(path, data)
        return pack, True

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
            try:
                if pack not in contents:
                    header = self._cache.backend.read(layout.pack_path(pack), 0, HEADER_BYTES)
                    contents[pack] = decode_pack_header(header)[1]
                stored = _stored(self._cache.backend, location)
                entry = decode_entry(self._cache.algorithm, digest, location, stored)
            except DatavcError:
                self.damaged.add(digest)
                continue
            streams[contents[pack]].add_stored(
                digest, entry.stored, len(entry.raw), entry.form, location[4] >> 1
            )
            self._progress.advance(size=len(stored), files=1)

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
        if not is_blob(self._cache.blob_file(digest), algorithm, digest):
            self.damaged.add(digest)
            return
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
            raise ConflictError(
                f"the blob {self._cache.blob_file(digest)} was changed while it was pushed", "datavc fsck"
            )
        self._progress.advance(size=size, files=1)


class _OnceBackend(ReplacingBackend):
    """Asks for a pack before it sends it: what is there in that length is not sent again, unless it is known to be broken."""

    def has(self, name: str, size: int) -> bool:
        return name not in self.broken and is_there(self.inner, name, size)

    def write_file(self, name: str, source: Path) -> bool:
        if self.has(name, source.stat().st_size):
            source.unlink()
            return False
        return super().write_file(name, source)


def pack_limits(bandwidth: float | None) -> int:
    """How long a new pack may be: what 30 seconds carry at so many bytes a second, between 4 and 64 MiB."""
    if bandwidth is None:
        return _UNMEASURED
    return int(min(_LARGEST, max(_SMALLEST, 30 * bandwidth)))
