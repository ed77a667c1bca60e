"""The record: the immutable description of one run, as canonical JSON. What a run is made of is gathered elsewhere.

Canonical: ASCII, sorted keys, no space, one spelling for each value; keys that this version does not know are kept.
Specified in ``docs/reference/formats-text.md``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from datavc.errors import MalformedError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.fields import KINDS, Fields
from datavc.formats.header import FORMAT, KNOWN_FORMATS
from datavc.formats.paths import to_text

RECORD_FORMAT = FORMAT
MAX_RECORD_BYTES = 1 << 20
MAX_DATA = 1000
"""Inputs, outputs, objects and words of a command that a record names one by one; the rest is in its object ``files``."""
MAX_DEPTH = 16
STATUSES = ("ok", "failed", "killed")
READS = ("none", "partial", "full")


class StoredObject(NamedTuple):
    """A big part of a record, kept as an object of its own: a blob, or the tree of a ``folder``. Sizes in bytes."""

    kind: str
    digest: Digest
    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Data:
    """Something that a run read or wrote: a dataset, or a file elsewhere, as it was then.

    ``declared`` on the command line, or else seen; ``record`` is the one that made it, where that is known; ``metrics``
    stay in git. ``digest`` is None of what was gone, or changed, before it could be hashed.
    """

    path: bytes
    kind: str
    digest: Digest | None
    size: int
    files: int
    declared: bool
    record: Digest | None = None
    metrics: bool = False

    def to_json(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {
            "path": to_text(self.path),
            "kind": self.kind,
            "digest": str(self.digest) if self.digest is not None else None,
            "size": self.size,
            "files": self.files,
            "declared": self.declared,
            "record": str(self.record) if self.record is not None else None,
            "metrics": self.metrics,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A record's ``values`` as they were written, all of them, and typed views of those that others build on."""

    values: Mapping[str, Any]
    status: str
    stage: str | None
    argv: tuple[str, ...]
    start: str
    end: str
    reads: str
    inputs: tuple[Data, ...]
    outputs: tuple[Data, ...]
    objects: Mapping[str, StoredObject]

    @property
    def parents(self) -> list[Digest]:
        """The records that made its inputs, and the one that it resumes: what its closure goes on to."""
        resumed = self.values.get("resumes")
        found = [data.record for data in self.inputs if data.record is not None]
        return list(dict.fromkeys([*found, *([Digest.parse(resumed)] if resumed else [])]))

    def section(self, name: str) -> Mapping[str, Any]:
        """One of its tables, such as ``code``; empty where it has none."""
        found = self.values.get(name)
        return found if isinstance(found, dict) else {}


def encode_record(values: Mapping[str, Any]) -> bytes:
    """The one spelling of a record with these values.

    Raises:
        UsageError: it would be longer than 1 MiB, or no reader would take it.
    """
    try:
        data = _canonical(dict(values))
        decode_record(data, "the record to be written")
    except (MalformedError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"this record cannot be written: {error}") from None
    return data


def decode_record(data: bytes, where: str = "the record") -> Record:
    """Read a record; ``where`` is its printable name, for messages.

    Raises:
        UnsupportedFormat: a format number or digest algorithm unknown to this version.
        MalformedError: anything else is wrong with it, or it is not the canonical spelling of what it says.
    """
    if len(data) > MAX_RECORD_BYTES:
        raise MalformedError(f"{where} is longer than {MAX_RECORD_BYTES:,} bytes")
    try:
        values = json.loads(data.decode("ascii"), parse_constant=_refuse_constant)
        if not isinstance(values, dict):
            raise MalformedError(f"{where} is not a JSON object")
        _check_depth(values, where, 0)
        if _canonical(values) != data:  # also: keys that stand there twice
            raise MalformedError(f"{where} is not written canonically")
    except RecursionError:
        raise MalformedError(f"{where} is nested too deeply") from None
    except ValueError as error:  # MalformedError is none
        raise MalformedError(f"{where} is not valid JSON: {str(error)[:200]}") from None
    fields = Fields(values, where)
    fields.require_format(KNOWN_FORMATS)
    return _record(fields, values)


def _record(fields: Fields, values: dict[str, Any]) -> Record:
    command, time = _table(fields, "command"), _table(fields, "time")
    resumes = fields.optional_text("resumes")
    if resumes is not None:
        fields.digest("resumes")
    return Record(
        values=values,
        status=fields.choice("status", STATUSES),
        stage=fields.optional_text("stage"),
        argv=_argv(command, values["command"].get("argv")),
        start=time.time("start"),
        end=time.time("end"),
        reads=fields.choice("reads", READS),
        inputs=_data(fields, values, "inputs"),
        outputs=_data(fields, values, "outputs"),
        objects=_objects(fields, values.get("objects")),
    )


def _table(fields: Fields, name: str) -> Fields:
    found = fields.optional_fields(name)
    if found is None:
        raise fields.wrong(name, "a table")
    return found


def _argv(command: Fields, words: object) -> tuple[str, ...]:
    is_list = isinstance(words, list) and 1 <= len(words) <= MAX_DATA
    if not is_list or not all(isinstance(word, str) for word in words):  # type: ignore[attr-defined]
        raise command.wrong("argv", f"a list of 1 to {MAX_DATA} texts")
    command.path("folder", or_empty=True)
    return tuple(words)  # type: ignore[arg-type]


def _data(fields: Fields, values: dict[str, Any], name: str) -> tuple[Data, ...]:
    rows = values.get(name)
    if not isinstance(rows, list) or len(rows) > MAX_DATA:
        raise fields.wrong(name, f"a list of at most {MAX_DATA} tables")
    found = []
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise fields.wrong(name, f"a list of at most {MAX_DATA} tables")
        inner = Fields(row, f"{fields.what}: {name!r} {number}")
        path = row.get("path")
        # What lies outside of the repository is named by its absolute path.
        is_absolute = isinstance(path, str) and path.startswith("/")
        text = path[1:] if isinstance(path, str) and is_absolute else path
        relative = Fields({"path": text}, inner.what).path("path")
        found.append(
            Data(
                path=b"/" + relative if is_absolute else relative,
                kind=inner.choice("kind", KINDS),
                digest=inner.digest("digest") if row.get("digest") is not None else None,
                size=inner.count("size"),
                files=inner.count("files"),
                declared=inner.flag("declared"),
                record=inner.digest("record") if row.get("record") is not None else None,
                metrics=inner.flag("metrics"),
            )
        )
    return tuple(found)


def _objects(fields: Fields, rows: object) -> dict[str, StoredObject]:
    if not isinstance(rows, dict) or len(rows) > MAX_DATA:
        raise fields.wrong("objects", f"a table of at most {MAX_DATA} tables")
    found = {}
    for name, row in rows.items():
        if not isinstance(row, dict):
            raise fields.wrong("objects", "a table of tables")
        inner = Fields(row, f"{fields.what}: object {name!r}")
        found[name] = StoredObject(
            inner.choice("kind", KINDS), inner.digest("digest"), inner.count("size"), inner.count("files")
        )
    return found


def _canonical(values: Any) -> bytes:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return text.encode("ascii") + b"\n"


def _check_depth(value: Any, where: str, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise MalformedError(f"{where} is nested deeper than {MAX_DEPTH} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, where, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise MalformedError(f"{where} has a whole number beyond 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise MalformedError(f"{where} has a number that is not finite")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
