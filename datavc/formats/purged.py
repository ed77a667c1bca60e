"""The note in ``purged/`` of every store: that an object was deleted for good, why, by whom and when.

It names no path: a file's name may be what had to go. When it is written and obeyed is the business of ``store``.
Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from datavc.errors import MalformedError
from datavc.formats.digest import Digest
from datavc.formats.fields import Fields
from datavc.formats.header import FORMAT
from datavc.formats.sealed import seal, unsealed_fields

PURGED_FORMAT = FORMAT
MAX_PURGED_BYTES = 64 << 10
MAX_REASON = 1000
"""Characters of a reason."""

_REASON = rf"[^\x00-\x1f\x7f]{{1,{MAX_REASON}}}"


@dataclass(frozen=True, slots=True)
class Purged:
    """One object that was purged: ``size`` in bytes if it was known, ``when`` RFC 3339 in UTC, ``repo`` who did it."""

    digest: Digest
    size: int | None
    reason: str
    who: str
    when: str
    repo: str

    def __str__(self) -> str:
        return f"purged on {self.when[:10]} by {self.who}: {self.reason}"


def encode_purged(purged: Purged) -> bytes:
    """``purged`` as sealed text. Raises UsageError: a value that no reader would take."""
    fields = {
        "format": PURGED_FORMAT,
        "digest": str(purged.digest),
        "size": purged.size,
        "reason": purged.reason,
        "who": purged.who,
        "when": purged.when,
        "repo": purged.repo,
    }
    return seal(fields, "the note of what was purged", MAX_PURGED_BYTES, _purged)


def decode_purged(data: bytes, where: str = "the note of what was purged") -> Purged:
    """Read a note; ``where`` is the printable name of its file, for messages.

    Raises:
        UnsupportedFormat: a format number or digest algorithm unknown to this version. MalformedError: anything else.
    """
    return _purged(unsealed_fields(data, where, MAX_PURGED_BYTES))


def is_reason(text: str) -> bool:
    """Whether a note can have it: one line of 1 to 1,000 characters that can be printed."""
    try:
        Fields({"reason": text}, "").text("reason", _REASON)
    except MalformedError:
        return False
    return bool(text.strip())


def _purged(fields: Fields) -> Purged:
    return Purged(
        digest=fields.digest("digest"),
        size=fields.optional_count("size"),
        reason=fields.text("reason", _REASON, f"a line of 1 to {MAX_REASON} characters"),
        who=fields.text("who"),
        when=fields.time("when"),
        repo=fields.repo_id("repo"),
    )
