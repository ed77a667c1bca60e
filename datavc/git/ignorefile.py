"""Lines of .gitignore: writing a name so that git ignores it and nothing else, adding and removing such lines.

What git makes of all its ignore files together is asked with :func:`datavc.git.pointers.ignored_by`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from pathlib import Path

from datavc.errors import UsageError
from datavc.formats.paths import show
from datavc.git.linefile import append_line, drop_line, edit_file, lines_of

IGNORE_FILE = ".gitignore"


def ignore_file(path: bytes) -> bytes:
    """The path of the .gitignore file that speaks of ``path``: the one beside it."""
    folder = path.rpartition(b"/")[0]
    return (folder + b"/" if folder else b"") + IGNORE_FILE.encode()


def ignore_line(name: bytes) -> bytes:
    """The line, without its ending, that ignores exactly ``name`` in the folder of the .gitignore file.

    It starts with a slash, which ties it to that folder and takes their meaning from a leading ``#`` and ``!``.

    Raises:
        UsageError: ``name`` is no name of a file, or has a newline in it, which no line can express.
    """
    if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
        raise UsageError(f"'{show(name)}' is not the name of a file or folder")
    if b"\n" in name:
        raise UsageError(
            f"'{show(name)}' has a newline in its name, which no line of {IGNORE_FILE} can express",
            "rename it, or put it into a folder and add that folder",
        )
    line = name
    for special in (b"\\", b"*", b"?", b"["):  # the backslash first, or it would be doubled by the others
        line = line.replace(special, b"\\" + special)
    bare = line.rstrip(b" ")
    line = bare + b"\\ " * (len(line) - len(bare))
    # Git takes a carriage return before the newline for half of a line ending, even behind a backslash.
    if line.endswith(b"\r"):
        line = line[:-1] + b"[\r]"
    return b"/" + line


def with_line(text: bytes, line: bytes) -> bytes:
    """``text`` with ``line`` in force: unchanged if it is there and no ``!`` line after it could undo it."""
    lines = lines_of(text)
    exceptions = [number for number, other in enumerate(lines) if other.startswith(b"!")]
    in_force = lines[exceptions[-1] + 1 :] if exceptions else lines
    return text if line in in_force else append_line(text, line)


def without_line(text: bytes, line: bytes) -> bytes:
    """``text`` without any line that is ``line``; all other bytes stay."""
    return drop_line(text, line)


def ignore_names(folder: Path, names: Iterable[bytes]) -> bool:
    """Make the .gitignore file of ``folder`` ignore ``names`` there; durable, and says whether it had to change.

    Raises:
        UsageError: a name that no line can express; nothing was written then.
        ConflictError: the file is a symlink, or no file.
        StorageError: it cannot be read or written.
    """
    lines = [ignore_line(name) for name in names]
    return edit_file(folder / IGNORE_FILE, lambda text: reduce(with_line, lines, text))


def unignore_names(folder: Path, names: Iterable[bytes]) -> bool:
    """Take the lines of :func:`ignore_names` out again; a file that is empty then is removed. Raises the same."""
    lines = [ignore_line(name) for name in names]
    return edit_file(folder / IGNORE_FILE, lambda text: reduce(without_line, lines, text))
