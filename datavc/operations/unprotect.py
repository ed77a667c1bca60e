"""``unprotect``: turn files that are linked to the cache into files of their own, which may be edited in place."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass, field

from datavc.durable import TEMPORARY_PREFIX, storage_errors, sync_filesystem
from datavc.formats.paths import SubPaths
from datavc.formats.tree import FOLDER
from datavc.operations.selection import select
from datavc.operations.steps.examining.examine import links_into, scan_workspace
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.repo import Repo
from datavc.workspace.links import copy_bytes
from datavc.workspace.readfile import open_file
from datavc.workspace.safepath import open_folder


@dataclass(slots=True)
class UnprotectResult:
    """The files that were links to the cache, or read-only, and are plain writable files now."""

    files: list[bytes] = field(default_factory=list)


def unprotect(repo: Repo, paths: list[bytes]) -> UnprotectResult:
    """Make every file of the datasets, or parts of them, that ``paths`` name a writable file of its own.

    Raises:
        NotFoundError: a path has nothing to do with a dataset. StorageError, OutOfSpace: a file could not be copied.
    """
    result = UnprotectResult()
    blobs = links_into(repo)
    with repo.lock("unprotect"):
        root_fd = os.open(repo.root_bytes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for item in select(repo, paths):
                scan = scan_workspace(repo, item.dataset.path)
                sweep(repo, [*scan.leftovers, *beside(repo, [item.dataset.path])])
                parts = [item.dataset.path + b"/" + part for part in item.parts or ()]
                wanted = SubPaths(parts or [item.dataset.path])
                for folder in (scan.top, *scan.folders.values()):
                    base = folder.path[:-1].rpartition(b"/")[0] if folder is scan.top else folder.path
                    for name, kind in zip(folder.names, folder.kinds, strict=True):
                        path = base + b"/" + name if base else name
                        if kind != FOLDER and wanted.hold(path) and _own(root_fd, base, name, blobs):
                            result.files.append(path)
            sync_filesystem(root_fd)
        finally:
            os.close(root_fd)
    return result


def _own(root_fd: int, folder: bytes, name: bytes, blobs: bytes) -> bool:
    """Replace one linked file by a copy; whether that was needed."""
    folder_fd = open_folder(root_fd, folder.split(b"/") if folder else [])
    try:
        with storage_errors(name):
            seen = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
            linked = stat.S_ISLNK(seen.st_mode) and os.readlink(name, dir_fd=folder_fd).startswith(
                blobs + b"/"
            )
            shared = stat.S_ISREG(seen.st_mode) and seen.st_nlink > 1
            if stat.S_ISREG(seen.st_mode) and not shared and not seen.st_mode & 0o200:
                os.chmod(name, seen.st_mode & 0o7777 | 0o200, dir_fd=folder_fd)
                return True
            if not (linked or (shared and not seen.st_mode & 0o222)):
                return False
            source = open_file(name, folder_fd, blobs)
            temporary = f"{TEMPORARY_PREFIX}{os.urandom(6).hex()}".encode()
            mode = 0o777 if os.fstat(source).st_mode & 0o100 else 0o666
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(temporary, flags, mode, dir_fd=folder_fd)
            try:
                copy_bytes(source, target)
                os.rename(temporary, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder_fd)
                raise
            finally:
                os.close(source)
                os.close(target)
            return True
    finally:
        os.close(folder_fd)
