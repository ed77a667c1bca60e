"""Open folders of the workspace, each opened in the one above it: no symlink on the way can lead out of the dataset.

O_NOFOLLOW speaks of the last name of a path alone, so a path of several names would follow a folder that was swapped
for a symlink a moment ago. Name by name costs nothing in a walk, where the folder above is open already.
"""

from __future__ import annotations

import errno
import os

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
# A process may have as few as 256 open files; from folders above these one starts again at the top.
_KEPT = 64


class OpenFolders:
    """The folder that was asked for last, kept open with those above it: files come folder by folder, in path order."""

    def __init__(self, root: bytes | int) -> None:
        """``root`` is the repo's, or an open descriptor of it, which stays the caller's."""
        self._owned = isinstance(root, bytes)
        self._root_fd = (
            os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if isinstance(root, bytes) else root
        )
        self._path: bytes | None = None
        # Each with the slash that ends it; a descriptor of -1 was closed to save descriptors.
        self._prefixes: list[bytes] = []
        self._fds: list[int] = []

    def open(self, path: bytes) -> int:
        """The descriptor of folder ``path``, good until the next call. It may name the pseudo-folder of a dataset.

        Raises:
            ConflictError: a name on the way is no folder any more.
            OSError: one is gone, or may not be read.
        """
        if path == self._path:
            return self._fds[-1] if self._fds else self._root_fd
        self._path = None
        # The pseudo-folder of a dataset stands for the folder that holds it.
        real = path[:-1].rpartition(b"/")[0] if path.endswith(b"\0") else path
        fd = self._go(real + b"/") if real else self._go(b"")
        self._path = path
        return fd

    def _go(self, wanted: bytes) -> int:
        prefixes, fds = self._prefixes, self._fds
        while fds and (fds[-1] < 0 or not wanted.startswith(prefixes[-1])):
            self._drop()
        fd, prefix = (fds[-1], prefixes[-1]) if fds else (self._root_fd, b"")
        for name in wanted[len(prefix) : -1].split(b"/") if len(prefix) < len(wanted) else ():
            try:
                fd = os.open(name, _FLAGS, dir_fd=fd)
            except OSError as error:
                if error.errno in (errno.ENOTDIR, errno.ELOOP):
                    from datavc.workspace.readfile import changed_while_read

                    raise changed_while_read(wanted[:-1]) from None
                raise
            prefix += name + b"/"
            prefixes.append(prefix)
            fds.append(fd)
            if len(fds) > _KEPT and fds[-_KEPT - 1] >= 0:
                os.close(fds[-_KEPT - 1])
                fds[-_KEPT - 1] = -1
        return fd

    def __enter__(self) -> OpenFolders:
        return self

    def __exit__(self, *_: object) -> None:
        while self._fds:
            self._drop()
        if self._owned:
            os.close(self._root_fd)

    def _drop(self) -> None:
        """Let go of the deepest folder."""
        self._prefixes.pop()
        fd = self._fds.pop()
        if fd >= 0:
            os.close(fd)
