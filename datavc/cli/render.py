"""Values into text: paths, tables, JSON. It knows no command."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import is_dataclass

from datavc.cli.session import current
from datavc.cli.terminal import paint, say
from datavc.formats.digest import Digest
from datavc.formats.paths import seen_from, show, to_text


def show_path(path: bytes | str) -> str:
    """A path as one line of printable text."""
    return show(os.fsencode(path))


def from_here(root: os.PathLike[str] | str, path: bytes | str) -> bytes:
    """``path``, which is relative to ``root``, as seen from the folder that the command works in."""
    return seen_from(os.fsencode(current().folder), os.fsencode(root), os.fsencode(path))


def show_from_here(root: os.PathLike[str] | str, path: bytes | str) -> str:
    """A path of the workspace as one line of printable text, as :func:`from_here` has it.

    Paths of the past (in records, in the versions of a store, after ``REV:``) are shown as seen from the root.
    """
    return show_path(from_here(root, path))


def inside(folder: bytes | str, path: bytes | str) -> bytes:
    """``path`` below ``folder``; an empty ``path`` is the folder itself."""
    return os.path.join(os.fsencode(folder), os.fsencode(path)) if path else os.fsencode(folder)


def styled(text: str, style: str) -> str:
    """``text`` for standard output, in a style if it is coloured."""
    return paint(text, style, colour=current().colour)


def next_command(command: str) -> None:
    """Say on standard error what to type next, unless the user wants quiet."""
    if not current().quiet:
        sys.stdout.flush()
        say(f"next: {command}")


def talk(sentence: str) -> None:
    """Say a sentence on standard error, unless the user wants quiet."""
    if not current().quiet:
        sys.stdout.flush()
        say(sentence)


def print_table(rows: Sequence[Sequence[str]], *, right: Iterable[int] = ()) -> None:
    """Print rows of text in columns two spaces apart; the columns numbered in ``right`` are set to the right."""
    if not rows:
        return
    right = set(right)
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print a result as JSON: a list with one line for each item, anything else on one line.

    ASCII only. Bytes that are no UTF-8 come out as lone surrogates (U+DC80 to U+DCFF), which
    ``datavc.formats.paths.from_text`` turns back.
    """
    import json

    encode = json.JSONEncoder(default=plain, separators=(",", ":")).encode
    if isinstance(value, list):
        print("[" + ",\n".join(map(encode, value)) + "]")
    else:
        print(encode(value))


def plain(value: object) -> object:
    """One level of what JSON does not know made of what it knows: dataclasses, bytes, digests, paths.

    Raises:
        TypeError: for anything else.
    """
    if type(value) is bytes:
        return to_text(value)
    if isinstance(value, Digest | os.PathLike):
        return str(value)
    if is_dataclass(value):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} has no place in JSON")
