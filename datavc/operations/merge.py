"""Merging two versions of a dataset, file by file: what the merge driver does for git, and ``resolve`` for a user.

The merged trees and their root are in the cache before anybody hears of the pointer that names them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datavc.durable import storage_errors
from datavc.errors import MalformedError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.pointer import Pointer, format_pointer, parse_pointer
from datavc.formats.pointerconflict import conflict_text, merged_pointer
from datavc.formats.tree import FOLDER, KIND_NAMES, Entry
from datavc.operations.steps.examining.examine import base_trees
from datavc.operations.steps.storing.mergestore import store_merged
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.operations.steps.trees.treemerge import BASE, Conflict, Side, TreeMerge
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo


@dataclass(slots=True)
class Merged:
    """The pointer of the merged version, or None and the ``conflicts``, by paths relative to the repo's root.

    ``complete`` is false where the cache lacks bytes of a side, so that there is something to fetch.
    """

    pointer: Pointer | None
    conflicts: list[Conflict] = field(default_factory=list)
    complete: bool = True


def merge(
    repo: Repo,
    path: bytes,
    base: Pointer | None,
    ours: Pointer,
    theirs: Pointer,
    *,
    decisions: Mapping[bytes, str] | None = None,
    favour: str | None = None,
    progress: Progress = SILENT,
) -> Merged:
    """Merge what ``ours`` and ``theirs`` made of ``base`` (None: no common origin), the dataset at ``path``.

    ``decisions`` say for paths inside the dataset whether to take ``ours``, ``theirs`` or ``base``; ``favour`` decides
    every conflict so. Trees that are not here are fetched where a remote has them.

    Raises:
        ObjectNotFound: a tree is neither here nor on a remote. IntegrityError: one is damaged.
        StorageError: the cache could not be written.
    """
    _check_algorithms(repo, path, (base, ours, theirs))
    settled = _settled(base, ours, theirs) if not decisions else None
    if settled is not None:
        return Merged(settled)
    job, entry = _merge_trees(repo, path, (base, ours, theirs), decisions or {}, favour, progress)
    if job.conflicts:
        inside = path + b"/"
        return Merged(
            None, [Conflict(inside + row.path if row.path else path, row.reason) for row in job.conflicts]
        )
    digest = Digest(repo.algorithm, entry.digest)
    parents = [
        ours.digest,
        theirs.digest,
        *([base.digest] if base is not None and (favour or decisions) else ()),
    ]
    complete = store_merged(repo, path, entry, job.written, parents)
    version = (digest, KIND_NAMES[entry.kind], entry.size, entry.count)
    return Merged(merged_pointer(version, ours, theirs), complete=complete)


def _check_algorithms(repo: Repo, path: bytes, pointers: Iterable[Pointer | None]) -> None:
    for pointer in pointers:
        if pointer is not None and pointer.digest.algorithm != repo.algorithm:
            raise MalformedError(
                f"a version of {show(path)} is of {pointer.digest.algorithm}, this repo's hash is {repo.algorithm}"
            )


def _merge_trees(
    repo: Repo,
    path: bytes,
    pointers: tuple[Pointer | None, Pointer, Pointer],
    decisions: Mapping[bytes, str],
    favour: str | None,
    progress: Progress,
) -> tuple[TreeMerge, Entry]:
    """The merge, done, and what came out, which means something only where it has no conflicts."""
    base, ours, theirs = pointers
    try:
        with looking_afar(repo, offline=False, progress=progress, forbidding=""):
            job = TreeMerge(
                repo.algorithm,
                _side(repo, path, base) if base is not None else None,
                _side(repo, path, ours),
                _side(repo, path, theirs),
                decisions,
                favour,
            )
            entry = job.run()
    except ObjectNotFound as error:
        raise ObjectNotFound(
            f"{show(path)} cannot be merged: its folders must be here, or on a remote, in three versions: ours, theirs, "
            f"and where they began (git merge-base); {error.message}",
            f"datavc push --rev REV, in a clone that has it; then, here: datavc resolve {repo.typed(path)}",
        ) from error
    assert entry is not None
    return job, entry


def merge_files(
    folder: Path,
    name: bytes,
    base: Path,
    ours: Path,
    theirs: Path,
    *,
    length: int,
    virtual: bool = False,
    progress: Progress = SILENT,
) -> Merged:
    """Merge the pointer called ``name`` in the repo that holds ``folder``; the file ``ours`` takes what comes of it.

    Conflicts, and errors too, leave both sides there between conflict markers of ``length``. ``virtual`` is for the common
    origin that git makes out of several: its conflicts are settled for the base.

    Raises:
        As :func:`merge`. MalformedError, ConflictError: one of the three is no pointer.
    """
    with storage_errors(show(name)):
        texts = [file.read_bytes() for file in (base, ours, theirs)]
    result = conflict_text(*texts[1:], length=length)
    try:
        repo = Repo.find(folder)
        where = show(name)
        pointers = [parse_pointer(text, where, repo.typed(name)) for text in texts[1:]]
        origin = parse_pointer(texts[0], f"the common origin of {where}") if texts[0] else None
        path = name.removesuffix(POINTER_SUFFIX)
        favour = BASE if virtual and origin is not None else None
        merged = merge(repo, path, origin, *pointers, favour=favour, progress=progress)
        if merged.pointer is not None:
            result = format_pointer(merged.pointer)
        return merged
    finally:
        with storage_errors(show(name)):
            ours.write_bytes(result)


def _settled(base: Pointer | None, ours: Pointer, theirs: Pointer) -> Pointer | None:
    """The outcome where the sides agree, or only one of them changed anything."""
    versions = [(pointer.digest, pointer.kind) for pointer in (ours, theirs)]
    if versions[0] == versions[1]:
        return merged_pointer((ours.digest, ours.kind, ours.size, ours.files), ours, theirs)
    if base is None:
        return None
    before = base.digest, base.kind
    return ours if versions[1] == before else theirs if versions[0] == before else None


def _side(repo: Repo, path: bytes, pointer: Pointer) -> Side:
    trees = base_trees(repo, (pointer.digest, pointer.kind))
    name = path.rpartition(b"/")[2]
    if trees.kind == FOLDER:
        tree = trees.tree(trees.top)
        return Side(trees, Entry(name, FOLDER, tree.size, tree.count, trees.top))
    return Side(trees, Entry(name, trees.kind, pointer.size, 1, trees.top))
