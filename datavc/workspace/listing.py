"""What a walk over a dataset found: folders as columns, which digests are known, and the trees that come of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from datavc.formats.digest import ALGORITHMS, hash_function
from datavc.formats.paths import show
from datavc.formats.tree import FOLDER, Entry, Tree, encode_tree
from datavc.workspace.statcache import FolderRow

_ZEROS = (0, 0, 0, 0)
# Nanoseconds by which file systems' clocks lag the true time: a tick of 10 ms, or 2 s where times are whole seconds.
_TICK_NS = 10_000_000
_COARSE_NS = 2_000_000_000


class Folder:
    """One folder of the workspace, entries sorted by name.

    ``stats`` holds four integers per entry: size in bytes, mtime_ns, ctime_ns, inode; zeros for folders. ``digests`` are
    None where they are not known yet. ``row`` is the row of the stat cache that the folder still equals, if there is one:
    its digests are unpacked only when somebody asks for them.
    """

    __slots__ = ("_digests", "_length", "kinds", "names", "path", "row", "stats")

    def __init__(
        self,
        path: bytes,
        names: list[bytes],
        kinds: bytearray,
        stats: array[int],
        digests: list[bytes | None] | None,
    ) -> None:
        self.path = path
        self.names = names
        self.kinds = kinds
        self.stats = stats
        self.row: FolderRow | None = None
        self._digests = digests
        self._length = 0

    @property
    def digests(self) -> list[bytes | None]:
        """The digest of each entry. Whoever changes the list must ask for it anew each time."""
        if self._digests is None:
            assert self.row is not None
            joined, length = self.row.digests, self._length
            self._digests = [joined[at : at + length] for at in range(0, len(joined), length)]
            for number, kind in enumerate(self.kinds if FOLDER in self.kinds else b""):
                if kind == FOLDER:
                    self._digests[number] = None
        return self._digests

    @digests.setter
    def digests(self, digests: list[bytes | None]) -> None:
        self._digests = digests
        self.row = None

    def equals(self, row: FolderRow, digest_length: int) -> None:
        """Note that the folder is as ``row`` says, so that every digest is known."""
        self.row = row
        self._digests = None
        self._length = digest_length

    def is_elsewhere(self, number: int) -> bool:
        """Whether entry ``number`` was taken over from another version, and is not in the workspace: it has no times."""
        return not any(self.stats[4 * number + 1 : 4 * number + 4])

    def size(self, number: int) -> int:
        """The size in bytes of entry ``number``, by stat."""
        return self.stats[4 * number]

    def sizes(self, numbers: list[int]) -> Sequence[int]:
        """The sizes in bytes of several entries, by stat."""
        sizes = self.stats[::4]
        return sizes if len(numbers) == len(sizes) else array("q", map(sizes.__getitem__, numbers))

    def is_known(self) -> bool:
        """Whether every digest but those of folders is known."""
        if self.row is not None:
            return True
        if None not in self.digests:
            return True
        pairs = zip(self.digests, self.kinds, strict=True)
        return all(digest is not None or kind == FOLDER for digest, kind in pairs)


# Some entries of one folder, by number.
Part = tuple[Folder, list[int]]


def empty_folder(path: bytes) -> Folder:
    """A folder with nothing in it, to be filled."""
    return Folder(path, [], bytearray(), array("q"), [])


@dataclass(slots=True)
class Scan:
    """What a walk over one dataset found.

    ``top`` is a pseudo-folder whose one entry is the dataset itself; ``folders`` are by path relative to the repo's
    root, parents first. ``problems`` are paths with the reason why they cannot be recorded; ``ignored`` counts paths left
    out by ignore rules; ``clock_ns`` is the file system's time when the walk began. ``kept`` are folders that are not in
    a partial workspace and stand for themselves: size, count and digest by path. ``before`` are the rows of the stat
    cache that the scan began with.
    """

    algorithm: str
    top: Folder
    folders: dict[bytes, Folder] = field(default_factory=dict)
    problems: list[tuple[bytes, str]] = field(default_factory=list)
    leftovers: list[bytes] = field(default_factory=list)
    ignored: int = 0
    clock_ns: int = 0
    before: Mapping[bytes, FolderRow] = field(default_factory=dict)
    kept: dict[bytes, tuple[int, int, bytes]] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether there is anything at the dataset's path."""
        return bool(self.top.names)

    def unknown(self) -> Iterator[Part]:
        """The files and symlinks whose digests are not known, folder by folder in path order."""
        for folder in (self.top, *self.folders.values()):
            if folder.is_known():
                continue
            pairs = enumerate(zip(folder.digests, folder.kinds, strict=True))
            yield folder, [number for number, (digest, kind) in pairs if digest is None and kind != FOLDER]

    def seal(self, *, encode: bool = True) -> tuple[Entry, dict[bytes, bytes]]:
        """The dataset's own entry and every tree by digest, encoded. All digests must be known.

        Sets the digests of folders on the way. Without ``encode``, trees whose digest the stat cache knows are left out.
        """
        trees: dict[bytes, bytes] = {}
        sealed = dict(self.kept)
        hash_bytes = hash_function(self.algorithm)
        for path in reversed(self.folders):
            folder = self.folders[path]
            if not encode and folder.row is not None and folder.row.tree:
                sealed[path] = (sum(folder.stats[::4]), len(folder.names), folder.row.tree)
                continue
            tree = folder_tree(folder, self.algorithm, sealed)
            encoded = encode_tree(tree)
            digest = hash_bytes(encoded)
            trees[digest] = encoded
            sealed[path] = (tree.size, tree.count, digest)
        name, kind = self.top.names[0], self.top.kinds[0]
        if kind == FOLDER:
            size, count, digest = next(reversed(sealed.values()))
            self.top.digests[0] = digest
            return Entry(name, kind, size, count, digest), trees
        known = self.top.digests[0]
        assert known is not None, f"the digest of {show(name)} is not known"
        return Entry(name, kind, self.top.size(0), 1, known), trees

    def changed_rows(self) -> dict[bytes, FolderRow]:
        """The rows for the stat cache that differ from those that the scan began with."""
        rows: dict[bytes, FolderRow] = {}
        length = ALGORITHMS[self.algorithm].length
        for folder in (self.top, *self.folders.values()):
            if folder.row is None:
                row = _row(folder, self.algorithm, length, self.clock_ns)
                if self.before.get(folder.path) != row:
                    rows[folder.path] = row
        return rows

    def stale_rows(self) -> list[bytes]:
        """The folders of rows that the scan began with and that are gone."""
        return [path for path in self.before if path not in self.folders and path != self.top.path]


def folder_tree(folder: Folder, algorithm: str, below: Mapping[bytes, tuple[int, int, bytes]]) -> Tree:
    """The tree of a folder whose digests are known; ``below`` gives size, count and digest of each folder in it."""
    sizes = array("Q", folder.stats[::4].tobytes())
    digests = folder.digests
    counts = [1] * len(sizes)
    if FOLDER in folder.kinds:
        prefix = folder.path + b"/"
        for number, kind in enumerate(folder.kinds):
            if kind == FOLDER:
                sizes[number], counts[number], digests[number] = below[prefix + folder.names[number]]
    assert None not in digests, f"digests of {show(folder.path)} are not known"
    return Tree(algorithm, folder.names, bytes(folder.kinds), sizes, counts, digests)  # type: ignore[arg-type]


def _row(folder: Folder, algorithm: str, length: int, clock_ns: int) -> FolderRow:
    """The row of a folder. A file that might change again without a new ctime (racy) gets zeros for a stat.

    Only ctime counts: every change moves it, and nobody can set it, while mtime can be put back.
    """
    stats = folder.stats
    if max(stats[2::4], default=0) >= clock_ns - _COARSE_NS or None in folder.digests:
        stats = array("q", stats)
        for number, digest in enumerate(folder.digests):
            _, mtime, ctime, _ = stats[4 * number : 4 * number + 4]
            tick = _TICK_NS if (mtime % 1_000_000_000 or ctime % 1_000_000_000) else _COARSE_NS
            if digest is None or ctime >= clock_ns - tick:
                stats[4 * number : 4 * number + 4] = array("q", _ZEROS)
    if FOLDER in folder.kinds:
        stats = array("q", stats)
        for number, kind in enumerate(folder.kinds):
            if kind == FOLDER:
                stats[4 * number : 4 * number + 4] = array("q", _ZEROS)
    nothing = bytes(length)
    digests = b"".join(
        nothing if digest is None or kind == FOLDER else digest
        for digest, kind in zip(folder.digests, folder.kinds, strict=True)
    )
    tree = b""
    if FOLDER not in folder.kinds and None not in folder.digests and not folder.path.endswith(b"\0"):
        tree = hash_function(algorithm)(encode_tree(folder_tree(folder, algorithm, {})))
    return FolderRow(b"\0".join(folder.names), bytes(folder.kinds), stats.tobytes(), digests, tree)
