"""Pointers in a merge: the two sides of one with conflict markers, such a text of two sides, and what a merged one keeps.

Markers are written so that every command refuses the pointer by name until the conflict is settled.
"""

from __future__ import annotations

import re

from datavc.formats.digest import Digest
from datavc.formats.pointer import Pointer

_MARKER_LENGTH = 7
# <<<<<<< ours, ||||||| base (styles diff3 and zdiff3), =======, >>>>>>> theirs
_MARKER = re.compile(rb"^(?P<sign><{7,}|\|{7,}|={7,}|>{7,})(?: .*|\r?)$")


def conflict_text(ours: bytes, theirs: bytes, *, length: int = _MARKER_LENGTH) -> bytes:
    """Both sides whole, between conflict markers as git writes them; ``length`` is that of a marker."""
    parts = [b"<" * length + b" ours", ours.rstrip(b"\n"), b"=" * length]
    return b"\n".join([*parts, theirs.rstrip(b"\n"), b">" * length + b" theirs", b""])


def conflict_sides(text: bytes) -> tuple[bytes, bytes] | None:
    """What ``text`` would be if every conflict in it were settled for ours, and for theirs; None where it has none."""
    ours: list[bytes] = []
    theirs: list[bytes] = []
    both = [ours, theirs]
    into = both
    conflicts = 0
    for line in text.splitlines(keepends=True):
        match = _MARKER.match(line.rstrip(b"\n"))
        sign = match["sign"][:1] if match is not None else b""
        if sign == b"<" and into is both:
            into, conflicts = [ours], conflicts + 1
        elif sign == b"|" and into == [ours]:
            into = []
        elif sign == b"=" and into is not both:
            into = [theirs]
        elif sign == b">" and into is not both:
            into = both
        else:
            for side in into:
                side.append(line)
    return (b"".join(ours), b"".join(theirs)) if conflicts and into is both else None


def merged_pointer(version: tuple[Digest, str, int, int], ours: Pointer, theirs: Pointer) -> Pointer:
    """The pointer of a merged ``version`` (digest, kind, size in bytes, files).

    Of all else it keeps what both sides say alike; where it is neither side's version, no run and no import made it.
    """
    digest, kind, size, files = version
    is_new = (digest, kind) not in ((ours.digest, ours.kind), (theirs.digest, theirs.kind))
    made = ("run", "import") if is_new else ()
    extra = {
        key: value
        for key, value in ours.extra.items()
        if key not in made and key in theirs.extra and theirs.extra[key] == value
    }
    return Pointer(kind, digest, size, files, extra)
