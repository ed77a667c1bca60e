"""Taking the files of a dataset out of the workspace: those that were looked at, and no others."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

from datavc.durable import storage_errors
from datavc.errors import ConflictError
from datavc.formats.paths import show
from datavc.formats.state import Checkout
from datavc.formats.times import utc_text
from datavc.formats.tree import FOLDER
from datavc.operations.steps.examining.examine import View, links_into
from datavc.repo import Repo
from datavc.workspace.folders import OpenFolders
from datavc.workspace.listing import Folder


def empty_workspace(repo: Repo, view: View) -> int:
    """Delete what ``view`` found, then the folders that are empty; ignored files stay. Returns the number of files.

    Until all of it is gone the workspace state says that a checkout is under way, so that nobody takes it for edits.

    Raises:
        ConflictError: something was changed after it was looked at. StorageError: something cannot be deleted.
    """
    scan = view.scan
    if view.target is not None:
        repo.write_state(replace(view.state, checkout=Checkout(*view.target, None, utc_text())))
    count = 0
    with storage_errors(repo.absolute(view.path)), OpenFolders(repo.root_bytes) as folders:
        for folder in (*scan.folders.values(), scan.top):
            try:
                count += _empty(folder, folders.open(folder.path), links_into(repo) + b"/")
            except FileNotFoundError:
                # Of a partial workspace: the rest of the dataset is in the scan, too.
                continue
    for path in sorted(scan.folders, reverse=True):
        try:
            os.rmdir(os.path.join(repo.root_bytes, path))
        except OSError:
            # Ignored files are in it, or it never was there.
            continue
    repo.drop_state(view.path)
    return count


def _empty(folder: Folder, fd: int, blobs: bytes) -> int:
    count = 0
    for number, name in enumerate(folder.names):
        if folder.kinds[number] == FOLDER:
            continue
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        seen = folder.stats[4 * number + 1 : 4 * number + 4].tolist()
        is_same = [found.st_mtime_ns, found.st_ctime_ns, found.st_ino] == seen
        # A link into the cache was looked at where it leads.
        is_link = stat.S_ISLNK(found.st_mode) and os.readlink(name, dir_fd=fd).startswith(blobs)
        if not is_same and not is_link:
            raise ConflictError(
                f"{show(name)} in {show(folder.path.rstrip(bytes(1)))} was changed meanwhile, and stays",
                "datavc status",
            )
        os.unlink(name, dir_fd=fd)
        count += 1
    return count
