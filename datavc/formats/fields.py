"""Typed reading of untrusted mappings: what pointer, root and workspace state check in each field.

The parsers of TOML and JSON live elsewhere (``toml.py``, ``sealed.py``); here every value that they return is
checked, and each refusal names the file and the field. Nothing here writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from datavc.errors import MalformedError, UnsupportedFormat
from datavc.formats.digest import Digest
from datavc.formats.header import UPGRADE_HINT
from datavc.formats.paths import from_text

KINDS = ("file", "executable", "symlink", "folder")
"""What a dataset, like an entry of a tree, can be; in the order of the tree's kind numbers."""

MAX_COUNT = 2**63 - 1
"""Sizes and counts fit a signed 64-bit integer, which every language and SQLite have."""

_TIME = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?Z"
)


class Fields:
    """One mapping from outside, called ``what`` in messages. Every method raises MalformedError."""

    __slots__ = ("_values", "what")

    def __init__(self, values: Mapping[str, Any], what: str) -> None:
        self._values = values
        self.what = what

    def wrong(self, name: str, must: str) -> MalformedError:
        """The error that says what field ``name`` must be."""
        if name not in self._values:
            return MalformedError(f"{self.what} has no {name!r}")
        return MalformedError(f"{self.what}: {name!r} must be {must}")

    def require_format(self, known: tuple[int, ...]) -> None:
        """Refuse format numbers other than those ``known``, by name.

        Raises:
            UnsupportedFormat: a number that this version does not know.
        """
        number = self._values.get("format")
        if not isinstance(number, int) or isinstance(number, bool):
            raise self.wrong("format", "a whole number")
        if number not in known:
            raise UnsupportedFormat(
                f"{self.what} has format {number}, which this version of datavc does not know",
                UPGRADE_HINT,
            )

    def text(self, name: str, pattern: str = "(?s:.*)", must: str = "a text") -> str:
        """A string that can be printed as UTF-8 and matches ``pattern`` as a whole."""
        value = self._values.get(name)
        if not isinstance(value, str) or not re.fullmatch(pattern, value) or not _is_unicode(value):
            raise self.wrong(name, must)
        return value

    def repo_id(self, name: str) -> str:
        """The id that ``init`` gave a repo."""
        return self.text(name, "[0-9a-f]{32}", "a repo id of 32 hex digits")

    def sealed_names(self, name: str, of: str, *, distinct: bool = True) -> tuple[str, ...]:
        """A list of names of stored files, packs or pack indexes, that are the xxh128 of their bytes."""
        return self.texts(name, "xxh128-[0-9a-f]{32}", f"a list of names of {of}", distinct=distinct)

    def optional_text(self, name: str, pattern: str = "(?s:.*)", must: str = "a text") -> str | None:
        """As :meth:`text`, or None where the field is null or absent."""
        return None if self._values.get(name) is None else self.text(name, pattern, must)

    def time(self, name: str) -> str:
        """A point in time as RFC 3339 writes it in UTC: ``2026-01-31T12:00:00Z``."""
        value = self._values.get(name)
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise self.wrong(name, "a time in UTC such as 2026-01-31T12:00:00Z")
        return value

    def count(self, name: str) -> int:
        """A size or a number of files: 0 up to 2^63 - 1."""
        value = self._values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
            raise self.wrong(name, "a whole number from 0 to 2^63 - 1")
        return value

    def optional_count(self, name: str) -> int | None:
        """As :meth:`count`, or None where the field is null or absent."""
        return None if self._values.get(name) is None else self.count(name)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._values.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        """One of ``choices``."""
        value = self._values.get(name)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(name, f"one of {', '.join(choices)}")
        return value

    def digest(self, name: str) -> Digest:
        """A digest in its text form.

        Raises:
            UnsupportedFormat: its algorithm is unknown to this version.
        """
        value = self._values.get(name)
        if not isinstance(value, str):
            raise self.wrong(name, "a digest, which reads ALGORITHM:HEX")
        try:
            return Digest.parse(value)
        except MalformedError as error:
            raise type(error)(f"{self.what}: {name!r}: {error.message}", error.hint) from None

    def texts(self, name: str, pattern: str, must: str, *, distinct: bool = True) -> tuple[str, ...]:
        """A list of strings, all different where they must be ``distinct``, that each match ``pattern``."""
        value = self._values.get(name)
        if (
            not isinstance(value, list)
            or not all(isinstance(text, str) and re.fullmatch(pattern, text) for text in value)
            or (distinct and len(set(value)) != len(value))
        ):
            raise self.wrong(name, must)
        return tuple(value)

    def path(self, name: str, *, or_empty: bool = False) -> bytes:
        """A relative path: no empty part, no ``.`` or ``..``, no NUL. With ``or_empty`` also no path at all."""
        value = self._values.get(name)
        return b"" if or_empty and value == "" else self._path(value, name)

    def optional_paths(self, name: str) -> tuple[bytes, ...] | None:
        """A list of such paths, or None where the field is null."""
        value = self._values.get(name)
        if value is None and name in self._values:
            return None
        if not isinstance(value, list):
            raise self.wrong(name, "a list of paths or null")
        return tuple(self._path(text, name) for text in value)

    def optional_fields(self, name: str) -> Fields | None:
        """A nested mapping, or None where the field is null or absent."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.wrong(name, "a table")
        return Fields(value, f"{self.what}: {name!r}")

    def _path(self, text: object, name: str) -> bytes:
        try:
            path = from_text(text) if isinstance(text, str) else b""
        except MalformedError:
            path = b""
        if b"\0" in path or not {b"", b".", b".."}.isdisjoint(path.split(b"/")):
            raise self.wrong(name, "a relative path without empty, '.' and '..' parts")
        return path


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
