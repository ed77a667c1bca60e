"""What gc leaves in ``trash/``: tombstones, which name stored files that are to go, and the roots that it removed.

And what purge leaves there: which packs and pack indexes are gone at once, and what took their place.

When these are written, obeyed and removed is the business of ``store``. Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

from datavc.errors import MalformedError
from datavc.formats.fields import Fields
from datavc.formats.header import FORMAT
from datavc.formats.sealed import seal, unsealed_fields

TOMBSTONE_FORMAT = FORMAT
# A pack has 64 MiB and its name 41 bytes here: this is enough for some 100 TB to go at once.
MAX_TOMBSTONE_BYTES = 64 << 20

_BLOB = "[a-z0-9]+-[0-9a-f]{32,64}"


@dataclass(frozen=True, slots=True)
class TrashNote:
    """What each of them says: of which ``repo`` (its id) the clone was that wrote it, ``who`` did, and ``when``."""

    repo: str
    who: str
    when: str


@dataclass(frozen=True, slots=True)
class Tombstone(TrashNote):
    """Pack indexes, packs and whole blobs, each by its file name, that were needed by nothing ``when`` it was written."""

    indexes: tuple[str, ...]
    packs: tuple[str, ...]
    blobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemovedRoots(TrashNote):
    """The texts of roots that were removed, so that they can be put back."""

    roots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rewritten(TrashNote):
    """Packs that are gone without a grace, pack indexes (old and new names) that took others' places, and those ``added``."""

    packs: tuple[str, ...]
    indexes: tuple[tuple[str, str], ...]
    added: tuple[str, ...] = ()


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """``tombstone`` as sealed text. Raises UsageError where it is too long."""
    fields = {
        **_said(tombstone),
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
    fields = unsealed_fields(data, where, MAX_TOMBSTONE_BYTES)
    return Tombstone(
        *_read(fields),
        indexes=fields.sealed_names("indexes", "pack indexes"),
        packs=fields.sealed_names("packs", "packs"),
        blobs=fields.texts("blobs", _BLOB, "a list of names of blobs"),
    )


def encode_removed(removed: RemovedRoots) -> bytes:
    """``removed`` as sealed text. Raises UsageError where it is too long."""
    fields = {**_said(removed), "roots": list(removed.roots)}
    return seal(fields, "the removed roots", MAX_TOMBSTONE_BYTES)


def decode_removed(data: bytes, where: str = "the removed roots") -> RemovedRoots:
    """Read removed roots. Raises as :func:`decode_tombstone`."""
    fields = unsealed_fields(data, where, MAX_TOMBSTONE_BYTES)
    roots = fields.texts("roots", "(?s:.+)", "a list of roots")
    if not roots:
        raise MalformedError(f"{where} has none")
    return RemovedRoots(*_read(fields), roots=roots)


def encode_rewritten(rewritten: Rewritten) -> bytes:
    """``rewritten`` as sealed text. Raises UsageError where it is too long."""
    fields = {
        **_said(rewritten),
        "packs": list(rewritten.packs),
        "old": [old for old, _ in rewritten.indexes],
        "new": [new for _, new in rewritten.indexes],
        "added": list(rewritten.added),
    }
    return seal(fields, "the note of what was rewritten", MAX_TOMBSTONE_BYTES)


def decode_rewritten(data: bytes, where: str = "the note of what was rewritten") -> Rewritten:
    """Read what was rewritten. Raises as :func:`decode_tombstone`."""
    fields = unsealed_fields(data, where, MAX_TOMBSTONE_BYTES)
    old = fields.sealed_names("old", "pack indexes")
    new = fields.sealed_names("new", "pack indexes", distinct=False)
    if len(old) != len(new):
        raise MalformedError(f"{where} does not give one new pack index for each old one")
    return Rewritten(
        *_read(fields),
        packs=fields.sealed_names("packs", "packs"),
        indexes=tuple(zip(old, new, strict=True)),
        added=fields.sealed_names("added", "pack indexes"),
    )


def _said(note: TrashNote) -> dict[str, object]:
    return {"format": TOMBSTONE_FORMAT, "repo": note.repo, "who": note.who, "when": note.when}


def _read(fields: Fields) -> tuple[str, str, str]:
    return fields.repo_id("repo"), fields.text("who"), fields.time("when")
