"""The pointer: the small TOML file in git that stands for a dataset. Where it lies is not known here.

Canonical: known keys first and in a fixed order, unknown ones kept and sorted; equal values are equal bytes.
Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datavc.errors import ConflictError, MalformedError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.fields import KINDS, Fields
from datavc.formats.header import FORMAT, KNOWN_FORMATS
from datavc.formats.toml import read_toml, toml_key, toml_lines

POINTER_FORMAT = FORMAT
MAX_POINTER_BYTES = 1024
MAX_COMMAND_LENGTH = 200
"""Characters of a run's command that a pointer shows; the whole of it is in the record."""

_KNOWN = ("format", "kind", "digest", "size", "files")
_TABLES = {
    "run": ("record", "stage", "command"),
    "import": ("url", "rev", "path", "etag", "version_id"),
}
_CONFLICT = re.compile(rb"^(<{7}|>{7})( |\r?$)", re.MULTILINE)
# What most pointers are, letter by letter: ten times as fast as TOML, which a long history is made of.
_PLAIN = re.compile(
    rb'format = [01]\nkind = "(file|executable|symlink|folder)"\n'
    rb'digest = "((?:xxh128:[0-9a-f]{32})|(?:(?:blake3|sha256):[0-9a-f]{64}))"\n'
    rb"size = (0|[1-9][0-9]{0,14})\nfiles = (0|[1-9][0-9]{0,14})\n"
)


@dataclass(frozen=True, slots=True)
class Pointer:
    """A dataset's ``kind`` (one of a tree's four), ``digest``, ``size`` in bytes and number of ``files``.

    ``extra`` holds all else: the tables ``run`` and ``import``, and what later versions may write.
    """

    kind: str
    digest: Digest
    size: int
    files: int
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def run(self) -> Mapping[str, Any] | None:
        """The run that made the dataset: ``record`` (a digest's text), ``stage``, ``command``."""
        run: Mapping[str, Any] | None = self.extra.get("run")
        return run

    @property
    def imported(self) -> Mapping[str, Any] | None:
        """Where the dataset was imported from: ``url``, ``rev``, ``path``, ``etag``, ``version_id``."""
        imported: Mapping[str, Any] | None = self.extra.get("import")
        return imported


def parse_pointer(data: bytes, where: str, typed: str = "POINTER") -> Pointer:
    """Read the bytes of a pointer; ``where`` is its printable path, for messages, ``typed`` the path in a command.

    Raises:
        ConflictError: git left merge conflict markers in it.
        UnsupportedFormat: a format number or digest algorithm unknown to this version.
        MalformedError: anything else is wrong with it.
    """
    plain = _PLAIN.fullmatch(data)
    if plain is not None:
        kind, digest, size, files = plain.groups()
        if kind == b"folder" or files == b"1":
            return Pointer(kind.decode(), Digest.parse(digest.decode()), int(size), int(files))
    if has_markers(data):
        raise ConflictError(
            f"{where} has merge conflict markers",
            f"datavc resolve {typed}",
        )
    values = read_toml(data, where, MAX_POINTER_BYTES)
    fields = Fields(values, where)
    fields.require_format(KNOWN_FORMATS)
    pointer = Pointer(
        kind=fields.choice("kind", KINDS),
        digest=fields.digest("digest"),
        size=fields.count("size"),
        files=fields.count("files"),
        extra={key: value for key, value in values.items() if key not in _KNOWN},
    )
    if pointer.kind != "folder" and pointer.files != 1:
        raise MalformedError(f"{where}: 'files' must be 1 for a {pointer.kind}")
    _check_tables(fields)
    return pointer


def has_markers(data: bytes) -> bool:
    """Whether there is anything in a pointer that git writes around the sides of a conflict."""
    return _CONFLICT.search(data) is not None


def _check_tables(fields: Fields) -> None:
    for table, keys in _TABLES.items():
        inner = fields.optional_fields(table)
        if inner is None:
            continue
        for key in keys:
            inner.optional_text(key)
        if table == "run":
            inner.digest("record")


def format_pointer(pointer: Pointer) -> bytes:
    """The one spelling of ``pointer``.

    Raises:
        UsageError: it would be longer than 1 KiB, or no reader would take it.
    """
    known = {
        "format": POINTER_FORMAT,
        "kind": pointer.kind,
        "digest": str(pointer.digest),
        "size": pointer.size,
        "files": pointer.files,
    }
    tables = {key: value for key, value in pointer.extra.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in pointer.extra.items() if key not in tables}
    try:
        lines = toml_lines({**plain, **known}, _KNOWN)
        for key in (*(key for key in _TABLES if key in tables), *sorted(tables.keys() - _TABLES.keys())):
            lines += ["", f"[{toml_key(key)}]", *toml_lines(tables[key], _TABLES.get(key, ()))]
        data = "".join(f"{line}\n" for line in lines).encode("utf-8")
        parse_pointer(data, "the pointer to be written")
    except (MalformedError, TypeError, ValueError) as error:  # ValueError: lone surrogates
        raise UsageError(f"this pointer cannot be written: {error}") from None
    if not known.keys().isdisjoint(pointer.extra):
        raise UsageError(f"extra keys of a pointer cannot be {', '.join(_KNOWN)}")
    return data
