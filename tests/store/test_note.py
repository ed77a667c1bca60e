"""The note in every store: a store of a format that is not known is left alone."""

from __future__ import annotations

import json

import pytest

from datavc.backends.base import Backend
from datavc.errors import MalformedError, UnsupportedFormat
from datavc.store.layout import STORE_NOTE
from datavc.store.note import STORE_FORMAT, check_note


def test_a_new_store_gets_a_note_with_an_id_of_its_own_once(backend: Backend):
    check_note(backend, create=False)
    assert list(backend.list("packs/")) == []
    check_note(backend, create=True)
    note = backend.read(STORE_NOTE)
    check_note(backend, create=True)
    check_note(backend, create=False)

    assert backend.read(STORE_NOTE) == note
    assert json.loads(note)["format"] == STORE_FORMAT
    assert len(json.loads(note)["id"]) == 32


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("found", [2, 99, 1.0, "0", None, [], True, False])
def test_a_store_of_another_format_is_refused_and_not_touched(backend: Backend, found: object, create: bool):
    note = json.dumps({"format": found}).encode()
    backend.write(STORE_NOTE, note)

    with pytest.raises(UnsupportedFormat, match=r"pip install|store format") as caught:
        check_note(backend, create=create)

    assert caught.value.hint is not None
    assert backend.read(STORE_NOTE) == note


@pytest.mark.parametrize(
    "note", [b"", b"{", b"[]", b"3", b"{}", b"\xff\xfe", b'"text"', b"[" * 100_000], ids=repr
)
def test_a_damaged_note_is_an_error_and_not_written_over(backend: Backend, note: bytes):
    backend.write(STORE_NOTE, note)

    with pytest.raises(MalformedError, match=STORE_NOTE):
        check_note(backend, create=True)

    assert backend.read(STORE_NOTE) == note
