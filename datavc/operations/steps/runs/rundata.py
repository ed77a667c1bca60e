"""What a run reads and writes, as rows of its record: datasets as they are, files by their content, and who made them."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from datavc.errors import DatavcError
from datavc.formats.digest import Digest, new_hasher
from datavc.formats.paths import is_inside
from datavc.formats.pointer import Pointer
from datavc.formats.record import Data
from datavc.lineage.byfolder import ByFolder
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
    """The files that were seen, sorted: per dataset, other data, code; their paths are absolute."""

    datasets: dict[bytes, ByFolder]
    data: set[bytes]
    code: set[bytes]


def sort_files(repo: Repo, files: ByFolder, datasets: Iterable[bytes], code: Collection[bytes]) -> Sorted:
    """Which of the real paths ``files`` belong to which dataset, and what the others are."""
    found = Sorted({}, set(), set())
    ordered = sorted(datasets)
    lone = set(ordered)
    root = os.path.realpath(repo.root_bytes) + b"/"
    private = tuple(os.fsencode(place) + b"/" for place in (repo.private, repo.shared))
    home = os.path.realpath(os.path.expanduser(b"~")) + b"/"
    for folder, names in files.folders.items():
        if folder.startswith(private) or is_inside(folder[:-1], _OWN) or b"/.git/" in folder:
            continue
        if not folder.startswith(root):
            inner = folder[len(home) :] if folder.startswith(home) else b""
            if inner.startswith(b".") and not inner.startswith(b".cache/"):
                continue  # settings of programs
            for name in names:
                (found.code if name.endswith(b".py") else found.data).add(folder + name)
            continue
        below = folder[len(root) :]
        owner = next((path for path in ordered if below and is_inside(below[:-1], path)), None)
        if owner is not None:
            found.datasets.setdefault(owner, ByFolder()).add_names(folder, names)
            continue
        for name in names:
            relative = below + name
            if relative in lone:
                found.datasets[relative] = ByFolder([folder + name])
            elif relative in code or name.endswith((b".py", b".pyc", b".datavc")):
                found.code.add(folder + name)
            else:
                found.data.add(folder + name)
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


def files_object(repo: Repo, ways: dict[str, Sorted], rows: dict[bytes, Data]) -> Iterator[str]:
    """All files that were seen, for the object ``files``: path, what it was to the run, and the digest where one was made.

    Each is a line of JSON, written by hand and quoted by folder: it may be a million, and the encoder takes ten times as
    long.
    """
    root, hashed = repo.root_bytes + b"/", ByFolder(rows)
    for way, found in ways.items():
        data = ByFolder(found.data)
        for members in found.datasets.values():
            data.include(members)
        for role, files in (("data", data), ("code", ByFolder(found.code))):
            tail = f'","role":"{role}","way":"{way}"}}'
            for folder, names in sorted(files.folders.items()):
                shown, ordered, known = (
                    _quoted(folder.removeprefix(root)),
                    sorted(names),
                    hashed.names(folder),
                )
                # No name has a slash, and JSON leaves slashes alone.
                for name, last in zip(ordered, _quoted(b"/".join(ordered)).split("/"), strict=True):
                    digest = rows[folder + name].digest if name in known else None
                    text = f'"{digest}"' if digest is not None else "null"
                    yield f'{{"digest":{text},"path":"{shown}{last}{tail}'


def _quoted(path: bytes) -> str:
    """As JSON has it, without the quotes."""
    return json.dumps(path.decode("utf-8", "surrogateescape"))[1:-1]


def unwritten(observed: Observed, outputs: Iterable[Path]) -> ByFolder:
    """What was read and not made by the run itself."""
    made = ByFolder(os.path.realpath(os.fsencode(path)) for path in outputs)
    inside = tuple(top + b"/" for top in made)
    made.include(observed.written)
    read = observed.read - made
    for folder in [folder for folder in read.folders if folder.startswith(inside)]:
        del read.folders[folder]
    return read
