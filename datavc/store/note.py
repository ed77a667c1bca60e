"""The note ``datavc-store.json`` in every store: its format, an id of its own, and the oldest datavc that can read it."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from datavc.backends.base import Backend
from datavc.errors import DatavcError, MalformedError, StoredFileNotFound, UnsupportedFormat
from datavc.formats.header import FORMAT, KNOWN_FORMATS, UPGRADE_HINT
from datavc.store import layout

STORE_FORMAT = FORMAT
OLDEST_READER = "0.1.0"
"""The first version of datavc that reads STORE_FORMAT."""

_VERSION = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")


def check_note(backend: Backend, *, create: bool) -> int:
    """Refuse a store of an unknown format; with ``create``, one that has no note yet gets it. Returns the format.

    Raises:
        UnsupportedFormat, MalformedError: the store is left alone.
    """
    try:
        note = json.loads(backend.read(layout.STORE_NOTE))
        found = note["format"]
    except StoredFileNotFound:
        if create:
            backend.write(layout.STORE_NOTE, _encoded(os.urandom(16).hex()))
        return STORE_FORMAT
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(f"{layout.STORE_NOTE} of {backend.describe()} is damaged") from error
    if type(found) is not int or found not in KNOWN_FORMATS:
        known = " and ".join(map(str, KNOWN_FORMATS))
        needs = _needs(note)
        raise UnsupportedFormat(
            f"{backend.describe()} has store format {found!r}; this datavc reads {known}"
            + (f", datavc {needs} and later read it" if needs else ""),
            f"pip install 'datavc>={needs}'" if needs else UPGRADE_HINT,
        )
    return found


def upgrade_note(backend: Backend) -> None:
    """Say that everything in the store that matters is of STORE_FORMAT. Raises StorageError."""
    backend.replace(layout.STORE_NOTE, _encoded(store_id(backend) or os.urandom(16).hex()))


def store_id(backend: Backend) -> str:
    """The id in the note, that tells one store from another at the same place; empty where none can be read."""
    try:
        return str(json.loads(backend.read(layout.STORE_NOTE))["id"])
    except (DatavcError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def _encoded(id_: str) -> bytes:
    note = {"format": STORE_FORMAT, "id": id_, "datavc": OLDEST_READER}
    return json.dumps(note, sort_keys=True).encode() + b"\n"


def _needs(note: dict[str, Any]) -> str:
    """The version of datavc that a note asks for. A note is untrusted, and what it says becomes part of a command."""
    version = note.get("datavc")
    return version if isinstance(version, str) and _VERSION.fullmatch(version) else ""
