"""What gc leaves in ``trash/``: tombstones, which name stored files that are to go, and the roots that it removed.

And what purge leaves there: which packs and pack indexes are gone at once, and what took their place.

When these are written, obeyed and removed is the business of ``store``. Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from datavc.errors import MalformedError
from datavc.formats.fields import Fields
from datavc.formats.header import FORMAT, KNOWN_FORMATS
from datavc.formats.sealed import seal, unseal

TOMBSTONE_FORMAT = FORMAT
# A pack has 64 MiB and its name 41 bytes here: this is enough for some 100 TB to go at once.
MAX_TOMBSTONE_BYTES = 64 << 20

_REPO_ID = "[0-9a-f]{32}"
_SEALED = "xxh128-[0-9a-f]{32}"
_BLOB = "[a-z0-9]+-[0-9a-f]{32,64}"


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Pack indexes, packs and whole blobs, each by its file name, that were needed by nothing ``when`` it was written."""

    repo: str
    who: str
    when: str
    indexes: tuple[str, ...]
    packs: tuple[str, ...]
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedRoots:
    """The texts of roots that were removed, so that they can be put back."""

    repo: str
    who: str
    when: str
    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Packs that are gone without a grace, pack indexes (old and new names) that took others' places, and those ``added``."""

    repo: str
    who: str
    when: str
    packs: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    added: tuple[str, ...] = ()


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """``tombstone`` as sealed text. Raises UsageError where it is too long."""
    fields = {
        "format": TOMBSTONE_FORMAT,
        "repo": tombstone.repo,
        "who": tombstone.who,
        "when": tombstone.when,
        "indexes": list(tombstone.indexes),
        "packs": list(tombstone.packs),
        "blobs": list(tombstone.blobs),
    }
    return seal(fields, "the tombstone", MAX_TOMBSTONE_BYTES)


def decode_tombstone(data: bytes, where: str = "the tombstone") -> Tombstone:
    """Read a tombstone.

    Raises:
        UnsupportedFormat: a format number unknown to this version. MalformedError: anything else is wrong with it.
    """
    fields = Fields(unseal(data, where, MAX_TOMBSTONE_BYTES), where)
    fields.require_format(KNOWN_FORMATS)
    return Tombstone(
        repo=fields.text("repo", _REPO_ID, "a repo id of 32 hex digits"),
        who=fields.text("who"),
        when=fields.time("when"),
        indexes=fields.texts("indexes", _SEALED, "a list of names of pack indexes"),
        packs=fields.texts("packs", _SEALED, "a list of names of packs"),
        blobs=fields.texts("blobs", _BLOB, "a list of names of blobs"),
    )


def encode_removed(removed: RemovedRoots) -> bytes:
    """``removed`` as sealed text. Raises UsageError where it is too long."""
    fields = {
        "format": TOMBSTONE_FORMAT,
        "repo": removed.repo,
        "who": removed.who,
        "when": removed.when,
        "roots": list(removed.roots),
    }
    return seal(fields, "the removed roots", MAX_TOMBSTONE_BYTES)


def decode_removed(data: bytes, where: str = "the removed roots") -> RemovedRoots:
    """Read removed roots. Raises as :func:`decode_tombstone`."""
    fields = Fields(unseal(data, where, MAX_TOMBSTONE_BYTES), where)
    fields.require_format(KNOWN_FORMATS)
    roots = fields.texts("roots", "(?s:.+)", "a list of roots")
    if not roots:
        raise MalformedError(f"{where} has none")
    return RemovedRoots(
        repo=fields.text("repo", _REPO_ID, "a repo id of 32 hex digits"),
        who=fields.text("who"),
        when=fields.time("when"),
        roots=roots,
    )


def encode_rewritten(rewritten: Rewritten) -> bytes:
    """``rewritten`` as sealed text. Raises UsageError where it is too long."""
    fields = {
        "format": TOMBSTONE_FORMAT,
        "repo": rewritten.repo,
        "who": rewritten.who,
        "when": rewritten.when,
        "packs": list(rewritten.packs),
        "old": [old for old, _ in rewritten.indexes],
        "new": [new for _, new in rewritten.indexes],
        "added": list(rewritten.added),
    }
    return seal(fields, "the note of what was rewritten", MAX_TOMBSTONE_BYTES)


def decode_rewritten(data: bytes, where: str = "the note of what was rewritten") -> Rewritten:
    """Read what was rewritten. Raises as :func:`decode_tombstone`."""
    fields = Fields(unseal(data, where, MAX_TOMBSTONE_BYTES), where)
    fields.require_format(KNOWN_FORMATS)
    old = fields.texts("old", _SEALED, "a list of names of pack indexes")
    new = fields.texts("new", _SEALED, "a list of names of pack indexes", distinct=False)
    if len(old) != len(new):
        raise MalformedError(f"{where} does not give one new pack index for each old one")
    return Rewritten(
        repo=fields.text("repo", _REPO_ID, "a repo id of 32 hex digits"),
        who=fields.text("who"),
        when=fields.time("when"),
        packs=fields.texts("packs", _SEALED, "a list of names of packs"),
        indexes=tuple(zip(old, new, strict=True)),
        added=fields.texts("added", _SEALED, "a list of names of pack indexes"),
    )
