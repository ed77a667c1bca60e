"""Walking the trees of a version against an earlier one, level by level: equal folders are skipped, whatever is in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from datavc.errors import DatavcError, MalformedError
from datavc.formats.paths import SubPaths, show
from datavc.formats.tree import FOLDER, MAX_DEPTH, Entry, Tree
from datavc.operations.steps.trees.trees import TreeSource, entries


class Step(NamedTuple):
    """One folder of the target that differs: its path in the dataset, its digest, its tree, and what it was before."""

    path: bytes
    digest: bytes
    tree: Tree
    old: Tree | None


def walk_difference(
    target: TreeSource,
    base: TreeSource | None,
    parts: SubPaths | None = None,
    obtain: Callable[[Sequence[bytes]], None] | None = None,
) -> Iterator[Step]:
    """Each folder of ``target`` that is not as in ``base``, parents first; a folder that is there twice comes once.

    ``parts`` are sub-paths; None means all. ``obtain`` is told which trees of a level are about to be read.

    Raises:
        ObjectNotFound, IntegrityError: a tree of the target cannot be read.
        MalformedError: folders are nested more than a thousand deep.
    """
    if target.kind != FOLDER:
        return
    old_top = base.top if base is not None and base.kind == FOLDER else None
    if old_top == target.top:
        return
    level: list[tuple[bytes, Entry | None, bytes, bytes | None]] = [(b"", None, target.top, old_top)]
    seen: set[tuple[bytes, bytes | None]] = set()
    for _ in range(MAX_DEPTH + 1):
        if obtain is not None:
            obtain(list(dict.fromkeys(digest for _, _, digest, _ in level)))
        below: list[tuple[bytes, Entry | None, bytes, bytes | None]] = []
        for path, entry, digest, old_digest in level:
            tree = target.tree(digest) if entry is None else target.checked(entry)
            old = _old_tree(base, old_digest)
            yield Step(path, digest, tree, old)
            for inner in _folders(path, tree, old, parts):
                # On the way to a sub-path a folder's place decides what of it is meant.
                if parts is not None and not parts.hold(inner[0]):
                    below.append(inner)
                elif inner[2:] not in seen:
                    seen.add(inner[2:])
                    below.append(inner)
        level = below
        if not level:
            return
    raise MalformedError(f"folders are nested more than {MAX_DEPTH} deep: {show(level[0][0])}")


def fresh_entries(step: Step, parts: SubPaths | None = None) -> Iterator[Entry]:
    """The files and symlinks of a folder whose bytes it did not have before."""
    known = set(step.old.digests) if step.old is not None else set()
    kinds = step.tree.kinds
    wanted = [
        kind != FOLDER and digest not in known for kind, digest in zip(kinds, step.tree.digests, strict=True)
    ]
    prefix = step.path + b"/" if step.path else b""
    for entry in compress(entries(step.tree), wanted):
        if parts is None or parts.hold(prefix + entry.name):
            yield entry


def _folders(
    path: bytes, tree: Tree, old: Tree | None, parts: SubPaths | None
) -> Iterator[tuple[bytes, Entry, bytes, bytes | None]]:
    if FOLDER not in tree.kinds:
        return
    prefix = path + b"/" if path else b""
    for entry in entries(tree):
        if entry.kind != FOLDER or not (parts is None or parts.concern(prefix + entry.name)):
            continue
        number = old.find(entry.name) if old is not None else None
        old_digest = None
        if old is not None and number is not None and old.kinds[number] == FOLDER:
            old_digest = old.digests[number]
        if old_digest != entry.digest:
            yield prefix + entry.name, entry, entry.digest, old_digest


def _old_tree(base: TreeSource | None, digest: bytes | None) -> Tree | None:
    """A tree of the earlier version; one that cannot be read spares nothing, and does no harm."""
    if base is None or digest is None:
        return None
    try:
        return base.tree(digest)
    except DatavcError:
        return None
