"""``checkout --record``: what ran, and the data that it read and made, in a folder of their own. Nothing is run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from datavc.durable import storage_errors, write_all
from datavc.errors import ConflictError, MalformedError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer
from datavc.formats.record import Data, Record
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, SYMLINK, Entry
from datavc.lineage.notebook import cells_of_script, notebook_of
from datavc.operations.steps.delivering.elsewhere import elsewhere
from datavc.operations.steps.delivering.fulfil import deliver_workers
from datavc.operations.steps.delivering.switching import Wanted, carry_out, prepare
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.runs.recordstore import read_record
from datavc.operations.steps.transfers.obtaining import obtain, obtain_record
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.workspace.safepath import open_folder, refused_name

_MAX_SYMLINK_BYTES = 4096


@dataclass(slots=True)
class Restored:
    """What was written: ``code`` files, ``data`` by path; and what of the data is nowhere, with the reason.

    Of a run in a notebook, ``notebook`` is the path in the folder of one that has the ``cells`` which had run by then.
    """

    record: Digest
    argv: list[str]
    code: int = 0
    data: list[bytes] = field(default_factory=list)
    missing: list[tuple[bytes, str]] = field(default_factory=list)
    notebook: bytes | None = None
    cells: int = 0


def restore(
    repo: Repo,
    record: str,
    to: Path,
    *,
    remote: str | None = None,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> Restored:
    """Write the code of a run as it was at its start, and its data, into the empty or new folder ``to``.

    What ran of a notebook are its cells, whatever its file said: they become a notebook in the folder where they ran.

    What the cache lacks is fetched. What was a bare file, and no dataset, is not kept anywhere, so it is named as missing.

    Raises:
        ConflictError: there is something in ``to``. NotFoundError, UsageError: there is no such record.
        StorageError, OutOfSpace, IntegrityError: it could not be read or written.
    """
    digest = obtain_record(repo, record, remote, progress)
    found = read_record(repo, digest)
    if os.path.lexists(to) and (not to.is_dir() or any(to.iterdir())):
        raise ConflictError(f"{to} is there already, and not empty", "choose another folder: --to DIR")
    restored = Restored(digest, list(found.argv))
    rows, restored.missing = _wanted(repo, found, remote, progress)
    with elsewhere(repo, to) as place, deliver_workers(jobs) as workers:
        restored.code = _write_code(repo, found, place.root)
        for row in rows:
            assert row.digest is not None
            pointer = Pointer(row.kind, row.digest, row.size, row.files)
            job = prepare(place, Wanted(row.path, pointer), workers, progress)
            if job.located.purged:
                restored.missing.append((row.path, "was purged, or some of it"))
                continue
            if job.missing:
                restored.missing.append((row.path, "is not in the cache"))
                continue
            carry_out(place, job, [], dry_run=False, workers=workers, progress=progress)
            restored.data.append(row.path)
        _write_cells(repo, found, place.root, restored)
    return restored


def _wanted(
    repo: Repo, record: Record, remote: str | None, progress: Progress
) -> tuple[list[Data], list[tuple[bytes, str]]]:
    """The data that can be had, inputs before outputs, and what cannot."""
    rows: list[Data] = []
    missing: list[tuple[bytes, str]] = []
    for row in (*record.inputs, *record.outputs):
        inside = [
            other for other in rows if is_inside(row.path, other.path) or is_inside(other.path, row.path)
        ]
        if inside or row.metrics or any(path == row.path for path, _ in missing):
            continue
        if row.digest is None or row.path.startswith(b"/") or any(map(refused_name, row.path.split(b"/"))):
            missing.append((row.path, "was not kept"))
        else:
            rows.append(row)
    versions = [
        Version(row.path, row.digest, row.kind, row.size, row.files, None) for row in rows if row.digest
    ]
    failed = {version.path: error.message for version, error in obtain(repo, versions, remote, progress)}
    missing += failed.items()
    return [row for row in rows if row.path not in failed], missing


def _write_code(repo: Repo, record: Record, root: Path) -> int:
    """The code's tree, file by file; its names come from strangers, so each folder is opened without following links."""
    kept = record.objects.get("code")
    if kept is None:
        return 0
    trees = TreeSource(repo.cache, None, kept.digest, "folder")
    reader = repo.cache.reader(kept.digest)
    written = 0
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path, tree in trees.walk():
            folder = open_folder(root_fd, path.split(b"/") if path else [], create=True)
            try:
                for entry in entries(tree):
                    if entry.kind != FOLDER:
                        pieces = list(reader.stream(entry.digest))
                        _write_file(folder, entry, b"".join(pieces))
                        written += 1
            finally:
                os.close(folder)
    finally:
        os.close(root_fd)
    return written


def _write_cells(repo: Repo, record: Record, root: Path, restored: Restored) -> None:
    """The cells of a notebook's run, under a name that is free: the code may have one like it."""
    kept = record.objects.get("cells")
    if kept is None:
        return
    script = b"".join(repo.cache.reader(kept.digest).stream(kept.digest.raw))
    cells = cells_of_script(script.decode("utf-8", "replace"))
    shown = os.fsencode(str(record.section("command").get("folder") or ""))
    parts = shown.split(b"/") if shown and not shown.startswith(b"/") else []
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        folder = open_folder(root_fd, parts, create=True)
        try:
            there = os.listdir(folder)
            name = next(name for name in _notebook_names() if name not in there)
            content = notebook_of(cells)
            _write_file(folder, Entry(name.encode(), FILE, len(content), 1, b""), content)
        finally:
            os.close(folder)
    finally:
        os.close(root_fd)
    restored.notebook, restored.cells = b"/".join([*parts, name.encode()]), len(cells)


def _notebook_names() -> Iterator[str]:
    yield "cells.ipynb"
    yield from (f"cells-{number}.ipynb" for number in count(2))


def _write_file(folder: int, entry: Entry, content: bytes) -> None:
    with storage_errors(show(entry.name)):
        if entry.kind == SYMLINK:
            if len(content) > _MAX_SYMLINK_BYTES or b"\0" in content or not content:
                raise MalformedError(f"{show(entry.name)} is no symlink's target")
            os.symlink(content, entry.name, dir_fd=folder)
            return
        mode = 0o777 if entry.kind == EXECUTABLE else 0o666
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(entry.name, flags, mode, dir_fd=folder)
        try:
            write_all(fd, content)
        finally:
            os.close(fd)
