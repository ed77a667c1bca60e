"""What a run reads and writes, as rows of its record: datasets as they are, files by their content, and who made them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from datavc.errors import DatavcError
from datavc.formats.digest import Digest, new_hasher
from datavc.formats.paths import is_inside
from datavc.formats.pointer import Pointer
from datavc.formats.record import Data
from datavc.lineage.observed import HOOK, Observed
from datavc.operations.steps.examining.examine import View, examine
from datavc.operations.steps.runs.lineageindex import LineageIndex
from datavc.operations.steps.runs.recordstore import has_record
from datavc.progress import Progress
from datavc.repo import Repo

LISTED = 200
"""Files that are named one by one, besides those that the user declared; the object ``files`` names all."""
_PIECE = 4 << 20
_OWN = os.fsencode(HOOK.parents[1])


@dataclass(slots=True)
class Seen:
    """A dataset, or any file or folder, at a point in time."""

    view: View
    row: Data


def look(repo: Repo, path: bytes, pointer: Pointer | None, *, jobs: int, progress: Progress) -> Seen | None:
    """What is at ``path``, hashed; None where nothing is. Raises StorageError."""
    view = examine(repo, path, pointer, jobs=jobs, progress=progress)
    if view.entry is None or view.content is None:
        return None
    digest, kind = view.content
    return Seen(view, Data(path, kind, digest, view.entry.size, view.entry.count, declared=False))


def look_at_datasets(repo: Repo, *, jobs: int, progress: Progress) -> dict[bytes, Seen]:
    """Every dataset that is in the workspace. One that cannot be looked at is left out, and said."""
    found = {}
    for dataset in repo.datasets():
        try:
            seen = look(repo, dataset.path, dataset.pointer, jobs=jobs, progress=progress)
        except DatavcError as error:
            progress.note(f"warning: {error.message}")
            continue
        if seen is not None:
            found[dataset.path] = seen
    return found


def row_of_file(
    absolute: bytes, shown: bytes, algorithm: str, *, declared: bool = False, metrics: bool = False
) -> Data:
    """A file outside of datasets, by its content; without a digest where it went or kept changing."""
    try:
        with open(absolute, "rb") as file:
            before = os.fstat(file.fileno())
            hasher = new_hasher(algorithm)
            while piece := file.read(_PIECE):
                hasher.update(piece)
            after = os.fstat(file.fileno())
    except OSError:
        return Data(shown, "file", None, 0, 1, declared, metrics=metrics)
    still = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    kind = "executable" if before.st_mode & stat.S_IXUSR else "file"
    digest = Digest(algorithm, hasher.digest()) if still else None
    return Data(shown, kind, digest, after.st_size, 1, declared, metrics=metrics)


@dataclass(slots=True)
class Sorted:
    """The files that were seen, sorted: per dataset, other data, code; paths absolute but for those of datasets."""

    datasets: dict[bytes, set[bytes]]
    data: set[bytes]
    code: set[bytes]


def sort_files(
    repo: Repo, files: Iterable[bytes], datasets: Iterable[bytes], code: Iterable[bytes]
) -> Sorted:
    """Which of the absolute real paths ``files`` belong to which dataset, and what the others are."""
    found = Sorted({}, set(), set())
    known, names = set(code), sorted(datasets)
    lone = set(names)
    root = os.path.realpath(repo.root_bytes)
    private = tuple(os.fsencode(place) + b"/" for place in (repo.private, repo.shared))
    home = os.path.realpath(os.path.expanduser(b"~"))
    owners: dict[bytes, bytes | None] = {}
    for path in files:
        if path.startswith(private) or is_inside(path, _OWN) or b"/.git/" in path:
            continue
        if not path.startswith(root + b"/"):
            inner = path[len(home) + 1 :] if path.startswith(home + b"/") else b""
            if inner.startswith(b".") and not inner.startswith(b".cache/") and b"/" in inner:
                continue  # settings of programs
            (found.code if path.endswith(b".py") else found.data).add(path)
            continue
        relative = path[len(root) + 1 :]
        folder = relative.rpartition(b"/")[0]
        if folder not in owners:
            owners[folder] = next((name for name in names if folder and is_inside(folder, name)), None)
        owner = owners[folder] or (relative if relative in lone else None)
        if owner is not None:
            found.datasets.setdefault(owner, set()).add(relative)
        elif relative in known or relative.endswith((b".py", b".pyc", b".datavc")):
            found.code.add(path)
        else:
            found.data.add(path)
    return found


class Linker:
    """Finds the record that made something, among those whose closure is in the cache."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._index = LineageIndex(repo)

    @property
    def index(self) -> LineageIndex:
        """What it asks."""
        return self._index

    def linked(self, row: Data, pointer: Pointer | None = None) -> Data:
        """The row, with its maker where that is known."""
        if row.digest is None:
            return row
        named = pointer.run if pointer is not None and pointer.digest == row.digest else None
        if named is not None:
            digest = Digest.parse(str(named["record"]))
            if has_record(self._repo, digest):
                return replace(row, record=digest)
        makers = (
            self._index.makers(row.digest) if row.kind == "folder" else self._index.makers_of_file(row.digest)
        )
        maker = next((edge.record for edge in makers if has_record(self._repo, edge.record)), None)
        return replace(row, record=maker)


def shown_path(repo: Repo, absolute: bytes) -> bytes:
    """As a record has it: relative to the repo's root (which is a real path), absolute outside."""
    root = repo.root_bytes + b"/"
    return absolute[len(root) :] if absolute.startswith(root) else absolute


def files_object(repo: Repo, ways: dict[str, Sorted], rows: dict[bytes, Data]) -> list[dict[str, object]]:
    """All files that were seen, for the object ``files``: path, what it was to the run, and the digest where one was made."""
    listed: list[dict[str, object]] = []
    for way, found in ways.items():
        members = {repo.root_bytes + b"/" + path for paths in found.datasets.values() for path in paths}
        for role, paths in (("data", found.data | members), ("code", found.code)):
            for path in sorted(paths):
                shown = shown_path(repo, path)
                digest = rows[path].digest if path in rows else None
                listed.append(
                    {
                        "path": shown.decode("utf-8", "surrogateescape"),
                        "way": way,
                        "role": role,
                        "digest": str(digest) if digest is not None else None,
                    }
                )
    return listed


def unwritten(observed: Observed, outputs: Iterable[Path]) -> set[bytes]:
    """What was read and not made by the run itself."""
    tops = [os.path.realpath(os.fsencode(path)) for path in outputs]
    return {
        path for path in observed.read - observed.written if not any(is_inside(path, top) for top in tops)
    }
