"""The note that a version has expired: who dropped it on purpose, and when, although history still leads to it.

When it is written and obeyed is the business of ``store``. Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from datavc.formats.header import FORMAT
from datavc.formats.root import MAX_ROOT_BYTES, Root, decode_root, encode_root
from datavc.formats.sealed import seal, unsealed_fields

EXPIRY_FORMAT = FORMAT
_MAX_BYTES = 2 * MAX_ROOT_BYTES


@dataclass(frozen=True, slots=True)
class Expiry:
    """``who`` dropped ``when`` (RFC 3339 in UTC) the version whose ``root`` that was."""

    who: str
    when: str
    root: Root


def encode_expiry(expiry: Expiry) -> bytes:
    """``expiry`` as sealed text. Raises UsageError where it is too long."""
    text = encode_root(expiry.root).decode("ascii")
    fields = {"format": EXPIRY_FORMAT, "who": expiry.who, "when": expiry.when, "root": text}
    return seal(fields, "the note of an expired version", _MAX_BYTES)


def decode_expiry(data: bytes, where: str = "the note of an expired version") -> Expiry:
    """Read a note.

    Raises:
        UnsupportedFormat: a format number unknown to this version. MalformedError: anything else is wrong with it.
    """
    fields = unsealed_fields(data, where, _MAX_BYTES)
    root = decode_root(fields.text("root").encode("utf-8", "surrogateescape"), where)
    return Expiry(who=fields.text("who"), when=fields.time("when"), root=root)
