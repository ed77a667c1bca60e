"""What was purged from a store: the notes in ``purged/``, which stay for good."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from datavc.backends.base import Backend, is_there
from datavc.errors import MalformedError, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.purged import Purged, decode_purged, encode_purged
from datavc.store import layout

_UNREADABLE = "its note cannot be read"


def purged_digests(backend: Backend, algorithm: str) -> set[bytes]:
    """Every object of that algorithm that was purged, by raw digest: one listing."""
    found = set()
    for file in backend.list(layout.PURGED):
        with contextlib.suppress(MalformedError):
            digest = Digest.parse_file_name(file.name.removeprefix(layout.PURGED))
            if digest.algorithm == algorithm:
                found.add(digest.raw)
    return found


def read_purged(backend: Backend, digest: Digest) -> Purged | None:
    """The note of an object, or None where it was not purged. One that cannot be read counts, as the file's name says it."""
    try:
        purged = decode_purged(backend.read(layout.purged_path(digest)))
    except StoredFileNotFound:
        return None
    except MalformedError:
        purged = None
    if purged is None or purged.digest != digest:
        return Purged(digest, None, _UNREADABLE, "somebody", "1970-01-01T00:00:00Z", "0" * 32)
    return purged


def write_purged(backend: Backend, notes: Iterable[Purged]) -> None:
    """Note what was purged; a note that is there already stays. Raises StorageError."""
    for note in notes:
        name = layout.purged_path(note.digest)
        if not is_there(backend, name):
            backend.write(name, encode_purged(note))
