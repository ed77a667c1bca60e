"""The pack: one stored file holding many objects, read from its end. Specified in ``docs/reference/formats.md``."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass

import xxhash

from datavc.errors import MalformedError
from datavc.formats import codec
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import FORMAT, HEADER_BYTES, decode_header, encode_header

MAX_PACK_BYTES = 64 << 20
MAX_PACK_ENTRIES = 65_536
MAX_ENTRY_BYTES = 1 << 20
DATA, META = 0, 1
WHOLE, LIST = 0, 1
NONE, ZSTD = 0, 1

_MAGIC, _END = b"dvPK", b"dvPE"
_TAIL = struct.Struct("<I16s4s")
TAIL_BYTES = _TAIL.size
_COUNT = struct.Struct("<I")
_PER_ENTRY = 10  # form, codec, stored length, raw length; the digest comes on top
_BIG_ENDIAN = sys.byteorder == "big"


@dataclass(slots=True)
class PackFooter:
    """What a pack holds, in the order in which it lies there. ``stored`` and ``raw`` are lengths in bytes."""

    algorithm: str
    content: int
    digests: list[bytes]
    forms: bytes
    codecs: bytes
    stored: array[int]
    raw: array[int]


def encode_pack_header(algorithm: str, content: int) -> bytes:
    """The first bytes of a pack; ``content`` is DATA or META."""
    return encode_header(_MAGIC, FORMAT, algorithm, content)


def decode_pack_header(data: bytes) -> tuple[str, int]:
    """The algorithm and content of a pack. Raises UnsupportedFormat, MalformedError."""
    algorithm, content = decode_header(data, _MAGIC, FORMAT, "a pack")
    if content > META:
        raise MalformedError(f"a pack has content number {content}")
    return algorithm.name, content


def encode_pack_footer(footer: PackFooter) -> bytes:
    """The footer as a zstd frame, and the tail behind it."""
    stored, raw = footer.stored, footer.raw
    if _BIG_ENDIAN:
        stored, raw = array("I", stored), array("I", raw)
        stored.byteswap()
        raw.byteswap()
    count = _COUNT.pack(len(footer.digests))
    columns = (count, *footer.digests, footer.forms, footer.codecs, stored.tobytes(), raw.tobytes())
    frame = codec.compress_always(b"".join(columns))
    return frame + _TAIL.pack(len(frame), xxhash.xxh3_128_digest(frame), _END)


def decode_pack_tail(tail: bytes, pack_size: int) -> tuple[int, int, bytes]:
    """Where the footer's frame begins, its length, and its xxh128, out of a pack's last bytes. Raises MalformedError."""
    if len(tail) < TAIL_BYTES or pack_size > MAX_PACK_BYTES:
        raise MalformedError("a pack is cut short, or larger than 64 MiB")
    length, digest, end = _TAIL.unpack(tail[-TAIL_BYTES:])
    start = pack_size - TAIL_BYTES - length
    if end != _END or start < HEADER_BYTES:
        raise MalformedError("a pack does not end as a pack does")
    return start, length, digest


def decode_pack_footer(header: bytes, frame: bytes, digest: bytes, footer_start: int) -> PackFooter:
    """Read a footer out of its frame, checked against the pack's header and size.

    Raises:
        UnsupportedFormat: the pack's format number or algorithm is unknown.
        MalformedError: anything else is wrong with it.
    """
    algorithm, content = decode_pack_header(header)
    if xxhash.xxh3_128_digest(frame) != digest:
        raise MalformedError("a pack's footer is damaged")
    per_entry = ALGORITHMS[algorithm].length + _PER_ENTRY
    body = _decompress_footer(frame, per_entry)
    (count,) = _COUNT.unpack_from(body)
    length = per_entry - _PER_ENTRY
    forms_at = 4 + length * count
    forms, codecs = body[forms_at : forms_at + count], body[forms_at + count : forms_at + 2 * count]
    stored, raw = array("I"), array("I")
    stored.frombytes(body[forms_at + 2 * count : forms_at + 6 * count])
    raw.frombytes(body[forms_at + 6 * count :])
    if _BIG_ENDIAN:
        stored.byteswap()
        raw.byteswap()
    if forms.translate(None, b"\0\1") or codecs.translate(None, b"\0\1"):
        raise MalformedError("a pack has an entry of unknown form or codec")
    if count and max(raw) > MAX_ENTRY_BYTES:
        raise MalformedError("a pack has an entry of more than 1 MiB")
    if HEADER_BYTES + sum(stored) != footer_start:
        raise MalformedError("a pack's entries do not fill it")
    digests = [body[at : at + length] for at in range(4, forms_at, length)]
    return PackFooter(algorithm, content, digests, forms, codecs, stored, raw)


def _decompress_footer(frame: bytes, per_entry: int) -> bytes:
    """The footer's columns: their length is that of a whole number of entries, 65,536 at most."""
    size = codec.declared_length(frame)
    if size is None or size > 4 + per_entry * MAX_PACK_ENTRIES or size < 4 or (size - 4) % per_entry:
        raise MalformedError("a pack's footer declares a length that no footer has")
    body = codec.decompress(frame, size)
    if _COUNT.unpack_from(body)[0] * per_entry + 4 != size:
        raise MalformedError("a pack's footer declares another number of entries than it holds")
    return body
