"""Notes of what was purged, and of what was rewritten: read as they were written, refused where they are damaged."""

from __future__ import annotations

import pytest
from damage import damaged
from hypothesis import given
from hypothesis import strategies as st

from datavc.errors import MalformedError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.purged import MAX_REASON, Purged, decode_purged, encode_purged, is_reason
from datavc.formats.sealed import seal
from datavc.formats.tombstone import Rewritten, decode_rewritten, encode_rewritten

NOTE = Purged(
    Digest("xxh128", bytes(range(16))), 12, "a request of 3 May", "ada@host", "2026-05-04T10:00:00Z", "0" * 32
)
NAMES = [f"xxh128-{number:032x}" for number in range(4)]
REWRITTEN = Rewritten(
    "0" * 32, "ada@host", "2026-05-04T10:00:00Z", (NAMES[0],), ((NAMES[1], NAMES[3]), (NAMES[2], NAMES[3]))
)


@pytest.mark.parametrize("size", [0, 2**40, None])
def test_a_note_is_read_as_it_was_written(size: int | None):
    note = Purged(NOTE.digest, size, NOTE.reason, NOTE.who, NOTE.when, NOTE.repo)
    assert decode_purged(encode_purged(note)) == note


def test_a_note_says_what_became_of_the_object_in_a_few_words():
    assert str(NOTE) == "purged on 2026-05-04 by ada@host: a request of 3 May"


@pytest.mark.parametrize("reason", ["", "two\nlines", "a\0", "x" * (MAX_REASON + 1), "\x1b[31m", "\ud800"])
def test_a_reason_is_one_line_that_can_be_printed(reason: str):
    assert not is_reason(reason)
    with pytest.raises(UsageError):
        encode_purged(Purged(NOTE.digest, 1, reason, NOTE.who, NOTE.when, NOTE.repo))


@given(st.data())
def test_a_damaged_note_is_refused(data: st.DataObject):
    sound = encode_purged(NOTE)
    bad = data.draw(damaged(sound))
    if bad != sound:
        with pytest.raises(MalformedError):
            decode_purged(bad)


def test_what_was_rewritten_is_read_as_it_was_written():
    assert decode_rewritten(encode_rewritten(REWRITTEN)) == REWRITTEN


def test_old_and_new_names_must_go_together():
    fields = {"format": 0, "repo": "0" * 32, "who": "a", "when": NOTE.when, "packs": [], "added": []}
    with pytest.raises(MalformedError, match="one new pack index for each old one"):
        decode_rewritten(seal({**fields, "old": NAMES[:2], "new": NAMES[2:3]}, "it", 10_000))
