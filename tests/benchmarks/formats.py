"""How long the binary formats take: python tests/benchmarks/formats.py [ROWS]

Prints the best of five runs, in milliseconds and in microseconds a row, and the memory that a decoded pack index keeps. The
docstrings of datavc/formats cite these figures.
"""

from __future__ import annotations

import random
import sys
import time
import tracemalloc
from array import array
from collections.abc import Callable
from typing import TypeVar

import xxhash

from datavc.formats import codec
from datavc.formats.chunklist import ChunkList, decode_chunk_list, encode_chunk_list
from datavc.formats.pack import (
    DATA,
    MAX_PACK_ENTRIES,
    PackFooter,
    decode_pack_footer,
    encode_pack_footer,
    encode_pack_header,
)
from datavc.formats.packindex import MAX_INDEX_ROWS, IndexColumns, PackIndexReader, encode_pack_index
from datavc.formats.tree import FILE, FOLDER, Tree, decode_tree, encode_tree

T = TypeVar("T")
NOISE = random.Random(0)


def measure(what: str, rows: int, work: Callable[[], T]) -> T:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    print(f"{what:<44}{best * 1e3:>10.2f} ms{best * 1e6 / rows:>10.3f} us a row")
    return result


def make_digests(count: int) -> list[bytes]:
    joined = NOISE.randbytes(16 * count)
    return [joined[at : at + 16] for at in range(0, 16 * count, 16)]


def time_trees(rows: int) -> None:
    for what, kind in (("files", FILE), ("folders", FOLDER)):
        tree = Tree(
            "xxh128",
            [b"%08d.jpg" % number for number in range(rows)],
            bytes([kind]) * rows,
            array("Q", [NOISE.randrange(20_000) for _ in range(rows)]),
            [1] * rows,
            make_digests(rows),
        )
        encoded = measure(f"tree of {rows:,} {what}: encode", rows, lambda tree=tree: encode_tree(tree))
        measure(f"tree of {rows:,} {what}: decode", rows, lambda data=encoded: decode_tree(data, "xxh128"))


def time_packs() -> None:
    rows = MAX_PACK_ENTRIES
    lengths = array("I", [NOISE.randrange(900) for _ in range(rows)])
    footer = PackFooter("xxh128", DATA, make_digests(rows), bytes(rows), bytes(rows), lengths, lengths)
    ending = measure(f"footer of {rows:,}: encode", rows, lambda: encode_pack_footer(footer))
    frame, header, end = ending[:-24], encode_pack_header("xxh128", DATA), 8 + sum(lengths)
    footer_xxh = xxhash.xxh3_128_digest(frame)
    measure(f"footer of {rows:,}: decode", rows, lambda: decode_pack_footer(header, frame, footer_xxh, end))


def time_chunk_lists(rows: int) -> None:
    listed = ChunkList("xxh128", 0, 1000 * rows, array("I", [1000]) * rows, make_digests(rows))
    encoded = measure(f"chunk list of {rows:,}: encode", rows, lambda: encode_chunk_list(listed))
    measure(f"chunk list of {rows:,}: decode", rows, lambda: decode_chunk_list(encoded, "xxh128"))


def time_indexes(rows: int) -> None:
    digests = sorted(make_digests(rows))
    packs = [(NOISE.randbytes(16), 64 << 20) for _ in range(128)]
    table = IndexColumns(
        digests,
        array("I", (n % 128 for n in range(rows))),
        array("I", (8 + NOISE.randrange(60 << 20) for _ in range(rows))),
        array("I", [5000]) * rows,
        array("I", [9000]) * rows,
        bytes([2]) * rows,
    )
    encoded = measure(f"index of {rows:,}: encode", rows, lambda: encode_pack_index("xxh128", packs, table))

    def open_index() -> PackIndexReader:
        return PackIndexReader(lambda start, length: encoded[start : start + length], len(encoded))

    def open_all() -> PackIndexReader:
        reader = open_index()
        for digest in digests[::1000]:
            reader.find(digest)
        return reader

    measure("  open", 1, open_index)
    reader = measure("  decode every frame", rows, open_all)
    wanted = NOISE.sample(digests, min(rows, 100_000))
    absent = make_digests(len(wanted))
    measure(f"  find, {len(wanted):,} in random order", len(wanted), lambda: [reader.find(d) for d in wanted])
    measure(f"  find, {len(wanted):,} that are absent", len(wanted), lambda: [reader.find(d) for d in absent])
    names = [name for name, _ in reader.packs]
    measure(f"  locate_many, {len(wanted):,}", len(wanted), lambda: reader.locate_many(wanted, names))
    measure("  rows", rows, lambda: list(reader.rows()))
    tracemalloc.start()
    kept = open_all()
    print(
        f"  kept by a reader: {tracemalloc.get_traced_memory()[0] / rows:.0f} bytes a row, {len(kept.packs)} packs"
    )
    tracemalloc.stop()


def time_compression() -> None:
    words = [b"alpha", b"beta", b"gamma", *(b"%d" % NOISE.randrange(10**6) for _ in range(997))]
    text = b" ".join(NOISE.choices(words, k=100_000))
    table = b"".join(b"%d,%.6f,%d\n" % (n, NOISE.random(), NOISE.randrange(10**6)) for n in range(12_000))
    for what, data in (("8 KiB of words", text[: 8 << 10]), ("256 KiB of CSV", table[: 256 << 10])):
        for level in (1, 3):
            packed = codec.compress(data, level) or data
            measure(
                f"{what}, level {level}: {len(packed):,} bytes",
                1,
                lambda d=data, n=level: codec.compress(d, n),
            )
        packed = codec.encode_frame(data)
        measure(f"{what}: decompress", 1, lambda p=packed, d=data: codec.decompress(p, len(d)))


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    time_trees(count)
    time_packs()
    time_chunk_lists(200_000)
    time_indexes(min(count, 100_000))
    time_indexes(min(count, MAX_INDEX_ROWS))
    time_compression()
