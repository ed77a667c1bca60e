"""Times as they stand in notes: what is written is what readers take, and the same moment again."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from datavc.formats.fields import Fields
from datavc.formats.times import utc_text


@given(st.integers(0, 253_402_300_799))
def test_a_time_is_written_as_fields_read_it_and_stands_for_the_same_second(seconds: int):
    text = utc_text(seconds + 0.75)
    assert Fields({"when": text}, "the note").time("when") == text
    assert datetime.fromisoformat(text).timestamp() == seconds


def test_without_seconds_it_is_now():
    before = utc_text()
    assert Fields({"when": before}, "the note").time("when") <= utc_text()
