"""Every parser of bytes that strangers, bad disks or cut transfers may have written, by sheer number of inputs.

The other files here look for what is odd; here valid encodings are damaged by lot, inside of their seals too: each
gives a value that can be written and read again, or an error of datavc. ``-m slow`` gives more than a million inputs.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xxhash

from datavc.backends.memory import MemoryBackend
from datavc.errors import DatavcError
from datavc.formats import codec
from datavc.formats.chunklist import decode_chunk_list, encode_chunk_list
from datavc.formats.config import read_config
from datavc.formats.decisions import Decisions, decode_decisions, encode_decisions
from datavc.formats.digest import Digest
from datavc.formats.expiry import Expiry, decode_expiry, encode_expiry
from datavc.formats.pack import TAIL_BYTES, decode_pack_footer, decode_pack_header, decode_pack_tail
from datavc.formats.packindex import PackIndexReader
from datavc.formats.pointer import format_pointer, parse_pointer
from datavc.formats.purged import Purged, decode_purged, encode_purged
from datavc.formats.record import decode_record, encode_record
from datavc.formats.root import decode_root, encode_root
from datavc.formats.state import decode_state, encode_state
from datavc.formats.tombstone import (
    RemovedRoots,
    Rewritten,
    Tombstone,
    decode_removed,
    decode_rewritten,
    decode_tombstone,
    encode_removed,
    encode_rewritten,
    encode_tombstone,
)
from datavc.formats.tree import decode_tree, encode_tree
from datavc.store import layout
from datavc.store.note import check_note

GOLDEN = Path(__file__).parents[1] / "golden"
_PARTS = 4

_BYTES = [
    b"\0",
    b"\1",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff" * 4,
    b"\xff" * 8,
    bytes(8),
    b"\n",
    b'"',
    b"[",
    b"{",
    b"=",
    b"../",
]
_ODD: list[Any] = [
    *(None, True, 0, -1, 1, 2, 1.5, 1e308, 2**31, 2**63, 2**64, 10**30, "", " ", "x", "..", "/", "a\0b", "\ud800", "é"),
    *("x" * 300, "xxh128:" + "0" * 32, "blake3:" + "0" * 64, "xxh128:0", "folder", "record", "9999-99-99T99:99:99Z"),
    *([], [0], [[]], [None] * 9, ["x", "x"], {}, {"": {}}, {"format": 9}, {"digest": "x"}),
]  # fmt: skip


def _golden(name: str) -> bytes:
    data = (GOLDEN / name).read_bytes()
    return bytes.fromhex(data.decode()) if name.endswith(".hex") else data


def _same(data: bytes) -> bytes:
    return data


def _sealed(body: bytes) -> bytes:
    return body + b"xxh128:" + xxhash.xxh3_128_hexdigest(body).encode() + b"\n"


def _body(sealed: bytes) -> bytes:
    return sealed[: sealed.index(b"\n") + 1]


@dataclass(frozen=True)
class Parser:
    """What reads ``samples``, and writes again what it read; damage goes into what ``seal`` makes an input of."""

    samples: list[bytes]
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes] | None = None
    seal: Callable[[bytes], bytes] = _same
    is_canonical: bool = False


def _text(samples: list[bytes], read: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Parser:
    return Parser([_body(sample) for sample in samples], read, write, _sealed)


def _read_index(data: bytes) -> list[Any]:
    reader = PackIndexReader(lambda start, length: data[start : start + length], len(data))
    rows = list(reader.rows())
    assert len(rows) == reader.row_count and all(row[1] < len(reader.packs) for row in rows)
    assert all(reader.find(row[0]) is not None for row in rows[:3])
    return rows


def _head_again(head: bytes) -> bytes:
    """A pack index whose head, with its frames behind it, was sealed with nonsense in it."""
    size = int.from_bytes(head[:2], "little") % max(1, len(head))
    packed = codec.encode_frame(head[2:size])
    return (
        b"dvIX\1\1\0\0"
        + struct.pack("<I", len(packed))
        + xxhash.xxh3_128_digest(packed)
        + packed
        + head[size:]
    )


def _index_parts(index: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", index, 8)
    head = codec.decode_frame(index[28 : 28 + length], 1 << 20)
    return (2 + len(head)).to_bytes(2, "little") + head + index[28 + length :]


def _read_footer(frame: bytes) -> Any:
    footer = decode_pack_footer(b"dvPK\1\1\0\0", frame, xxhash.xxh3_128_digest(frame), _ENTRIES_END)
    assert sum(footer.stored) == _ENTRIES_END - 8
    assert len(footer.digests) == len(footer.raw) == len(footer.forms) == len(footer.codecs)
    return None


def _read_tail(data: bytes) -> None:
    size = int.from_bytes(data[:4], "little")
    start, length, digest = decode_pack_tail(data[4:], size)
    assert start >= 8 and start + length + TAIL_BYTES == size and len(digest) == 16


def _read_note(data: bytes) -> None:
    backend = MemoryBackend()
    backend.write(layout.STORE_NOTE, data)
    check_note(backend, create=False)


_PACK = _golden("pack-format1-data.hex")
_ENTRIES_END, _FOOTER_LENGTH, _ = decode_pack_tail(_PACK[-TAIL_BYTES:], len(_PACK))
_FOOTER = _PACK[_ENTRIES_END : _ENTRIES_END + _FOOTER_LENGTH]
_INDEX = _golden("packindex-format1-xxh128.hex")
_ROOTS = [_golden(f"root-format{number}-{kind}.txt") for number in (0, 1) for kind in ("dataset", "record")]
_STATES = [_golden(f"state-format{number}-{kind}.txt") for number in (0, 1) for kind in ("full", "new")]
_POINTERS = [_golden(f"pointer-format1-{kind}.datavc") for kind in ("file", "folder", "symlink-blake3")]
_CONFIG = (
    b'format = 1\nrepo = "%032d"\nhash = "xxh128"\n\n'
    b'[remote]\ndefault = "origin"\n\n[remote.origin]\nurl = "s3://bucket/a"\n\n[stages.train]\ncommand = "python x"\n'
    % 7
)
_LOCAL = (
    b'[cache]\nlink = "hardlink,copy"\nshare_above = "1 MiB"\n\n[remote.origin]\nallow = "s3://bucket/a"\n'
)
_SAID = ("0" * 32, "ada@host", "2026-05-04T10:00:00Z")
_NAMES = tuple(f"xxh128-{number:032x}" for number in range(4))
_DIGEST = Digest("xxh128", bytes(range(16)))

PARSERS = {
    "tree": Parser(
        [_golden(f"tree-version1-{kind}.hex") for kind in ("empty", "xxh128")],
        lambda data: decode_tree(data, "xxh128"),
        encode_tree,
        is_canonical=True,
    ),
    "chunk list": Parser(
        [_golden("chunklist-format1-xxh128.hex")],
        lambda data: decode_chunk_list(data, "xxh128"),
        encode_chunk_list,
    ),
    "pack header": Parser([_PACK[:8]], decode_pack_header),
    "pack tail": Parser([len(_PACK).to_bytes(4, "little") + _PACK[-TAIL_BYTES:]], _read_tail),
    "pack footer": Parser([_FOOTER], _read_footer),
    "what is in a pack footer": Parser(
        [codec.decode_frame(_FOOTER, 1 << 20)], _read_footer, None, codec.encode_frame
    ),
    "pack index": Parser([_INDEX], _read_index),
    "what is in a pack index": Parser([_index_parts(_INDEX)], _read_index, None, _head_again),
    "root": Parser(_ROOTS, decode_root, encode_root),
    "what is in a root": _text(_ROOTS, decode_root, encode_root),
    "state": _text(_STATES, lambda data: decode_state(data, "it"), encode_state),
    "pointer": Parser(_POINTERS, lambda data: parse_pointer(data, "it"), format_pointer),
    "record": Parser(
        [_golden("record-format1.json")],
        lambda data: decode_record(data).values,
        encode_record,
        is_canonical=True,
    ),
    "configuration": Parser([_LOCAL], lambda data: read_config(data, "it")),
    "committed configuration": Parser([_CONFIG], lambda data: read_config(data, "it", committed=True)),
    "tombstone": _text(
        [encode_tombstone(Tombstone(*_SAID, _NAMES[:2], _NAMES[2:], _NAMES[:1]))], decode_tombstone, encode_tombstone
    ),
    "removed roots": _text(
        [encode_removed(RemovedRoots(*_SAID, ("a", "b")))], decode_removed, encode_removed
    ),
    "rewritten": _text(
        [encode_rewritten(Rewritten(*_SAID, _NAMES[:1], ((_NAMES[1], _NAMES[3]),)))],
        decode_rewritten,
        encode_rewritten,
    ),
    "purged": _text([encode_purged(Purged(_DIGEST, 12, "why", *_SAID[1:], _SAID[0]))], decode_purged, encode_purged),
    "expired": _text(
        [encode_expiry(Expiry(*_SAID[1:], decode_root(_ROOTS[2])))], decode_expiry, encode_expiry
    ),
    "decisions": _text(
        [encode_decisions(Decisions(b"data", str(_DIGEST), str(_DIGEST), {b"a": "ours"}))],
        lambda data: decode_decisions(data, "it"),
        encode_decisions,
    ),
    "frame": Parser([codec.encode_frame(b"frame " * 50)], lambda data: codec.decode_frame(data, 1000)),
    "entry": Parser([codec.encode_frame(b"entry " * 50)], lambda data: codec.decompress(data, 300)),
    "store's note": Parser([b'{"datavc": "0.1.0", "format": 1, "id": "%032d"}\n' % 5], _read_note),
}  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
@pytest.mark.parametrize(
    ("part", "inputs"),
    [(0, 200), *(pytest.param(part, 12_500, marks=pytest.mark.slow) for part in range(1, _PARTS + 1))],
)
def test_a_damaged_input_is_a_value_or_an_error_of_datavc(
    record_property: Callable[[str, object], None], seed: int | None, name: str, part: int, inputs: int
):
    parser, lot, read = PARSERS[name], random.Random(f"{name} {part} {seed}"), 0
    for sample in parser.samples:
        parser.read(parser.seal(sample))
    for number in range(inputs):
        data = parser.seal(_damaged(lot, parser.samples))
        try:
            read += _is_read(parser, data)
        except BaseException as error:
            error.add_note(f"input {number} of {name}, part {part}, --seed {seed}: {data!r}")
            raise
    record_property("inputs", inputs)
    print(f"{name}: {inputs} inputs, {read} of them read")


def _is_read(parser: Parser, data: bytes) -> bool:
    try:
        value = parser.read(data)
    except DatavcError:
        return False
    if parser.write is not None:
        again = parser.write(value)
        assert again == data or not parser.is_canonical
        assert parser.read(again) == value
    return True


def _damaged(lot: random.Random, samples: list[bytes]) -> bytes:
    data = bytearray(lot.choice(samples))
    if data[:1] == b"{" and b"xxh128:" not in data[-41:] and lot.random() < 0.5:
        return _otherwise(lot, bytes(data))
    for _ in range(lot.choice([1, 1, 1, 2, 3])):
        start = lot.randrange(len(data) + 1)
        end = min(len(data), start + lot.choice([1, 1, 2, 4, 8, 16, 40]))
        match lot.randrange(8):
            case 0 if data:
                data[min(start, len(data) - 1)] ^= 1 << lot.randrange(8)
            case 1:
                piece = lot.choice(_BYTES)
                data[start : start + len(piece)] = piece
            case 2:
                data[start:start] = lot.choice(_BYTES) * lot.choice([1, 1, 2, 100])
            case 3:
                data[start:start] = data[start:end]
            case 4:
                del data[start:end]
            case 5:
                del data[start:]
            case 6:
                data[start:] = lot.choice(samples)[start:]
            case _:
                data[start:end] = lot.randbytes(end - start)
    return bytes(data)


def _otherwise(lot: random.Random, text: bytes) -> bytes:
    """An object of JSON with something else in one of its places, written as ours are."""
    values = json.loads(text) if lot.random() < 0.9 else [deepcopy(lot.choice(_ODD))]
    place: Any = values
    while True:
        key = lot.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or lot.random() < 0.4:
            break
        place = place[key]
    match lot.randrange(6):
        case 0 if isinstance(place, dict):
            del place[key]
        case 1 if isinstance(place, dict):
            place[lot.choice(["", "x", "format", "\ud800"])] = deepcopy(lot.choice(_ODD))
        case _:
            place[key] = deepcopy(lot.choice(_ODD))
    end = "\n" if text.endswith(b"\n") else ""
    values = values[0] if isinstance(values, list) and values else values
    return (json.dumps(values, sort_keys=True, separators=(",", ":")) + end).encode()
