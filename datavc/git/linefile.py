"""Files of lines that belong to the user and that datavc edits too: .gitignore and .gitattributes.

All bytes that are not the line in question stay as they are, line endings and a byte order mark included.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

from datavc.durable import remove_durably, storage_errors, write_durably
from datavc.errors import ConflictError
from datavc.git.program import show_path

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines_of(text: bytes) -> list[bytes]:
    """The lines as git reads them: ending at LF or CRLF, the first one after a byte order mark."""
    return [_without_ending(row) for row in io.BytesIO(text.removeprefix(_BYTE_ORDER_MARK))]


def append_line(text: bytes, line: bytes) -> bytes:
    """Put ``line`` at the end, with the ending (LF or CRLF) of the line before it.

    Where the last line has no ending, it gets one first.
    """
    endings = [b"\r\n" if row.endswith(b"\r\n") else b"\n" for row in io.BytesIO(text) if row.endswith(b"\n")]
    ending = endings[-1] if endings else b"\n"
    if text.removeprefix(_BYTE_ORDER_MARK) and not text.endswith(b"\n"):
        text += ending
    return text + line + ending


def drop_line(text: bytes, line: bytes) -> bytes:
    """Leave out every line that is ``line``."""
    body = text.removeprefix(_BYTE_ORDER_MARK)
    mark = text[: len(text) - len(body)]
    kept = b"".join(row for row in io.BytesIO(body) if _without_ending(row) != line)
    if not mark and kept.startswith(_BYTE_ORDER_MARK):
        # What was no mark on a later line must not become one.
        mark = _BYTE_ORDER_MARK
    return mark + kept


def edit_file(path: Path, change: Callable[[bytes], bytes]) -> bool:
    """Replace the file by what ``change`` makes of its bytes, durably and in one step; say whether anything changed.

    No file counts as an empty one, both before and after. The caller holds the repo's lock.

    Raises:
        ConflictError: ``path`` is a symlink, which git does not follow here, or no regular file.
        StorageError: it cannot be read or written.
    """
    before = _read(path)
    after = change(before)
    if after == before:
        return False
    if after:
        write_durably(path, after)
    else:
        remove_durably(path)
    return True


def _read(path: Path) -> bytes:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ConflictError(
                f"{show_path(path)} is a symlink, which git does not follow", "put a file in its place"
            ) from error
        with storage_errors(path):
            raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConflictError(f"{show_path(path)} is not a file, which git needs there", "move it away")
        with storage_errors(path), open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _without_ending(row: bytes) -> bytes:
    return row.removesuffix(b"\n").removesuffix(b"\r") if row.endswith(b"\n") else row
