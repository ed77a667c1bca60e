"""Part of one version in the rest of another: for adding a sub-path, and for what a checkout of a sub-path leaves."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

from datavc.errors import NotFoundError
from datavc.formats.digest import Digest, hash_function
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import FOLDER, Entry, Tree, encode_tree
from datavc.operations.steps.examining.examine import View, base_trees
from datavc.operations.steps.trees.trees import TreeSource, deep_recursion, entries
from datavc.repo import Repo
from datavc.workspace.listing import Folder, Scan


def graft(repo: Repo, view: View, part: bytes, version: tuple[Digest, str]) -> None:
    """Make ``view``'s scan that of ``version`` everywhere but in ``part``, a path inside the dataset.

    Only the trees on the way to ``part`` are needed.

    Raises:
        NotFoundError: ``part`` is neither in the workspace nor in the version.
    """
    trees = base_trees(repo, version)
    full = view.path + b"/" + part
    scan = view.scan
    folder, _, name = full.rpartition(b"/")
    present = folder in scan.folders and name in scan.folders[folder].names
    if not present and trees.entry_at(part, b"") is None:
        raise NotFoundError(f"{show(full)} does not exist")
    kept = Scan(scan.algorithm, scan.top, clock_ns=scan.clock_ns, problems=scan.problems)
    path, relative = view.path, b""
    while True:
        step = part[len(relative) :].lstrip(b"/").partition(b"/")[0]
        is_last = is_inside(part, relative + b"/" + step if relative else step) and path + b"/" + step == full
        kept.folders[path] = _mixed(scan, trees, path, relative, step, kept)
        if is_last or path + b"/" + step not in scan.folders:
            break
        path += b"/" + step
        relative = relative + b"/" + step if relative else step
    for below, inner in scan.folders.items():
        if is_inside(below, full):
            kept.folders[below] = inner
    for below, sealed in scan.kept.items():
        if is_inside(below, full):
            kept.kept[below] = sealed
    view.scan = kept


def _mixed(scan: Scan, trees: TreeSource, path: bytes, relative: bytes, step: bytes, kept: Scan) -> Folder:
    """The folder at ``path`` as the version has it, but for its entry ``step``, which is as in the workspace."""
    folder = Folder(path, [], bytearray(), array("q"), [])
    rows: dict[bytes, tuple[int, tuple[int, ...], bytes | None]] = {}
    dataset = path[: len(path) - len(relative)].rstrip(b"/") if relative else path
    tree = trees.folder(path, dataset)
    for entry in entries(tree) if tree is not None else ():
        if entry.name == step:
            continue
        rows[entry.name] = (entry.kind, (entry.size, 0, 0, 0), None if entry.kind == FOLDER else entry.digest)
        if entry.kind == FOLDER:
            kept.kept[path + b"/" + entry.name] = (entry.size, entry.count, entry.digest)
    found = scan.folders.get(path)
    if found is not None and step in found.names:
        number = found.names.index(step)
        stat = tuple(found.stats[4 * number : 4 * number + 4])
        rows[step] = (found.kinds[number], stat, found.digests[number])
        if found.kinds[number] == FOLDER and path + b"/" + step in scan.kept:
            kept.kept[path + b"/" + step] = scan.kept[path + b"/" + step]
    for name in sorted(rows):
        kind, stat, digest = rows[name]
        folder.names.append(name)
        folder.kinds.append(kind)
        folder.stats.extend(stat)
        folder.digests.append(digest)
    return folder


def grafted(
    repo: Repo, old: TreeSource, new: TreeSource, parts: Iterable[bytes]
) -> tuple[Entry, dict[bytes, bytes]]:
    """The version that is ``old`` but for ``parts``, which are as in ``new``: its entry, and the encoded trees it needs.

    Both are folders. Nothing is stored.
    """
    written: dict[bytes, bytes] = {}
    top = old.entry_at(b"", b"")
    for part in parts:
        inner = new.entry_at(part, part.rpartition(b"/")[2])
        with deep_recursion():
            top = _grafted(old, top, inner, part.split(b"/"), written, repo.algorithm)
    assert top is not None
    return top, written


def _grafted(
    old: TreeSource,
    entry: Entry | None,
    graft: Entry | None,
    names: list[bytes],
    written: dict[bytes, bytes],
    algorithm: str,
) -> Entry:
    """The folder ``entry`` with what lies at ``names`` in it replaced by ``graft``, or left out."""
    name, *rest = names
    tree = old.tree(entry.digest) if entry is not None and entry.kind == FOLDER else None
    rows = {row.name: row for row in entries(tree)} if tree is not None else {}
    inner = _grafted(old, rows.get(name), graft, rest, written, algorithm) if rest else graft
    if inner is None:
        rows.pop(name, None)
    else:
        rows[name] = inner._replace(name=name)
    ordered = [rows[key] for key in sorted(rows)]
    made = Tree(
        algorithm,
        [row.name for row in ordered],
        bytes(row.kind for row in ordered),
        array("Q", [row.size for row in ordered]),
        [row.count for row in ordered],
        [row.digest for row in ordered],
    )
    encoded = encode_tree(made)
    digest = hash_function(algorithm)(encoded)
    written[digest] = encoded
    old.remember(digest, made)
    return Entry(entry.name if entry is not None else name, FOLDER, made.size, made.count, digest)
