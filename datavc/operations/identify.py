"""``identify``: the known version that a folder is nearest to, by content, and what was added, removed and changed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from datavc.errors import DatavcError, NotFoundError, StorageError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER
from datavc.operations.steps.examining.outside import scan_outside
from datavc.operations.steps.naming.committed import first_commits
from datavc.operations.steps.trees.trees import TreeSource
from datavc.operations.whence import dataset_roots, tags_of
from datavc.progress import SILENT, Progress
from datavc.repo import Repo


@dataclass(slots=True)
class Identified:
    """The nearest of ``versions`` that were compared; ``same`` files are at the same path with the same content.

    ``commit`` is the first that has it, None where none does; ``tags`` are the dataset's own that name it. ``moved`` have
    their content elsewhere in the version. Of ``absent`` versions the trees are not here.
    """

    dataset: bytes | None = None
    version: Digest | None = None
    commit: str | None = None
    when: str | None = None
    tags: tuple[str, ...] = ()
    same: int = 0
    added: list[bytes] = field(default_factory=list)
    removed: list[bytes] = field(default_factory=list)
    changed: list[bytes] = field(default_factory=list)
    moved: list[bytes] = field(default_factory=list)
    versions: int = 0
    absent: int = 0


def identify(repo: Repo, folder: bytes, *, jobs: int = 1, progress: Progress = SILENT) -> Identified:
    """Compare the folder at the absolute path ``folder`` with every version in the cache.

    Raises:
        NotFoundError: there is no such folder. StorageError: it cannot be read.
    """
    if not os.path.isdir(folder):
        raise NotFoundError(f"{show(folder)} is no folder", "for a file: datavc whence")
    scan = scan_outside(repo, folder, jobs=jobs, progress=progress)
    if scan.problems:
        path, reason = scan.problems[0]
        raise StorageError(f"{show(path)}: {reason}")
    top = next(iter(scan.folders))
    here = {
        (path[len(top) + 1 :] + b"/" if path != top else b"") + name: digest
        for path, found in scan.folders.items()
        for name, kind, digest in zip(found.names, found.kinds, found.digests, strict=True)
        if kind != FOLDER and digest is not None
    }
    result = Identified()
    best: tuple[int, int] = (0, 0)
    seen: set[Digest] = set()
    contents = set(here.values())
    for root in dataset_roots(repo):
        if root.kind != "folder" or root.digest in seen:
            continue
        seen.add(root.digest)
        try:
            there = _files(repo, root)
        except DatavcError:
            result.absent += 1
            continue
        result.versions += 1
        same = len(here.items() & there.items())
        # By what is in common, wherever it lies; of equal ones, the version with the least besides.
        score = (2 * same + len(contents & set(there.values())), -len(there))
        if score[0] and score > best:
            best = score
            _describe(result, root, here, there, same)
    if result.dataset is not None and result.version is not None:
        result.commit = first_commits(repo, result.dataset, {result.version}).get(result.version)
        result.tags = tuple(tags_of(repo, result.dataset).get(result.version, ()))
    return result


def _files(repo: Repo, root: Root) -> dict[bytes, bytes]:
    trees = TreeSource(repo.cache, repo.stat_cache, root.digest, "folder", obtain=repo.obtain_trees)
    return {
        (path + b"/" if path else b"") + name: digest
        for path, tree in trees.walk()
        for name, kind, digest in zip(tree.names, tree.kinds, tree.digests, strict=True)
        if kind != FOLDER
    }


def _describe(
    result: Identified, root: Root, here: dict[bytes, bytes], there: dict[bytes, bytes], same: int
) -> None:
    result.dataset, result.version = root.path, root.digest
    result.when = root.when
    result.same = same
    known = set(there.values())
    fresh = sorted(here.keys() - there.keys())
    result.moved = [path for path in fresh if here[path] in known]
    result.added = [path for path in fresh if here[path] not in known]
    result.removed = sorted(there.keys() - here.keys())
    result.changed = sorted(path for path in here.keys() & there.keys() if here[path] != there[path])
