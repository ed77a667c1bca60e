"""Sealed text: one line of JSON and one line with its xxh128, the outer form of roots, workspace states and notes.

The seal finds accidents (a torn write, a bad disk), not attackers: ``fields.py`` still checks every field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import xxhash

from datavc.errors import MalformedError, UsageError
from datavc.formats.fields import Fields
from datavc.formats.header import KNOWN_FORMATS

_SEAL = b"xxh128:"
_SEAL_LENGTH = len(_SEAL) + 32 + 1


def seal(
    fields: Mapping[str, Any], what: str, limit: int, read: Callable[[Fields], object] = lambda fields: None
) -> bytes:
    """``fields`` as sealed text of at most ``limit`` bytes; ``what`` is its name in messages, ``read`` what readers do.

    Raises:
        UsageError: it would be longer, or readers would refuse it.
    """
    try:
        read(Fields(fields, what))
    except MalformedError as error:
        raise UsageError(error.message) from None
    line = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    body = line.encode("ascii") + b"\n"
    sealed = body + _SEAL + xxhash.xxh3_128_hexdigest(body).encode("ascii") + b"\n"
    if len(sealed) > limit:
        raise UsageError(f"{what} would have {len(sealed):,} bytes, more than {limit:,}")
    return sealed


def unsealed_fields(data: bytes, what: str, limit: int) -> Fields:
    """The fields of sealed text that says of which format it is.

    Raises:
        UnsupportedFormat: a format number unknown to this version. MalformedError: as :func:`unseal`.
    """
    fields = Fields(unseal(data, what, limit), what)
    fields.require_format(KNOWN_FORMATS)
    return fields


def unseal(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """The fields of sealed text.

    Raises:
        MalformedError: too long, cut off, changed since it was sealed, or not a JSON object.
    """
    if len(data) > limit:
        raise MalformedError(f"{what} is longer than {limit:,} bytes")
    body, seal_line = data[:-_SEAL_LENGTH], data[-_SEAL_LENGTH:]
    if body[-1:] != b"\n" or body.count(b"\n") != 1 or not seal_line.startswith(_SEAL):
        raise MalformedError(f"{what} is not a line of JSON and a line with its xxh128")
    if seal_line != _SEAL + xxhash.xxh3_128_hexdigest(body).encode("ascii") + b"\n":
        raise MalformedError(f"{what} does not have the xxh128 that its last line gives")
    try:
        values = json.loads(body.decode("ascii"), object_pairs_hook=_object, parse_constant=_refuse_constant)
    except RecursionError:
        raise MalformedError(f"{what} is nested too deeply") from None
    except ValueError as error:  # not ASCII, not JSON, a doubled key, NaN, int() of very many digits
        raise MalformedError(f"{what} is not valid JSON: {str(error)[:200]}") from None
    if not isinstance(values, dict):
        raise MalformedError(f"{what} is not a JSON object")
    return values


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key stands there twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
