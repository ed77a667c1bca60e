"""Four ways to make a cached file appear in an open folder: reflink, hardlink, symlink, copy; which work
here.

Names are always new (O_EXCL) and relative to a folder's descriptor, so nothing is overwritten and no symlink
followed. Not here: which kind is wanted, staging and renaming, and whether the content is what it should be.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import sys
from pathlib import Path
from typing import Literal

from datavc.durable import storage_errors
from datavc.errors import ConflictError, NotFoundError, StorageError
from datavc.formats.paths import show
from datavc.workspace.safepath import RESERVED_PREFIX

LinkKind = Literal["reflink", "hardlink", "symlink", "copy"]
LINK_KINDS: tuple[LinkKind, ...] = ("reflink", "hardlink", "symlink", "copy")

# linux/fs.h, _IOW(0x94, 9, int), on all machines but these.
_FICLONE = (
    0x8004_9409 if os.uname().machine.startswith(("alpha", "mips", "parisc", "ppc", "sparc")) else 0x4004_9409
)
# What a kernel or file system answers when it can not do this kind here, as opposed to a disk that fails:
# another file system, no such call, a network or FUSE file system without it, too many names for one inode, a
# file marked immutable or of another owner (fs.protected_hardlinks), a swap file; EAGAIN is ZFS while the
# source is not on disk yet.
_CANNOT = frozenset(
    {
        errno.EXDEV,
        errno.EOPNOTSUPP,
        errno.ENOTSUP,
        errno.ENOTTY,
        errno.ENOSYS,
        errno.EINVAL,
        errno.EPERM,
        errno.EMLINK,
        errno.ETXTBSY,
        errno.EAGAIN,
    }
)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a named pipe planted in the cache must not hang the command.
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# One call of copy_file_range can not be interrupted: a tenth of a second by hard disk.
_COPY_BYTES = 16 << 20
_READ_BYTES = 1 << 20
# Btrfs keeps files up to 2 KiB inline in its metadata and clones those by other rules.
_PROBE_BYTES = bytes(range(256)) * 32
# sys/clonefile.h
_CLONE_NOOWNERCOPY = 0x0002


def place(kind: LinkKind, source: Path, folder_fd: int, name: bytes, *, executable: bool) -> LinkKind:
    """Make ``source`` appear as the new ``name`` in the folder ``folder_fd``; returns the kind it became.

    Where a reflink, hardlink or symlink is not possible the file is copied, and so is one whose exec bit
    would have to differ from that of the linked file, since those two share it. New files get the modes that
    the umask leaves. Nothing is synced. Raises ConflictError where the name is taken, NotFoundError where the
    source is missing, OutOfSpace, StorageError; then nothing of that name is left.
    """
    with storage_errors(source):
        try:
            source_fd = os.open(source, _SOURCE)
        except FileNotFoundError:
            raise NotFoundError(f"{source} does not exist") from None
    try:
        seen = os.fstat(source_fd)
        if not stat.S_ISREG(seen.st_mode):
            raise StorageError(f"{source} is not a regular file")
        with storage_errors(show(name)):
            try:
                if kind in ("hardlink", "symlink"):
                    shares_exec_bit = bool(seen.st_mode & stat.S_IXUSR) == executable
                    if shares_exec_bit and _link(kind, source, folder_fd, name, seen):
                        return kind
                    kind = "copy"
                return _place_own(kind, source_fd, folder_fd, name, executable)
            except FileExistsError:
                raise ConflictError(f"{show(name)} is there already, and links replace nothing") from None
    finally:
        os.close(source_fd)


def clone_file(source_fd: int, target_fd: int) -> bool:
    """Make the empty file ``target_fd`` share all blocks of ``source_fd``; False where that is not possible.

    It never is on macOS, whose call makes a file of its own. Raises OSError when it failed for another
    reason.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    # ZFS before 2.2.3 cloned what was on disk, left out the rest and reported success (openzfs/zfs#15728).
    if os.fstat(target_fd).st_size == os.fstat(source_fd).st_size:
        return True
    os.ftruncate(target_fd, 0)
    return False


def copy_bytes(source_fd: int, target_fd: int) -> int:
    """Copy all of ``source_fd`` into the empty file ``target_fd``, inside the kernel where it can; the number
    of bytes.

    Raises OSError.
    """
    offset = _copy_in_kernel(source_fd, target_fd)
    # Also after success: copy_file_range reports the end of file at once on some FUSE and pseudo file
    # systems.
    while piece := os.pread(source_fd, _READ_BYTES, offset):
        view = memoryview(piece)
        while view:
            written = os.pwrite(target_fd, view, offset)
            offset += written
            view = view[written:]
    return offset


def probe_links(cache_folder: Path, workspace_folder: Path) -> set[LinkKind]:
    """The kinds by which files in ``cache_folder`` can appear in ``workspace_folder``: each is tried.

    Only "copy" where the cache can not be written to. Raises StorageError where the workspace can not.
    Nothing is left.
    """
    source = cache_folder / os.fsdecode(_probe_name())
    with storage_errors(workspace_folder):
        folder_fd = os.open(workspace_folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not _write_probe(source):
            return {"copy"}
        return {kind for kind in LINK_KINDS if _works(kind, source, folder_fd)}
    finally:
        os.close(folder_fd)
        with contextlib.suppress(OSError):
            source.unlink()


def _write_probe(source: Path) -> bool:
    try:
        with open(
            source, "xb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o600)
        ) as file:
            file.write(_PROBE_BYTES)
    except OSError:
        return False
    return True


def _works(kind: LinkKind, source: Path, folder_fd: int) -> bool:
    name = _probe_name()
    try:
        became = place(kind, source, folder_fd, name, executable=False)
        if became != kind:
            return False
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            return os.read(fd, len(_PROBE_BYTES) + 1) == _PROBE_BYTES
        finally:
            os.close(fd)
    finally:
        _forget(folder_fd, name)


def _link(kind: LinkKind, source: Path, folder_fd: int, name: bytes, seen: os.stat_result) -> bool:
    """Try a hard link or symlink to ``source``, whose open file is ``seen``."""
    try:
        if kind == "symlink":
            os.symlink(os.fsencode(source.absolute()), name, dir_fd=folder_fd)
            return True
        os.link(source, name, dst_dir_fd=folder_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    # Someone may have put another file in the source's place since it was opened.
    linked = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    if (linked.st_dev, linked.st_ino) == (seen.st_dev, seen.st_ino):
        return True
    _forget(folder_fd, name)
    raise StorageError(f"{source} was replaced while it was linked")


def _place_own(kind: LinkKind, source_fd: int, folder_fd: int, name: bytes, executable: bool) -> LinkKind:
    """Make a file of its own, sharing blocks where ``kind`` is not "copy" and the file system can."""
    mode = 0o777 if executable else 0o666
    if kind != "copy" and _clone_to_new_name(source_fd, folder_fd, name, mode):
        return "reflink"
    target_fd = os.open(name, _NEW_FILE, mode, dir_fd=folder_fd)
    try:
        if kind != "copy" and clone_file(source_fd, target_fd):
            return "reflink"
        copy_bytes(source_fd, target_fd)
        return "copy"
    except BaseException:
        _forget(folder_fd, name)
        raise
    finally:
        os.close(target_fd)


def _copy_in_kernel(source_fd: int, target_fd: int) -> int:
    """Copy as much as copy_file_range does; 0 where there is none."""
    offset = 0
    if not hasattr(os, "copy_file_range"):
        return offset
    try:
        while copied := os.copy_file_range(source_fd, target_fd, _COPY_BYTES, offset, offset):
            offset += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return offset


def _clone_to_new_name(source_fd: int, folder_fd: int, name: bytes, mode: int) -> bool:
    """macOS: clone into a new name. False where that is not possible; raises OSError."""
    if sys.platform != "darwin":
        return False
    import ctypes

    clone = ctypes.CDLL(None, use_errno=True).fclonefileat
    clone.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
    if clone(source_fd, folder_fd, name, _CLONE_NOOWNERCOPY) != 0:
        number = ctypes.get_errno()
        if number in _CANNOT:
            return False
        raise OSError(number, os.strerror(number))
    # A clone takes over mode and mtime too; a copy has neither.
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            os.fchmod(fd, mode & ~_umask())
            os.utime(fd)
        finally:
            os.close(fd)
    except BaseException:
        _forget(folder_fd, name)
        raise
    return True


@functools.cache
def _umask() -> int:
    # There is no call that only reads it. For a moment files of other threads are more private than asked
    # for, no less.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _probe_name() -> bytes:
    return RESERVED_PREFIX + b"link-" + os.urandom(8).hex().encode()


def _forget(folder_fd: int, name: bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=folder_fd)
