"""The pack: many stored objects in one file that is written once and can be read from its end.

Here are its header, its footer (which object lies where) and its tail (where the footer lies). The objects between them
are written by ``datavc/store/packwriter.py``. A pack's name is the xxh128 of all its bytes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, chain, compress
from operator import gt, ne

import xxhash

from datavc.errors import MalformedError
from datavc.formats import codec
from datavc.formats.columns import are_digests, decode_digests, decode_integers, encode_integers
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import FORMAT, HEADER_BYTES, KNOWN_FORMATS, FileType, decode_header, encode_header

PACK = FileType(b"dvPK", FORMAT, "pack", KNOWN_FORMATS)

MAX_PACK_BYTES = 64 << 20
MAX_PACK_ENTRIES = 65_536
MAX_ENTRY_BYTES = 1 << 20
"""Of one entry, before compression. Whatever is longer is cut, and kept as a chunk list."""

# What a pack contains: blobs and chunks, or trees, records and chunk lists, which are fetched for other reasons.
DATA = 0
META = 1

# The form of an entry: the object itself, or a chunk list that stands for it.
WHOLE = 0
LIST = 1

# The codec of an entry.
NONE = 0
ZSTD = 1

_TAIL = struct.Struct("<I16s4s")  # stored length of the footer, its xxh128, magic
_TAIL_MAGIC = b"dvPE"
TAIL_BYTES = _TAIL.size
_COUNT = struct.Struct("<I")
_ROW_BYTES = 1 + 1 + 4 + 4  # form, codec, stored, raw; the digest comes on top
_MAX_FOOTER_BYTES = _COUNT.size + MAX_PACK_ENTRIES * (_ROW_BYTES + max(a.length for a in ALGORITHMS.values()))
_IS_NOT_COMPRESSED = bytes(number == NONE for number in range(256))
_CHOICES = b"\0\1"


@dataclass(slots=True)
class PackFooter:
    """What a pack holds, as columns in the order of the bytes; lengths in bytes, ``stored`` as they lie in the pack."""

    algorithm: str
    content: int
    digests: list[bytes]
    forms: bytes
    codecs: bytes
    stored: array[int]
    raw: array[int]

    def offsets(self) -> Iterator[int]:
        """Where in the pack each entry starts, and where the last one ends."""
        return accumulate(chain((HEADER_BYTES,), self.stored))


def encode_pack_header(algorithm: str, content: int) -> bytes:
    """The first bytes of a pack; ``content`` is DATA or META."""
    return encode_header(PACK, algorithm, content)


def encode_pack_footer(footer: PackFooter) -> bytes:
    """The footer and the tail, which end the pack.

    Raises:
        MalformedError: no reader would take it, for instance because an entry is too long.
    """
    count = len(footer.digests)
    if not count == len(footer.forms) == len(footer.codecs) == len(footer.stored) == len(footer.raw):
        raise MalformedError("a pack's footer has columns of different lengths")
    digests = b"".join(footer.digests)
    if not are_digests(footer.digests, digests, ALGORITHMS[footer.algorithm].length):
        raise MalformedError(f"a pack's footer has a digest that is none of {footer.algorithm}")
    if len(set(footer.digests)) != count:
        raise MalformedError("a pack holds an object twice")
    _check(footer)
    columns = (
        _COUNT.pack(count),
        digests,
        footer.forms,
        footer.codecs,
        encode_integers("I", footer.stored),
        encode_integers("I", footer.raw),
    )
    stored = codec.encode_frame(b"".join(columns), hashed=False)
    ending = stored + _TAIL.pack(len(stored), xxhash.xxh3_128_digest(stored), _TAIL_MAGIC)
    if HEADER_BYTES + sum(footer.stored) + len(ending) > MAX_PACK_BYTES:
        raise MalformedError(f"a pack would have more than {MAX_PACK_BYTES:,} bytes")
    return ending


def decode_pack_tail(tail: bytes, pack_size: int) -> tuple[int, int, bytes]:
    """The footer's offset, its stored length and its xxh128, out of the last 24 bytes of a pack of ``pack_size`` bytes.

    Raises:
        MalformedError: no pack ends so.
    """
    if len(tail) != TAIL_BYTES or not HEADER_BYTES + TAIL_BYTES < pack_size <= MAX_PACK_BYTES:
        raise MalformedError(f"a pack cannot have {pack_size:,} bytes and end in a tail of {len(tail)}")
    length, footer_xxh, magic = _TAIL.unpack(tail)
    if magic != _TAIL_MAGIC:
        raise MalformedError("this pack does not end as one: it was cut off or overwritten")
    offset = pack_size - TAIL_BYTES - length
    if not length or offset < HEADER_BYTES:
        raise MalformedError(f"a pack of {pack_size:,} bytes has no room for a footer of {length:,}")
    return offset, length, footer_xxh


def format_number(header: bytes) -> int:
    """The format number of the pack that starts with ``header``. Raises UnsupportedFormat, MalformedError."""
    decode_pack_header(header)
    return header[4]


def decode_pack_header(header: bytes) -> tuple[str, int]:
    """The algorithm and the content, DATA or META, of the pack that starts with ``header``.

    Raises:
        UnsupportedFormat: a format number or algorithm that this version does not know.
        MalformedError: no pack starts so.
    """
    return decode_header(header, PACK, extras=2)


def decode_pack_footer(header: bytes, frame: bytes, footer_xxh: bytes, footer_offset: int) -> PackFooter:
    """What a pack holds: ``header`` is its first 8 bytes, ``frame`` its footer, which its tail says the rest of.

    Raises:
        UnsupportedFormat: a format number or algorithm that this version does not know.
        MalformedError: the footer is damaged, or does not describe what lies before it.
    """
    algorithm, content = decode_pack_header(header)
    if xxhash.xxh3_128_digest(frame) != footer_xxh:
        raise MalformedError("this pack's footer does not have the xxh128 that its tail gives")
    footer = codec.decode_frame(frame, _MAX_FOOTER_BYTES)
    length = ALGORITHMS[algorithm].length
    count = _COUNT.unpack_from(footer)[0] if len(footer) >= _COUNT.size else -1
    if count > MAX_PACK_ENTRIES or len(footer) != _COUNT.size + count * (_ROW_BYTES + length):
        raise MalformedError(f"a pack's footer of {len(footer):,} bytes cannot have {count:,} entries")
    view = memoryview(footer)
    forms_at = _COUNT.size + count * length
    codecs_at = forms_at + count
    stored_at = codecs_at + count
    raw_at = stored_at + 4 * count
    decoded = PackFooter(
        algorithm,
        content,
        decode_digests(view[_COUNT.size : forms_at], length),
        footer[forms_at:codecs_at],
        footer[codecs_at:stored_at],
        decode_integers("I", view[stored_at:raw_at]),
        decode_integers("I", view[raw_at:]),
    )
    _check(decoded)
    if HEADER_BYTES + sum(decoded.stored) != footer_offset:
        raise MalformedError(f"a pack's footer does not add up to the {footer_offset:,} bytes before it")
    return decoded


def _check(footer: PackFooter) -> None:
    """What holds for the columns of every footer, besides their lengths.

    Raises:
        MalformedError: it does not hold.
    """
    if footer.content not in (DATA, META) or len(footer.digests) > MAX_PACK_ENTRIES:
        raise MalformedError(
            f"a pack of content {footer.content} cannot have {len(footer.digests):,} entries"
        )
    if footer.forms.translate(None, _CHOICES) or footer.codecs.translate(None, _CHOICES):
        raise MalformedError(
            "a pack has an entry of a form or codec that this version of datavc does not know"
        )
    if max(footer.raw, default=0) > MAX_ENTRY_BYTES:
        raise MalformedError(f"a pack has an entry of more than {MAX_ENTRY_BYTES:,} bytes")
    plain = footer.codecs.translate(_IS_NOT_COMPRESSED)
    if any(map(gt, footer.stored, footer.raw)) or any(compress(map(ne, footer.stored, footer.raw), plain)):
        raise MalformedError("a pack has an entry that is stored in another length than it can have")
