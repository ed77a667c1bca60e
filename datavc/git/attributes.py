"""The lines of .gitattributes: how git merges, compares and converts the files that datavc commits.

Git falls back to its own text merge and diff in a clone where nobody has configured the drivers. Line endings are settled
for ``core.autocrlf=true``, which would give every text file that it checks out the endings of Windows.
"""

from __future__ import annotations

from pathlib import Path

from datavc.git.linefile import append_line, edit_file, lines_of

ATTRIBUTES_FILE = ".gitattributes"
ATTRIBUTES_LINES = (
    # A pointer has one encoding, so it is the same bytes everywhere.
    b"*.datavc merge=datavc diff=datavc -text",
    # These two are people's: git takes whatever ending their editor writes, and commits LF.
    b"/datavc.toml text eol=lf",
    b".datavcignore text eol=lf",
    # Two branches that each add a dataset have each a new last line there: both stay.
    b".gitignore merge=union",
)


def with_attributes(text: bytes) -> bytes:
    """``text`` with the lines of datavc, as far as no line for the same pattern settles an attribute already."""
    for pattern, *wanted in map(bytes.split, ATTRIBUTES_LINES):
        settled: set[bytes] = set()
        for words in map(bytes.split, lines_of(text)):
            if words and words[0] == pattern:
                # "-merge", "!merge" and "merge=other" are a user's decision as well.
                settled.update(map(_name, words[1:]))
        if b"binary" in settled:
            settled |= {b"diff", b"merge", b"text", b"eol"}
        missing = [word for word in wanted if _name(word) not in settled]
        if missing:
            text = append_line(text, b" ".join([pattern, *missing]))
    return text


def set_attributes(toplevel: Path) -> bool:
    """Make sure of the lines in the .gitattributes file of ``toplevel``; durable, and says whether it had to change.

    Raises:
        ConflictError: the file is a symlink, or no file.
        StorageError: it cannot be read or written.
    """
    return edit_file(toplevel / ATTRIBUTES_FILE, with_attributes)


def _name(word: bytes) -> bytes:
    return word.lstrip(b"-!").partition(b"=")[0]
