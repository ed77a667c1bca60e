"""The trees of one version of a dataset: read from the cache when asked for, verified, and each read once."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from itertools import compress
from typing import TYPE_CHECKING

from datavc.errors import DatavcError, MalformedError, ObjectNotFound
from datavc.formats.digest import Digest, hash_function
from datavc.formats.paths import show
from datavc.formats.tree import (
    FOLDER,
    KIND_NAMES,
    MAX_DEPTH,
    MAX_FILES,
    MAX_TREE_BYTES,
    Entry,
    Tree,
    decode_tree,
)
from datavc.workspace.safepath import first_refused
from datavc.workspace.statcache import StatCache

if TYPE_CHECKING:
    from datavc.store.reader import Readable


class TreeSource:
    """The trees below ``top``, the digest of a dataset of ``kind`` (a tree's word).

    Copies in the stat cache serve where the cache lacks a tree, so that ``diff`` works while the data is away. Where they
    lack it too, ``obtain`` is called once, which may bring the version's trees into the cache.
    """

    def __init__(
        self,
        cache: Readable | None,
        copies: StatCache | None,
        top: Digest,
        kind: str,
        *,
        obtain: Callable[[Digest], bool] | None = None,
    ) -> None:
        self._algorithm = top.algorithm
        self._hash = hash_function(top.algorithm)
        self._version = top
        self._cache = cache
        self._reader = cache.reader(top) if cache is not None else None
        self._copies = copies
        self._obtain = obtain
        self.top = top.raw
        self.kind = KIND_NAMES.index(kind)
        self._trees: dict[bytes, Tree] = {}
        self._read: dict[bytes, bytes] = {}
        self._walkable: set[bytes] = set()

    def tree(self, digest: bytes) -> Tree:
        """The tree of that digest.

        Raises:
            ObjectNotFound: it is in neither the cache nor the copies.
            DigestMismatch, MalformedError: what is stored is not that tree, or has names that no checkout may write.
        """
        return self._trees.get(digest) or self.take(digest, self._encoded(digest))

    def take(self, digest: bytes, encoded: bytes) -> Tree:
        """Serve a tree that was read elsewhere, and hashed. Raises MalformedError."""
        tree = decode_tree(encoded, self._algorithm)
        refused = first_refused(tree.names)
        if refused is not None:
            raise MalformedError(
                f"tree {Digest(self._algorithm, digest).short} has the name {show(refused[0])}: {refused[1]}"
            )
        self._trees[digest] = tree
        if self._copies is not None:
            self._read[digest] = encoded
        return tree

    def _encoded(self, digest: bytes) -> bytes:
        failure: DatavcError | None = None
        if self._reader is not None:
            try:
                return self._reader.read(digest, limit=MAX_TREE_BYTES)
            except (DatavcError, OSError) as error:
                failure = error if isinstance(error, DatavcError) else None
        copy = self._copies.tree(digest) if self._copies is not None else None
        if copy is not None and self._hash(copy) == digest:
            return copy
        obtain, self._obtain = self._obtain, None
        is_missing = isinstance(failure, ObjectNotFound)
        if self._cache is not None and is_missing and obtain is not None and obtain(self._version):
            self._reader = self._cache.reader(self._version)
            return self._encoded(digest)
        if failure is not None and not is_missing:
            raise failure
        raise self._expired() or ObjectNotFound(
            f"a folder of the version {self._version.short} is not in the cache",
            "datavc fetch, with --rev REV for an earlier commit; if no remote has it: datavc push, in a clone that has it",
        )

    def _expired(self) -> ObjectNotFound | None:
        """Why the version is not here, if it was dropped on purpose."""
        from datavc.operations.steps.trees.expiry import expired
        from datavc.store.cache import Cache

        if not isinstance(self._cache, Cache):
            return None
        return expired([self._cache.backend], self._cache.repo_id, self._version)

    def folder(self, path: bytes, dataset: bytes) -> Tree | None:
        """The tree of the folder ``path`` of the dataset at ``dataset``, or None where this version has no such folder."""
        if self.kind != FOLDER:
            return None
        tree = self.tree(self.top)
        relative = path[len(dataset) + 1 :]
        for name in relative.split(b"/") if relative else ():
            number = tree.find(name)
            if number is None or tree.kinds[number] != FOLDER:
                return None
            tree = self.checked(tree.entry(number))
        return tree

    def checked(self, entry: Entry) -> Tree:
        """The tree of a folder's entry, whose size and count must be those of the tree. Raises as :meth:`tree`."""
        tree = self.tree(entry.digest)
        if (tree.size, tree.count) != (entry.size, entry.count):
            raise MalformedError(
                f"the folder {show(entry.name)} has another size or number of files than its tree"
            )
        return tree

    def entry_at(self, relative: bytes, name: bytes) -> Entry | None:
        """The entry at ``relative`` inside the dataset; the dataset itself, called ``name``, where it is empty."""
        if not relative:
            if self.kind != FOLDER:
                return Entry(name, self.kind, 0, 1, self.top)
            tree = self.tree(self.top)
            return Entry(name, FOLDER, tree.size, tree.count, self.top)
        if self.kind != FOLDER:
            return None
        tree = self.tree(self.top)
        *parents, last = relative.split(b"/")
        for part in parents:
            number = tree.find(part)
            if number is None or tree.kinds[number] != FOLDER:
                return None
            tree = self.checked(tree.entry(number))
        number = tree.find(last)
        return None if number is None else tree.entry(number)

    def require_walkable(self, digest: bytes, depth: int = MAX_DEPTH + 1) -> None:
        """Refuse to walk ``depth`` levels from ``digest`` on where a few trees that name each other make folders without end.

        Each distinct tree of a level is looked at once, whatever it is multiplied by. Files are bounded by the count that
        the first tree declares, since each tree below must be what its entry says.

        Raises:
            MalformedError: there are more folders than MAX_FILES, or nested too deeply, or one is not as its entry says.
        """
        if digest in self._walkable:
            return
        seen = {digest}
        level, folders = {digest: 1}, 0
        for _ in range(min(depth, MAX_DEPTH + 1)):
            below: dict[bytes, int] = {}
            for name, times in level.items():
                for inner, here in self._folders_in(name).items():
                    below[inner] = below.get(inner, 0) + times * here
            folders += sum(below.values())
            if folders > MAX_FILES:
                raise MalformedError(
                    f"tree {Digest(self._algorithm, digest).short} adds up to more than {MAX_FILES:,} folders"
                )
            seen |= below.keys()
            level = below
            if not level:
                break
        if depth > MAX_DEPTH:
            if level:
                raise MalformedError(f"folders are nested more than {MAX_DEPTH} deep")
            self._walkable |= seen

    def _folders_in(self, digest: bytes) -> dict[bytes, int]:
        """The trees of the folders in a folder, and how often each is there; they are what their entries say."""
        tree = self.tree(digest)
        if FOLDER not in tree.kinds:
            return {}
        found: dict[bytes, int] = {}
        totals: dict[bytes, tuple[int, int]] = {}
        for entry in compress(entries(tree), [kind == FOLDER for kind in tree.kinds]):
            found[entry.digest] = found.get(entry.digest, 0) + 1
            if totals.get(entry.digest) != (entry.size, entry.count):
                self.checked(entry)
                totals[entry.digest] = entry.size, entry.count
        return found

    def walk(self, path: bytes = b"", digest: bytes | None = None) -> Iterator[tuple[bytes, Tree]]:
        """Each folder's path inside the dataset and its tree, parents first, from ``path`` of that ``digest`` on.

        Raises:
            MalformedError: as :meth:`require_walkable`.
        """
        top = self.top if digest is None else digest
        self.require_walkable(top)
        pending = [(path, top)]
        while pending:
            folder, name = pending.pop()
            tree = self.tree(name)
            yield folder, tree
            if FOLDER in tree.kinds:
                prefix = folder + b"/" if folder else b""
                inner = [entry for entry in entries(tree) if entry.kind == FOLDER]
                pending += [(prefix + entry.name, entry.digest) for entry in reversed(inner)]

    def distinct(self) -> Iterator[tuple[bytes, bytes, Tree]]:
        """Each tree of the version once, however often it is there: its digest, one path of it, and itself.

        Raises as :meth:`walk`.
        """
        self.require_walkable(self.top)
        seen = {self.top}
        pending = [(self.top, b"")]
        while pending:
            digest, path = pending.pop()
            tree = self.tree(digest)
            yield digest, path, tree
            if FOLDER in tree.kinds:
                prefix = path + b"/" if path else b""
                for entry in entries(tree):
                    if entry.kind == FOLDER and entry.digest not in seen:
                        seen.add(entry.digest)
                        pending.append((entry.digest, prefix + entry.name))

    def encoded_trees(self) -> dict[bytes, bytes]:
        """The encodings of the trees that were read so far, for the copies in the stat cache."""
        return self._read

    def remember(self, digest: bytes, tree: Tree) -> None:
        """Serve a tree that was just made, and is in no store."""
        self._trees[digest] = tree

    def known_digests(self) -> set[bytes]:
        """The digests of the trees that were read so far."""
        return set(self._trees)


@contextlib.contextmanager
def deep_recursion() -> Iterator[None]:
    """Let the block call itself three times for every folder on the way down: Python's own limit is 1000 calls in all."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 3 * MAX_DEPTH)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def entries(tree: Tree) -> Iterator[Entry]:
    """The rows of a tree, by name."""
    return map(Entry, tree.names, tree.kinds, tree.sizes, tree.counts, tree.digests)
