"""What differs between two versions, file by file, from their trees alone; equal subtrees are never read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from datavc.formats.digest import Digest
from datavc.formats.tree import FOLDER, KIND_NAMES, Tree
from datavc.operations.steps.comparing.compare import Change, Row, find_renames
from datavc.operations.steps.examining.examine import base_trees
from datavc.operations.steps.trees.trees import TreeSource
from datavc.repo import Dataset, Repo

# So many folders that differ are walked before it is asked whether there is an end of them, which reads every tree once.
_MANY_FOLDERS = 10_000

Pair = tuple[bytes, Row | None, Row | None]
Known = Mapping[Digest, TreeSource]


@dataclass(frozen=True, slots=True)
class Numbers:
    """How many files of a version are new, changed, gone, and have another path than in the one before."""

    added: int
    changed: int
    removed: int
    renamed: int


def dataset_changes(
    repo: Repo, old: Iterable[Dataset], new: Iterable[Dataset], known: Known | None = None
) -> dict[bytes, list[Change]]:
    """The changes from the datasets ``old`` to ``new``, by the path of the dataset that has them now (or had).

    A dataset that has another path, and is otherwise the same, is one change; files are found again in other datasets too.
    ``known`` are trees of versions that are in no store.

    Raises:
        ObjectNotFound: a tree is missing. IntegrityError: one is damaged, or has folders without end.
    """
    before = {dataset.path: dataset for dataset in old}
    after = {dataset.path: dataset for dataset in new}
    moved = _moved(before, after)
    pairs: list[Pair] = []
    owners: dict[bytes, bytes] = {}
    for path in sorted(before.keys() | after.keys()):
        if path in moved or any(path == change.old_path for change in moved.values()):
            continue
        for pair in changed_rows(repo, before.get(path), after.get(path), known):
            pairs.append(pair)
            owners[pair[0]] = path
    found: dict[bytes, list[Change]] = {path: [change] for path, change in moved.items()}
    renamed, rest = find_renames(pairs)
    for change in sorted([*renamed, *rest], key=lambda change: change.path):
        found.setdefault(owners[change.path], []).append(change)
    return dict(sorted(found.items()))


def count_changes(repo: Repo, old: Dataset | None, new: Dataset | None) -> Numbers:
    """The same of one dataset, in numbers. Raises as :func:`dataset_changes`."""
    renamed, rest = find_renames(list(changed_rows(repo, old, new)))
    words = [change.status for change in rest]
    return Numbers(words.count("added"), words.count("changed"), words.count("removed"), len(renamed))


def changed_rows(
    repo: Repo, old: Dataset | None, new: Dataset | None, known: Known | None = None
) -> Iterator[Pair]:
    """Each path that differs, relative to the repo's root, with its row before and after. Raises as above."""
    if (
        old is not None
        and new is not None
        and (old.digest, old.pointer.kind) == (new.digest, new.pointer.kind)
    ):
        return
    named = new or old
    if named is None:
        return
    was, was_trees = _top(repo, old, named.path, known or {})
    now, now_trees = _top(repo, new, named.path, known or {})
    tops = [(was_trees, was), (now_trees, now)]
    pending = [(named.path, was, now)]
    folders = 0
    while pending:
        path, was, now = pending.pop()
        was_folder = was is not None and was[1] == FOLDER
        now_folder = now is not None and now[1] == FOLDER
        inner_was = _tree(was_trees, was, alone=not now_folder) if was_folder else None
        inner_now = _tree(now_trees, now, alone=not was_folder) if now_folder else None
        folders += was_folder and now_folder
        if folders == _MANY_FOLDERS:
            for trees, top in tops:
                _tree(trees, top, alone=True)
        file_was = was if not was_folder else None
        file_now = now if not now_folder else None
        # An empty folder shows as itself, because nothing in it can.
        if inner_now is not None and was is None and not inner_now.names:
            file_now = (path, FOLDER, 0, b"")
        if inner_was is not None and now is None and not inner_was.names:
            file_was = (path, FOLDER, 0, b"")
        if file_was is not None or file_now is not None:
            yield path, file_was, file_now
        pending += _differing(path, inner_was, inner_now)


def _differing(path: bytes, was: Tree | None, now: Tree | None) -> Iterator[Pair]:
    before, after = _rows(path, was), _rows(path, now)
    for name in before.keys() | after.keys():
        one, other = before.get(name), after.get(name)
        if one is None or other is None or (one[1], one[3]) != (other[1], other[3]):
            yield path + b"/" + name, one, other


def _rows(path: bytes, tree: Tree | None) -> dict[bytes, Row]:
    if tree is None:
        return {}
    return {
        name: (path + b"/" + name, kind, size, digest)
        for name, kind, size, digest in zip(tree.names, tree.kinds, tree.sizes, tree.digests, strict=True)
    }


def _top(
    repo: Repo, dataset: Dataset | None, path: bytes, known: Known
) -> tuple[Row | None, TreeSource | None]:
    if dataset is None:
        return None, None
    pointer = dataset.pointer
    row = (path, KIND_NAMES.index(pointer.kind), pointer.size, pointer.digest.raw)
    if pointer.kind != "folder":
        return row, None
    return row, known.get(pointer.digest) or base_trees(repo, (pointer.digest, pointer.kind))


def _tree(trees: TreeSource | None, row: Row | None, *, alone: bool) -> Tree | None:
    """The tree of a folder; ``alone``, where nothing on the other side bounds what is walked."""
    assert trees is not None and row is not None
    if alone:
        trees.require_walkable(row[3])
    return trees.tree(row[3])


def _moved(before: dict[bytes, Dataset], after: dict[bytes, Dataset]) -> dict[bytes, Change]:
    """Datasets whose path alone is another, by the new one; taken out of the order of their paths, first to first."""
    gone: dict[tuple[object, str], list[Dataset]] = {}
    for path in sorted(before.keys() - after.keys(), reverse=True):
        gone.setdefault((before[path].digest, before[path].pointer.kind), []).append(before[path])
    found = {}
    for path in sorted(after.keys() - before.keys()):
        pointer = after[path].pointer
        candidates = gone.get((pointer.digest, pointer.kind))
        if candidates:
            origin = candidates.pop()
            found[path] = Change(
                "renamed", path, pointer.kind, pointer.size, origin.path, pointer.kind, origin.pointer.size
            )
    return found
