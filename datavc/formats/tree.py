"""The tree: the object that lists one folder. Canonical, so equal folders have equal digests; columnar, so it is fast.

Whether a name is safe to write into a workspace is decided there (``datavc/workspace/safepath.py``).
Hot path: a million entries decode in 0.25 s and encode in 0.36 s, because each check is one C-level loop
(``tests/benchmarks/formats.py``).
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from dataclasses import dataclass
from itertools import compress, islice
from operator import lt
from typing import NamedTuple

from datavc.errors import MalformedError
from datavc.formats.columns import are_digests, decode_digests, decode_integers, encode_integers
from datavc.formats.digest import ALGORITHMS
from datavc.formats.header import (
    HEADER_BYTES,
    FileType,
    decode_header,
    encode_header,
    require_algorithm,
)

FILE = 0
EXECUTABLE = 1
SYMLINK = 2
FOLDER = 3
KIND_NAMES = ("file", "executable", "symlink", "folder")

TREE = FileType(b"dvTR", 1, "tree", (1,))
"""The digest of every folder hangs on this encoding: its version changes with the encoding and for no other reason."""

MAX_NAME_BYTES = 1024
MAX_DEPTH = 1000
"""Folders inside each other, below the dataset's own: what is deeper is neither added nor checked out."""

MAX_FILES = 2**28
"""Files of one dataset, 268 million. Folders that name the same few trees add up to any number without being stored, so a
tree that declares more is refused before anybody walks it; whoever walks all of a version allows as many folders."""

MAX_TREE_BYTES = 1 << 30
"""A tree of a million entries has 41 MB; this caps what an untrusted one may make us hold."""

MAX_TOTAL = 2**63 - 1
"""The size of a whole tree fits a signed 64-bit integer, as in pointers."""

_COUNTS = struct.Struct("<2I")  # entries, folders among them
_BODY = HEADER_BYTES + _COUNTS.size
_IS_FOLDER = bytes(kind == FOLDER for kind in range(256))
_IS_NO_FOLDER = bytes(kind != FOLDER for kind in range(256))
_ALL_KINDS = bytes(range(len(KIND_NAMES)))


class Entry(NamedTuple):
    """One row of a tree. ``size`` in bytes and ``count`` of files are, for a folder, of all that is below it."""

    name: bytes
    kind: int
    size: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls on a row
    digest: bytes


@dataclass(slots=True)
class Tree:
    """One folder's entries as columns, sorted by ``names``; ``counts`` is 1 for whatever is no folder."""

    algorithm: str
    names: list[bytes]
    kinds: bytes
    sizes: array[int]
    counts: list[int]
    digests: list[bytes]

    @property
    def size(self) -> int:
        """Bytes of all files below this folder."""
        return sum(self.sizes)

    @property
    def count(self) -> int:
        """Files and symlinks below this folder, at any depth."""
        return sum(self.counts)

    def find(self, name: bytes) -> int | None:
        """The position of the entry called ``name``."""
        position = bisect_left(self.names, name)
        return position if position < len(self.names) and self.names[position] == name else None

    def entry(self, position: int) -> Entry:
        """One entry as a row."""
        return Entry(
            self.names[position],
            self.kinds[position],
            self.sizes[position],
            self.counts[position],
            self.digests[position],
        )


def encode_tree(tree: Tree) -> bytes:
    """The one encoding of ``tree``.

    Raises:
        MalformedError: no reader would take it, for instance because its names are not sorted.
    """
    count = len(tree.names)
    if not count == len(tree.kinds) == len(tree.sizes) == len(tree.counts) == len(tree.digests):
        raise MalformedError("a tree has columns of different lengths")
    # Without folders all counts are 1, which is 20 times as fast to see.
    if tree.counts.count(1) < count and not set(
        compress(tree.counts, tree.kinds.translate(_IS_NO_FOLDER))
    ) <= {1}:
        raise MalformedError("a tree counts more or less than one file for an entry that is no folder")
    joined_names, joined_digests = b"\0".join(tree.names), b"".join(tree.digests)
    if joined_names.count(b"\0") != max(count - 1, 0):
        raise MalformedError("a tree has a name with a NUL in it")
    if not are_digests(tree.digests, joined_digests, ALGORITHMS[tree.algorithm].length):
        raise MalformedError(f"a tree has a digest that is none of {tree.algorithm}")
    folder_counts = list(compress(tree.counts, tree.kinds.translate(_IS_FOLDER)))
    _check(tree, joined_names)
    try:
        sizes, counts = encode_integers("Q", tree.sizes), encode_integers("Q", folder_counts)
    except OverflowError:
        raise MalformedError("a tree has a negative size or count") from None
    return b"".join(
        (
            encode_header(TREE, tree.algorithm),
            _COUNTS.pack(count, len(folder_counts)),
            tree.kinds,
            sizes,
            counts,
            joined_digests,
            joined_names,
        )
    )


def decode_tree(data: bytes, algorithm: str) -> Tree:
    """The tree that ``data`` encodes, whose digests must be of ``algorithm``.

    What this returns, :func:`encode_tree` turns into the same bytes.

    Raises:
        UnsupportedFormat: a version or algorithm that this version of datavc does not know.
        MalformedError: ``data`` is not the one encoding of any tree.
    """
    found, _ = decode_header(data, TREE)
    require_algorithm(found, algorithm, TREE)
    if len(data) < _BODY:
        raise MalformedError("a tree is cut off in its header")
    count, folders = _COUNTS.unpack_from(data, HEADER_BYTES)
    length = ALGORITHMS[algorithm].length
    sizes_at = _BODY + count
    counts_at = sizes_at + 8 * count
    digests_at = counts_at + 8 * folders
    names_at = digests_at + count * length
    kinds = data[_BODY:sizes_at]
    # Checked before anything is allocated: every entry has a name of one byte or more, all but one with a NUL.
    if len(data) < names_at + max(2 * count - 1, 0) or kinds.count(FOLDER) != folders:
        raise MalformedError(
            f"a tree of {len(data):,} bytes cannot have {count:,} entries, {folders:,} of them folders"
        )
    joined_names = data[names_at:]
    names = joined_names.split(b"\0") if count else []
    if len(names) != count or (joined_names and not count):
        raise MalformedError(f"a tree of {count:,} entries has another number of names")
    view = memoryview(data)
    tree = Tree(
        algorithm,
        names,
        kinds,
        decode_integers("Q", view[sizes_at:counts_at]),
        _spread_counts(kinds, decode_integers("Q", view[counts_at:digests_at])),
        decode_digests(view[digests_at:names_at], length),
    )
    _check(tree, joined_names)
    return tree


def _spread_counts(kinds: bytes, folder_counts: array[int]) -> list[int]:
    """The counts of folders at their positions, 1 everywhere else."""
    if len(folder_counts) == len(kinds):
        return list(folder_counts)
    counts = [1] * len(kinds)
    if folder_counts:
        positions = compress(range(len(kinds)), kinds.translate(_IS_FOLDER))
        for position, files in zip(positions, folder_counts, strict=True):
            counts[position] = files
    return counts


def _check(tree: Tree, joined_names: bytes) -> None:
    """What holds for the columns of every tree, besides their lengths.

    Raises:
        MalformedError: it does not hold.
    """
    names = tree.names
    if tree.kinds.translate(None, _ALL_KINDS):
        raise MalformedError("a tree has an entry of a kind that does not exist")
    if b"/" in joined_names or _has_long_name(joined_names):
        raise MalformedError(f"a tree has a name with a slash in it, or longer than {MAX_NAME_BYTES:,} bytes")
    if not all(map(lt, names, islice(names, 1, None))):
        raise MalformedError("a tree has names that are not sorted, or one twice")
    if (names and not names[0]) or tree.find(b".") is not None or tree.find(b"..") is not None:
        raise MalformedError("a tree has an entry without a name, or named '.' or '..'")
    if tree.count > MAX_FILES:
        raise MalformedError(f"a tree adds up to {tree.count:,} files, where {MAX_FILES:,} are allowed")
    if tree.size > MAX_TOTAL:
        raise MalformedError(f"a tree adds up to more than {MAX_TOTAL:,} bytes")


def _has_long_name(joined: bytes) -> bool:
    """Whether a name exceeds MAX_NAME_BYTES. Leaping from NUL to NUL takes 3 ms for a million names."""
    start = 0
    while len(joined) - start > MAX_NAME_BYTES:
        end = joined.rfind(b"\0", start, start + MAX_NAME_BYTES + 1)
        if end < 0:
            return True
        start = end + 1
    return False
