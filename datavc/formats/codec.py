"""Compression of pack entries and footers: zstd, with nothing believed about what comes back."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

from datavc.errors import MalformedError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Level 1 packs text 5 % worse than level 3 and is twice as fast (tests/benchmarks/compare.py, case add-csv).
_LEVEL = 1
_MAX_WINDOW_LOG = 21
_READ_OPTIONS = {zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}


@cache
def _write_options(large: bool) -> dict[Any, int]:
    options = {zstd.CompressionParameter.compression_level: _LEVEL}
    if large:
        options[zstd.CompressionParameter.window_log] = _MAX_WINDOW_LOG
    return options


def compress(data: bytes) -> bytes | None:
    """One zstd frame that declares its content's length, with a window of at most 2 MiB; None where it is not smaller."""
    packed = zstd.compress(data, options=_write_options(len(data) > 1 << _MAX_WINDOW_LOG))
    return packed if len(packed) < len(data) else None


def compress_always(data: bytes) -> bytes:
    """As :func:`compress`, for footers and indexes, which are always frames."""
    return zstd.compress(data, options=_write_options(len(data) > 1 << _MAX_WINDOW_LOG))


def decompress(stored: bytes, raw_length: int) -> bytes:
    """The content of one zstd frame, which must be exactly ``raw_length`` bytes long.

    Output is capped at that length and the window at 2 MiB, whatever the frame says.

    Raises:
        MalformedError: it is no frame, or more than one, or of another length.
    """
    decoder = zstd.ZstdDecompressor(options=_READ_OPTIONS)
    try:
        content = decoder.decompress(stored, raw_length)
        if not decoder.eof and len(content) == raw_length:
            # All content is out, but the end of the frame was not read yet; a byte more would be one too many.
            if decoder.decompress(b"", 1):
                raise MalformedError(f"a zstd frame holds more than the {raw_length} bytes declared")
    except zstd.ZstdError as error:
        raise MalformedError(f"a zstd frame cannot be decoded: {error}") from error
    if not decoder.eof or decoder.unused_data or len(content) != raw_length:
        raise MalformedError(f"a zstd frame does not hold the {raw_length} bytes declared")
    return content


def declared_length(frame: bytes) -> int | None:
    """The length of its content that a zstd frame declares, None where it does not. Raises MalformedError."""
    try:
        return zstd.get_frame_info(frame[:32]).decompressed_size
    except zstd.ZstdError as error:
        raise MalformedError(f"a zstd frame cannot be read: {error}") from error
