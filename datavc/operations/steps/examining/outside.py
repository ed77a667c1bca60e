"""A folder that is no dataset, in the workspace or anywhere else, hashed as one would be, and not kept."""

from __future__ import annotations

import os

from datavc.formats.digest import Digest
from datavc.formats.record import Data
from datavc.formats.tree import KIND_NAMES
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.workspace.listing import Scan


def scan_outside(repo: Repo, path: bytes, *, jobs: int, progress: Progress) -> Scan:
    """What is at the absolute ``path``, hashed. Raises StorageError, OSError."""
    from datavc.workspace.hashing import hash_unknown
    from datavc.workspace.scan import scan_dataset

    parent, _, name = os.path.realpath(path).rpartition(b"/")
    parent = parent or b"/"
    root_fd = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        scan = scan_dataset(root_fd, name, repo.algorithm, rows={}, clock_ns=0)
    finally:
        os.close(root_fd)
    hash_unknown(scan, parent, jobs=jobs, progress=progress)
    return scan


def row_of_folder(repo: Repo, path: bytes, shown: bytes, *, jobs: int, progress: Progress) -> Data:
    """The folder as a declared input."""
    scan = scan_outside(repo, path, jobs=jobs, progress=progress)
    if scan.problems:
        return Data(shown, "folder", None, 0, 0, declared=True)
    entry, _ = scan.seal(encode=False)
    return Data(
        shown,
        KIND_NAMES[entry.kind],
        Digest(repo.algorithm, entry.digest),
        entry.size,
        entry.count,
        declared=True,
    )
