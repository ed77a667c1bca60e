"""Compression of stored bytes: zstd frames that never decode to more than was announced.

The only module that knows where Python keeps zstd. Whether something is worth compressing is decided elsewhere
(``datavc/store/compression.py``).
"""

from __future__ import annotations

import sys
import threading

from datavc.errors import MalformedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 1
"""Level 3 takes twice the time for a CSV and makes 20 % more bytes of it; for 8 KiB of words, half as much again and 5 %
more (``tests/benchmarks/formats.py``)."""

MAX_WINDOW_LOG = 21
"""A frame may look back 2 MiB, which is what a reader must be able to hold besides the output."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_CONTENT_HASH = 201  # ZSTD_c_checksumFlag: four bytes of XXH64 after the content, which every zstd verifies
_READING: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG}


class _Compressors(threading.local):
    """One compressor per thread, level and kind of frame: making a new one takes 4 microseconds of 40 for 8 KiB."""

    def __init__(self) -> None:
        self.made: dict[tuple[int, bool], zstd.ZstdCompressor] = {}


_compressors = _Compressors()


def compress(data: bytes | memoryview, level: int = LEVEL) -> bytes | None:
    """``data`` as one zstd frame that declares its length, or None where that would not be smaller."""
    packed = encode_frame(data, level=level, hashed=False)
    return packed if len(packed) < len(data) else None


def encode_frame(data: bytes | memoryview, *, level: int = LEVEL, hashed: bool = True) -> bytes:
    """``data`` as one zstd frame whatever its size; ``hashed`` adds zstd's own four bytes against accidents."""
    compressor = _compressors.made.get((level, hashed))
    if compressor is None:
        options = {
            zstd.CompressionParameter.compression_level: level,
            zstd.CompressionParameter.window_log: MAX_WINDOW_LOG,
            _CONTENT_HASH: int(hashed),
        }
        compressor = _compressors.made[level, hashed] = zstd.ZstdCompressor(options=options)
    return compressor.compress(data, zstd.ZstdCompressor.FLUSH_FRAME)


def decompress(stored: bytes | memoryview, raw_length: int) -> bytes:
    """The content of ``stored``, which must be exactly one zstd frame of exactly ``raw_length`` bytes of content.

    Allocates ``raw_length``, which the caller has capped, and at most 2 MiB besides, whatever the frame claims.

    Raises:
        MalformedError: it is anything else.
    """
    if stored[:4] != _MAGIC:  # a skippable frame would pass for an empty one
        raise MalformedError("stored bytes are no zstd frame")
    decompressor = zstd.ZstdDecompressor(options=_READING)
    try:
        content = decompressor.decompress(stored, raw_length)
        if not decompressor.eof and not decompressor.needs_input:
            content += decompressor.decompress(
                b"", 1
            )  # the output is full: the frame ends here, or is too long
    except zstd.ZstdError as error:
        raise MalformedError(f"stored bytes are a damaged zstd frame: {error}") from None
    if len(content) != raw_length or not decompressor.eof or decompressor.unused_data:
        raise MalformedError(f"stored bytes are not one whole zstd frame of {raw_length:,} bytes of content")
    return content


def decode_frame(stored: bytes | memoryview, limit: int) -> bytes:
    """The content of one zstd frame that declares its own length, of at most ``limit`` bytes.

    Raises:
        MalformedError: it is anything else.
    """
    try:
        declared: int | None = zstd.get_frame_info(stored).decompressed_size
    except zstd.ZstdError as error:
        raise MalformedError(f"stored bytes are no zstd frame: {error}") from None
    if declared is None or declared > limit:
        raise MalformedError(
            f"a zstd frame declares {declared} bytes of content where at most {limit:,} may be"
        )
    return decompress(stored, declared)
