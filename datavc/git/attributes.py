"""The line of .gitattributes by which git merges and compares pointers with datavc's drivers.

Git falls back to its own text merge and diff in a clone where nobody has configured the drivers.
"""

from __future__ import annotations

from pathlib import Path

from datavc.git.linefile import append_line, edit_file, lines_of

ATTRIBUTES_FILE = ".gitattributes"
ATTRIBUTES_LINE = b"*.datavc merge=datavc diff=datavc"


def with_attributes(text: bytes) -> bytes:
    """``text`` with the line for pointers; unchanged if a line for ``*.datavc`` settles both attributes already."""
    pattern, *wanted = ATTRIBUTES_LINE.split()
    settled: set[bytes] = set()
    for words in map(bytes.split, lines_of(text)):
        if words and words[0] == pattern:
            # "-merge", "!merge" and "merge=other" are a user's decision as well.
            settled.update(word.lstrip(b"-!").partition(b"=")[0] for word in words[1:])
    missing = [word for word in wanted if word.partition(b"=")[0] not in settled]
    return append_line(text, b" ".join([pattern, *missing])) if missing else text


def set_attributes(toplevel: Path) -> bool:
    """Make sure of the line in the .gitattributes file of ``toplevel``; durable, and says whether it had to change.

    Raises:
        ConflictError: the file is a symlink, or no file.
        StorageError: it cannot be read or written.
    """
    return edit_file(toplevel / ATTRIBUTES_FILE, with_attributes)
