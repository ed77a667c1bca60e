"""Names that no checkout may write, and folders opened without ever going through a symlink.

Trees and pointers come from strangers. Two walls keep what they say inside the workspace: every name is
judged by itself (:func:`refused_name`), and every folder is opened one component at a time, relative to the
folder before it (:func:`open_folder`), so that a symlink planted beforehand or swapped in meanwhile is an
error and never followed.

Also here: what a file system can tell apart and keep (case, exec bits, symlinks). Ways to bring a file into
an open folder are in :mod:`datavc.workspace.links`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import unicodedata
from collections.abc import Iterator, Sequence

from datavc.durable import TEMPORARY_PREFIX, storage_errors
from datavc.errors import ConflictError, NotFoundError
from datavc.formats.paths import show

# Temporary files that datavc makes beside the user's own; what is left of them after a crash may be deleted.
RESERVED_PREFIX = TEMPORARY_PREFIX.encode()
MAX_NAME_BYTES = 255

# A folder by path, or by the descriptor of one that is open already (and stays open).
FolderPlace = int | str | bytes | os.PathLike[str]

# Spellings that reach .git or .datavc on some file system that people mount, once `_fold` took care of case
# and Unicode. NTFS drops dots and spaces at the end, ":" begins a stream (".git::$INDEX_ALLOCATION" is the
# folder itself), "git~1" is the short name of ".git" there and on vfat, and "\" is a separator to Windows
# (git: is_ntfs_dotgit in path.c, and fsck.c). To git, bytes that are no UTF-8 end a name. Other names with a
# backslash are legal: systemd's units have them.
_TAKEN = re.compile(
    r"(?:\A|\\)(?:(?P<git>\.git|git~[1-9])|\.datavc|datavc~[1-9])[. ]*(?:[\\:\udc80-\udcff]|\Z)"
    r"|\A(?P<tmp>\.datavc-tmp-)"
)
# At least one of these is in the lower-cased block "\0name\0name\0" where an ASCII name is refused. Nine
# searches at the speed of memmem beat one regular expression: 100,000 names in 17 ms.
_SUSPECT = (b"\0\0", b"\0.\0", b"\0..\0", b"/", b"\\", b"\0.git", b"\0git~", b"\0.datavc", b"\0datavc~")
# Code points that HFS+ (git: next_hfs_char in utf8.c) and ext4 with casefold (Unicode's
# Default_Ignorable_Code_Point) leave out of comparisons.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# What opening a symlink or file as a folder fails with: POSIX says ELOOP for the former, FreeBSD EMLINK,
# Linux ENOTDIR.
_NO_FOLDER = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
_NO_SYMLINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def refused_name(name: bytes) -> str | None:
    """Why no file of this name may be recorded or written, to be read after the path; None for a good name.

    Legal and kept: control characters, bytes that are no UTF-8, leading dashes, other backslashes.
    """
    if (reason := _misshapen(name)) is not None:
        return reason
    taken = _TAKEN.search(_fold(name))
    if taken is None:
        return None
    if taken["tmp"]:
        return f"begins with {RESERVED_PREFIX.decode()}, which datavc keeps for its temporary files"
    if taken["git"]:
        return "is a name that some file systems take for .git"
    return "is a name that some file systems take for .datavc, where datavc keeps its own files"


def first_refused(names: Sequence[bytes]) -> tuple[bytes, str] | None:
    """The first of ``names`` that :func:`refused_name` refuses, and why. 0.2 us a name where none is."""
    if not names:
        return None
    block = b"\0" + b"\0".join(names) + b"\0"
    if block.count(b"\0") == len(names) + 1 and max(map(len, names)) <= MAX_NAME_BYTES:
        # Folding the whole block leaves the NULs where they are: they neither combine nor are they ignorable.
        folded = block.lower() if block.isascii() else _fold(block).encode("utf-8", "surrogateescape")
        if not any(suspect in folded for suspect in _SUSPECT):
            return None
    return next(((name, reason) for name in names if (reason := refused_name(name)) is not None), None)


def casefold_collision(names: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Two of ``names`` that are one file where case or Unicode form do not count, or None.

    Names that are no UTF-8 are only like themselves. ``names`` are of one folder and differ.
    """
    if not names:
        return None
    block = b"\0".join(names)
    if block.isascii():
        keys: list[str | bytes] = [*block.lower().split(b"\0")]
    else:
        try:
            keys = [*_caseless(block.decode("utf-8")).split("\0")]
        except UnicodeDecodeError:
            keys = [caseless_key(name) for name in names]
    if len(set(keys)) == len(keys):
        return None
    seen: dict[str | bytes, bytes] = {}
    for key, name in zip(keys, names, strict=True):
        if (other := seen.setdefault(key, name)) is not name:
            return other, name
    return None


def open_folder(root_fd: int, parts: Sequence[bytes], *, create: bool = False) -> int:
    """A new descriptor of the folder ``parts`` below ``root_fd``; no symlink is followed.

    ``create`` makes what is missing. ``root_fd`` itself is trusted. Folders made here are not synced. Raises
    ConflictError where a component is a symlink, not a folder, or a name that :func:`refused_name` refuses
    (but for datavc's own temporary names), NotFoundError where it is missing, StorageError.
    """
    fd = os.open(b".", _OPEN_FOLDER, dir_fd=root_fd)
    try:
        for depth in range(1, len(parts) + 1):
            below = _open_below(fd, parts[:depth], create)
            os.close(fd)
            fd = below
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_folder(root: bytes, path: bytes) -> None:
    """Make the folder ``path`` below ``root``, and those above it, where they are missing. Raises as :func:`open_folder`."""
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.close(open_folder(root_fd, path.split(b"/") if path else [], create=True))
    finally:
        os.close(root_fd)


def is_case_sensitive(folder: FolderPlace) -> bool:
    """Whether ``folder`` keeps names apart that differ in case. Tried with a temporary file; raises
    StorageError.
    """
    with _probe_folder(folder) as fd:
        name = RESERVED_PREFIX + b"case-" + os.urandom(8).hex().encode()
        with _probe_file(fd, name):
            return not _exists(fd, name.upper())


def has_exec_bits(folder: FolderPlace) -> bool:
    """Whether files in ``folder`` keep the exec bit. Tried with a temporary file; raises StorageError."""
    with _probe_folder(folder) as fd:
        name = RESERVED_PREFIX + b"exec-" + os.urandom(8).hex().encode()
        with _probe_file(fd, name) as file_fd:
            # Both ways: vfat, SMB and WSL's drvfs may be mounted so that every file looks executable.
            return all(_keeps_mode(file_fd, mode) for mode in (0o700, 0o600))


def has_symlinks(folder: FolderPlace) -> bool:
    """Whether ``folder`` can hold symlinks. Tried with a temporary one; raises StorageError."""
    with _probe_folder(folder) as fd:
        name = RESERVED_PREFIX + b"link-" + os.urandom(8).hex().encode()
        try:
            os.symlink(b"no such target", name, dir_fd=fd)
            return os.readlink(name, dir_fd=fd) == b"no such target"
        except OSError as error:
            if error.errno in _NO_SYMLINKS:
                return False
            raise
        finally:
            _forget(fd, name)


def _misshapen(name: bytes) -> str | None:
    """Why ``name`` is no single component of a path at all."""
    if not name:
        return "has an empty name"
    if name in (b".", b".."):
        return f"has the name {name.decode()}, which is another folder"
    if b"/" in name or b"\0" in name:
        return "has a slash or a NUL byte in its name"
    if len(name) > MAX_NAME_BYTES:
        return f"has a name of more than {MAX_NAME_BYTES} bytes"
    return None


def _fold(name: bytes) -> str:
    """``name`` as the most forgiving file system compares it; bytes that are no UTF-8 stay themselves.

    Compatibility forms are ZFS's (normalization=formKD): there "U+FF0E git" is ".git".
    """
    if name.isascii():
        return name.decode("ascii").lower()
    text = unicodedata.normalize("NFKD", name.decode("utf-8", "surrogateescape")).casefold()
    return _IGNORABLE.sub("", text)


def _caseless(text: str) -> str:
    """Unicode's canonical caseless matching: APFS and HFS+ compare so."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def caseless_key(name: bytes) -> str | bytes:
    """What two names have in common that are one file where case and Unicode form do not count."""
    try:
        return _caseless(name.decode("utf-8"))
    except UnicodeDecodeError:
        return name


def _open_below(fd: int, path: Sequence[bytes], create: bool) -> int:
    """Open the last component of ``path`` in the folder ``fd``, which is the rest of it."""
    name, where = path[-1], b"/".join(path)
    reason = _misshapen(name) if name.startswith(RESERVED_PREFIX) else refused_name(name)
    if reason is not None:
        raise ConflictError(f"{show(where)} {reason}")
    # Three tries: another process may make or remove the folder between the two calls.
    for _ in range(3):
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=fd)
        except FileNotFoundError:
            if not create:
                raise NotFoundError(f"{show(where)} does not exist") from None
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise ConflictError(
                    f"{show(where)} is {_kind(fd, name)} where a folder should be: nothing is written there",
                    "move it away and run the same command again",
                ) from None
            with _naming(where):
                raise
        # The folder itself may be gone (FileNotFoundError), or the new one be there already.
        with _naming(where), contextlib.suppress(FileExistsError, FileNotFoundError):
            os.mkdir(name, dir_fd=fd)
    raise ConflictError(f"{show(where)} is being changed by another program")


@contextlib.contextmanager
def _naming(path: bytes) -> Iterator[None]:
    """As `storage_errors`, naming all of ``path`` and not only the component at which a call failed."""
    with storage_errors(show(path)):
        try:
            yield
        except OSError as error:
            error.filename = None
            raise


def _kind(fd: int, name: bytes) -> str:
    try:
        mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except OSError:
        return "something that another program is changing"
    if stat.S_ISLNK(mode):
        return "a symlink"
    return "a file" if stat.S_ISREG(mode) else "something that another program is changing"


@contextlib.contextmanager
def _probe_folder(folder: FolderPlace) -> Iterator[int]:
    """An open ``folder``; what fails in it is a StorageError that names it."""
    if isinstance(folder, int):
        with _naming(b"a folder of the workspace"):
            yield folder
        return
    with _naming(os.fsencode(folder)):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield fd
        finally:
            os.close(fd)


@contextlib.contextmanager
def _probe_file(fd: int, name: bytes) -> Iterator[int]:
    """An open, empty temporary file ``name`` in the folder ``fd``; gone afterwards."""
    file_fd = os.open(name, _NEW_FILE, 0o600, dir_fd=fd)
    try:
        yield file_fd
    finally:
        os.close(file_fd)
        _forget(fd, name)


def _keeps_mode(file_fd: int, mode: int) -> bool:
    try:
        os.fchmod(file_fd, mode)
    except OSError:
        return False
    return os.fstat(file_fd).st_mode & stat.S_IXUSR == mode & stat.S_IXUSR


def _exists(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _forget(fd: int, name: bytes) -> None:
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=fd)
