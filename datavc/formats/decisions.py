"""Decisions: which side was chosen for which paths of a dataset whose merge has conflicts, until it is settled.

Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from datavc.errors import MalformedError
from datavc.formats.fields import Fields
from datavc.formats.header import FORMAT, KNOWN_FORMATS
from datavc.formats.paths import from_text, to_text
from datavc.formats.sealed import seal, unseal

DECISIONS_FORMAT = FORMAT
MAX_DECISIONS_BYTES = 16 << 20
SIDES = ("ours", "theirs")


@dataclass(frozen=True, slots=True)
class Decisions:
    """The dataset at ``path``, the digests (as text) of the two pointers that are merged, and a side for each path in it."""

    path: bytes
    ours: str
    theirs: str
    sides: Mapping[bytes, str] = field(default_factory=dict)


def encode_decisions(decisions: Decisions) -> bytes:
    """``decisions`` as sealed text. Raises UsageError where they are longer than 16 MiB."""
    fields = {
        "format": DECISIONS_FORMAT,
        "path": to_text(decisions.path),
        "ours": decisions.ours,
        "theirs": decisions.theirs,
        "sides": {to_text(path): side for path, side in decisions.sides.items()},
    }
    return seal(fields, "what was decided", MAX_DECISIONS_BYTES)


def decode_decisions(data: bytes, where: str) -> Decisions:
    """Read decisions; ``where`` is the printable path of the file.

    Raises:
        UnsupportedFormat: a format number unknown to this version. MalformedError: anything else is wrong.
    """
    values = unseal(data, where, MAX_DECISIONS_BYTES)
    fields = Fields(values, where)
    fields.require_format(KNOWN_FORMATS)
    sides = values.get("sides")
    if not isinstance(sides, dict) or not all(side in SIDES for side in sides.values()):
        raise fields.wrong("sides", "a table of paths and sides")
    try:
        return Decisions(
            fields.path("path"),
            fields.text("ours"),
            fields.text("theirs"),
            {from_text(path): side for path, side in sides.items()},
        )
    except MalformedError as error:
        raise MalformedError(f"{where}: {error.message}") from None
