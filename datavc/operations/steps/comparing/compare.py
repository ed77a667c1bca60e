"""What differs between a version and the workspace, file by file; equal subtrees are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from datavc.formats.tree import FOLDER, KIND_NAMES, Tree
from datavc.operations.steps.examining.examine import View
from datavc.operations.steps.trees.trees import TreeSource
from datavc.workspace.listing import Folder

Row = tuple[bytes, int, int, bytes]  # path inside the dataset, kind, size, digest


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs: ``status`` is added, changed, removed or renamed; sizes in bytes."""

    status: str
    path: bytes
    kind: str
    size: int
    old_path: bytes | None = None
    old_kind: str | None = None
    old_size: int | None = None


def changes(view: View, old: TreeSource) -> list[Change]:
    """How the workspace differs from ``old``; paths are relative to the repo's root. ``view`` must be sealed."""
    if view.entry is None:
        return []
    if view.entry.kind != FOLDER or old.kind != FOLDER:
        return _changed_top(view, old)
    pairs = list(_pairs(view, old))
    renamed, rest = find_renames(pairs)
    return sorted([*renamed, *rest], key=lambda change: change.path)


def _changed_top(view: View, old: TreeSource) -> list[Change]:
    assert view.entry is not None
    entry = view.entry
    if (entry.kind, entry.digest) == (old.kind, old.top):
        return []
    before = old.entry_at(b"", entry.name)
    old_size = before.size if before is not None and old.kind == FOLDER else None
    if view.pointer is not None and view.pointer.digest.raw == old.top:
        old_size = view.pointer.size
    kinds = KIND_NAMES[entry.kind], KIND_NAMES[old.kind]
    return [Change("changed", view.path, kinds[0], entry.size, old_kind=kinds[1], old_size=old_size)]


def _pairs(view: View, old: TreeSource) -> Iterator[tuple[bytes, Row | None, Row | None]]:
    """Each path that differs, with its row before and after."""
    folders, kept = view.scan.folders, view.scan.kept
    pending: list[tuple[bytes, Tree | None, Folder | None]] = [
        (view.path, old.tree(old.top), folders.get(view.path))
    ]
    while pending:
        path, tree, folder = pending.pop()
        before = _tree_rows(tree)
        after = _folder_rows(folder)
        for name in before.keys() | after.keys():
            was, now = before.get(name), after.get(name)
            if was is not None and now is not None and (was[0], was[2]) == (now[0], now[2]):
                continue
            full = path + b"/" + name
            was_folder = was is not None and was[0] == FOLDER
            now_folder = now is not None and now[0] == FOLDER
            if was_folder or now_folder:
                if full in kept:
                    continue
                inner = old.tree(was[2]) if was is not None and was_folder else None
                shown = folders.get(full) if now_folder else None
                if was is not None and inner is not None and shown is None:
                    # What is in the workspace ends by itself.
                    old.require_walkable(was[2])
                pending.append((full, inner, shown))
                # An empty folder shows as itself, because nothing in it can.
                if now_folder and was is None and shown is not None and not shown.names:
                    yield full, None, (full, FOLDER, 0, b"")
                if was_folder and now is None and inner is not None and not inner.names:
                    yield full, (full, FOLDER, 0, b""), None
            file_was = (full, *was) if was is not None and not was_folder else None
            file_now = (full, *now) if now is not None and not now_folder else None
            if file_was is not None or file_now is not None:
                yield full, file_was, file_now


def _tree_rows(tree: Tree | None) -> dict[bytes, tuple[int, int, bytes]]:
    if tree is None:
        return {}
    return dict(zip(tree.names, zip(tree.kinds, tree.sizes, tree.digests, strict=True), strict=True))


def _folder_rows(folder: Folder | None) -> dict[bytes, tuple[int, int, bytes]]:
    if folder is None:
        return {}
    digests = [digest or b"" for digest in folder.digests]
    rows = zip(folder.kinds, folder.stats[::4], digests, strict=True)
    return dict(zip(folder.names, rows, strict=True))


def find_renames(pairs: list[tuple[bytes, Row | None, Row | None]]) -> tuple[list[Change], list[Change]]:
    """Files of equal content that went from one path and came at another are renames; the rest stays what it is."""
    gone: dict[tuple[int, bytes], list[Row]] = {}
    for _, was, now in pairs:
        if was is not None and now is None and was[2]:
            gone.setdefault((was[1], was[3]), []).append(was)
    renamed, taken, rest = [], set(), []
    for path, was, now in pairs:
        if was is None and now is not None and (candidates := gone.get((now[1], now[3]))):
            origin = candidates.pop()
            taken.add(origin[0])
            renamed.append(
                Change(
                    "renamed", path, KIND_NAMES[now[1]], now[2], origin[0], KIND_NAMES[origin[1]], origin[2]
                )
            )
    moved = {change.path for change in renamed}
    for path, was, now in pairs:
        if path in moved or (now is None and path in taken):
            continue
        if now is None:
            assert was is not None
            rest.append(
                Change("removed", path, KIND_NAMES[was[1]], 0, old_kind=KIND_NAMES[was[1]], old_size=was[2])
            )
        elif was is None:
            rest.append(Change("added", path, KIND_NAMES[now[1]], now[2]))
        else:
            kinds = KIND_NAMES[now[1]], KIND_NAMES[was[1]]
            rest.append(Change("changed", path, kinds[0], now[2], old_kind=kinds[1], old_size=was[2]))
    return renamed, rest
