"""The note ``datavc-store.json`` in every store: its format, and an id of its own."""

from __future__ import annotations

import json
import os

from datavc.backends.base import Backend
from datavc.errors import DatavcError, MalformedError, StoredFileNotFound, UnsupportedFormat
from datavc.store import layout

STORE_FORMAT = 0


def check_note(backend: Backend, *, create: bool) -> None:
    """Refuse a store of another format; with ``create``, one that has no note yet gets it.

    Raises:
        UnsupportedFormat, MalformedError: the store is left alone.
    """
    try:
        note = json.loads(backend.read(layout.STORE_NOTE))
        found = note["format"]
    except StoredFileNotFound:
        if create:
            note = {"format": STORE_FORMAT, "id": os.urandom(16).hex()}
            backend.write(layout.STORE_NOTE, json.dumps(note, sort_keys=True).encode() + b"\n")
        return
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError(f"{layout.STORE_NOTE} of {backend.describe()} is damaged") from error
    if found != STORE_FORMAT or isinstance(found, bool):
        raise UnsupportedFormat(
            f"{backend.describe()} has store format {found!r}; this datavc reads {STORE_FORMAT}",
            "pip install -U datavc",
        )


def store_id(backend: Backend) -> str:
    """The id in the note, that tells one store from another at the same place; empty where none can be read."""
    try:
        return str(json.loads(backend.read(layout.STORE_NOTE))["id"])
    except (DatavcError, ValueError, KeyError, TypeError, RecursionError):
        return ""
