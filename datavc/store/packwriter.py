"""One pack being written: entries in, a sealed temporary file out. Publishing it is the caller's.

Hot path of ``add``: about 2 microseconds an entry besides hashing and compressing (tests/benchmarks/compare.py, case
``add``), which is why small entries are joined before they are written.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from pathlib import Path
from typing import NamedTuple

import xxhash

from datavc.durable import storage_errors, write_all
from datavc.formats.pack import (
    MAX_PACK_BYTES,
    MAX_PACK_ENTRIES,
    NONE,
    ZSTD,
    PackFooter,
    encode_pack_footer,
    encode_pack_header,
)

# What a full footer may need: 65,536 entries of 32 + 10 bytes, and zstd's own overhead.
_FOOTER_ROOM = 3 << 20
_BUFFER_BYTES = 1 << 20
# From this size on joining costs more than a call of its own.
_WRITTEN_AT_ONCE = 64 << 10


class SealedPack(NamedTuple):
    """A finished pack: ``name`` is the raw xxh128 of its ``size`` bytes, at ``path`` until it is published."""

    name: bytes
    size: int
    path: Path
    footer: PackFooter


class PackWriter:
    """Writes one pack into ``folder``. Not for several threads. What writes raises OutOfSpace, StorageError."""

    def __init__(self, folder: Path, algorithm: str, content: int) -> None:
        self._path = folder / f"pack-{os.getpid()}-{os.urandom(8).hex()}"
        with storage_errors(self._path):
            self._fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._hash = xxhash.xxh3_128()
        self._algorithm = algorithm
        self._content = content
        self._digests: list[bytes] = []
        self._forms = bytearray()
        self._codecs = bytearray()
        self._stored = array("I")
        self._raw = array("I")
        self._buffer: list[bytes] = []
        self._buffered = 0
        self.size = 0
        self.failed = False
        self._put(encode_pack_header(algorithm, content))

    def __len__(self) -> int:
        return len(self._digests)

    def has_room(self, stored_length: int) -> bool:
        """Whether an entry of ``stored_length`` bytes still fits."""
        return (
            len(self._digests) < MAX_PACK_ENTRIES
            and self.size + stored_length + _FOOTER_ROOM <= MAX_PACK_BYTES
        )

    def add(self, digest: bytes, raw: bytes | memoryview, form: int, packed: bytes | None = None) -> int:
        """Append an entry of content ``raw``, or ``packed``, its zstd frame where that is smaller; returns what it takes.

        A view is not needed any more on return.
        """
        stored = raw if packed is None else packed
        return self.add_stored(digest, stored, len(raw), form, NONE if packed is None else ZSTD)

    def add_stored(
        self, digest: bytes, stored: bytes | memoryview, raw_length: int, form: int, codec: int
    ) -> int:
        """As :meth:`add`, of bytes as another pack has them."""
        self._digests.append(digest)
        self._forms.append(form)
        self._codecs.append(codec)
        self._stored.append(len(stored))
        self._raw.append(raw_length)
        self._put(stored)
        return len(stored)

    def seal(self) -> SealedPack:
        """Write the footer and close the file. It is not yet durable and has no name in the store."""
        footer = PackFooter(
            self._algorithm,
            self._content,
            self._digests,
            bytes(self._forms),
            bytes(self._codecs),
            self._stored,
            self._raw,
        )
        self._put(encode_pack_footer(footer))
        self._flush()
        with storage_errors(self._path):
            os.close(self._fd)
        self._fd = -1
        return SealedPack(self._hash.digest(), self.size, self._path, footer)

    def abandon(self) -> None:
        """Drop the unfinished file; one that the disk does not let go is swept by whoever writes next."""
        fd, self._fd = self._fd, -1
        # What went wrong before is what is to be told, not that the disk takes nothing at all any more.
        with contextlib.suppress(OSError):
            if fd >= 0:
                os.close(fd)
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _put(self, data: bytes | memoryview) -> None:
        self.size += len(data)
        if len(data) >= _WRITTEN_AT_ONCE:
            self._flush()
            self._write(data)
            return
        self._buffer.append(bytes(data))
        self._buffered += len(data)
        if self._buffered >= _BUFFER_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._buffer:
            self._write(b"".join(self._buffer))
            self._buffer.clear()
            self._buffered = 0

    def _write(self, block: bytes | memoryview) -> None:
        # Hash the very bytes that are written, not another copy of them.
        self._hash.update(block)
        try:
            with storage_errors(self._path):
                write_all(self._fd, block)
        except BaseException:
            # Nobody knows what the file has now: it must not be sealed, and cannot be, closed.
            self.failed = True
            self.abandon()
            raise
