"""What killed commands left in the workspace under reserved names. Only whoever holds the repo's lock may sweep it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from datavc.durable import TEMPORARY_PREFIX
from datavc.repo import Repo
from datavc.workspace.safepath import RESERVED_PREFIX, open_folder


def beside(repo: Repo, paths: Iterable[bytes]) -> list[bytes]:
    """The leftovers in the folders that hold the datasets ``paths``; all relative to the repo's root."""
    found = []
    for folder in {path.rpartition(b"/")[0] for path in paths}:
        with contextlib.suppress(OSError):
            names = map(os.fsencode, os.listdir(repo.absolute(folder)))
            reserved = [name for name in names if name.startswith(RESERVED_PREFIX)]
            found += [folder + b"/" + name if folder else name for name in reserved]
    return found


def sweep(repo: Repo, leftovers: Iterable[bytes]) -> None:
    """Remove what can be removed of them, reached without following a symlink, and what is beside workspace states."""
    root_fd = os.open(repo.root_bytes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in leftovers:
            folder, _, name = path.rpartition(b"/")
            folder_fd = open_folder(root_fd, folder.split(b"/") if folder else [])
            try:
                with contextlib.suppress(OSError):
                    _remove_tree(folder_fd, name)
            finally:
                os.close(folder_fd)
    finally:
        os.close(root_fd)
    for file in (repo.private / "state").glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            file.unlink()


def _remove_tree(folder_fd: int, name: bytes) -> None:
    """Remove a leftover of ours, a file or a staged folder."""
    try:
        os.unlink(name, dir_fd=folder_fd)
        return
    except (IsADirectoryError, PermissionError):
        pass
    inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
    try:
        for entry in os.listdir(inner):
            _remove_tree(inner, os.fsencode(entry))
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=folder_fd)
