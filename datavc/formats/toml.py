"""TOML text to checked values, and values to the one spelling that datavc writes.

Which keys there are is the business of ``pointer.py`` and ``config.py``. The writer is our own because a
pointer is canonical: its bytes must not change with the version of a library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any

from datavc.errors import MalformedError

MAX_DEPTH = 16
_MAX_DOTS_PER_LINE = 200  # tomllib takes time quadratic in the parts of a dotted key
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """Parse ``data``, called ``what`` in messages, of at most ``limit`` bytes.

    Raises:
        MalformedError: not UTF-8, not TOML, too long, nested deeper than 16, or a number beyond 64 bits.
    """
    import tomllib

    if len(data) > limit:
        raise MalformedError(f"{what} is longer than {limit:,} bytes")
    if max(map(_dots, data.splitlines()), default=0) > _MAX_DOTS_PER_LINE:
        raise MalformedError(f"{what} has more than {_MAX_DOTS_PER_LINE} dots in one line")
    try:
        values = tomllib.loads(data.decode("utf-8"))
    except RecursionError:
        raise MalformedError(f"{what} is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, and int() of very many digits
        raise MalformedError(f"{what} is not valid TOML: {str(error)[:200]}") from None
    _check(values, what, 0)
    return values


def _dots(line: bytes) -> int:
    return line.count(b".")


def _check(value: Any, what: str, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise MalformedError(f"{what} is nested deeper than {MAX_DEPTH} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _check(inner, what, depth + 1)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise MalformedError(f"{what} has a whole number beyond 64 bits")


def toml_lines(values: Mapping[str, Any], first: Iterable[str] = ()) -> list[str]:
    """``key = value`` lines: the keys of ``first`` in that order, then the others sorted."""
    known = [key for key in first if key in values]
    others = sorted(key for key in values if key not in known)
    return [f"{toml_key(key)} = {toml_value(values[key])}" for key in (*known, *others)]


def toml_key(key: str) -> str:
    """A key, quoted where it must be."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def toml_value(value: Any) -> str:
    """A value on one line; tables inside it become inline tables with sorted keys.

    Raises:
        TypeError: TOML has no such value.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are all TOML's; DEL alone must be escaped in TOML and is not in JSON.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(toml_lines(value))}}}"
    raise TypeError(f"TOML has no value for {type(value).__name__}")


def _float(value: float) -> str:
    if math.isnan(value):
        return "nan"
    return repr(value)
