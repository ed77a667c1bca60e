"""What was found out about file systems, kept in a sealed note: one that is cut, emptied or changed is found out again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from datavc.durable import write_durably
from datavc.errors import MalformedError
from datavc.formats.sealed import seal, unseal

_LIMIT = 4096


def found_before(note: Path, find_out: Callable[[], Iterable[str]]) -> set[str]:
    """The words of the ``note``, or those that ``find_out`` returns, which become the note.

    Raises what ``find_out`` does, and StorageError where the note cannot be written.
    """
    try:
        return {str(word) for word in unseal(note.read_bytes(), "the note", _LIMIT)["found"]}
    except (OSError, MalformedError, KeyError, TypeError):
        words = set(find_out())
        note.parent.mkdir(parents=True, exist_ok=True)
        write_durably(note, seal({"found": sorted(words)}, "the note", _LIMIT))
        return words
