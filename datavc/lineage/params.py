"""Parameters: values out of files, as a record keeps them."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from datavc.errors import NotFoundError, UsageError
from datavc.formats.digest import Digest

_LONGEST = 64 << 10
_DEEPEST = 12  # a record has 16 levels
_DIGITS = 20  # of the longest number of 64 bits, with its sign
_AS_TEXT = (PurePath, datetime.date, datetime.time)


def read_params(spec: str, folder: Path, algorithm: str) -> dict[str, Any]:
    """What ``FILE`` or ``FILE:KEY.KEY`` names, out of TOML, JSON, or YAML where PyYAML is installed.

    Raises:
        NotFoundError: there is no such file or key. UsageError: the file is not what its name says, or is too long.
    """
    name, key = spec, ""
    if not (folder / name).is_file():
        name, _, key = spec.rpartition(":")
    file = folder / (name or spec)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise NotFoundError(f"the parameters {spec} cannot be read: {error.strerror}") from None
    if len(content) > _LONGEST:
        raise UsageError(f"the parameters {name} have {len(content):,} bytes, more than {_LONGEST:,}")
    values = _parsed(file, content)
    for part in key.split(".") if key else ():
        if not isinstance(values, dict) or part not in values:
            raise NotFoundError(f"{name} has no key {key}")
        values = values[part]
    return {
        "path": name,
        "key": key or None,
        "digest": str(Digest.of(algorithm, content)),
        "values": _as_json(values),
    }


def plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values that a program gave, as JSON has them: of what is no number, text, list or table, the type's name.

    What is longer than 64 KiB, nested too deeply or odd otherwise is named, and left out: a run is not to fail for it.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        try:
            kept = _as_json(value)
            length = len(json.dumps(kept))
        except (ValueError, TypeError, RecursionError):
            kept, length = _type_name(value), 0
        if length > _LONGEST or _depth(kept) > _DEEPEST:
            kept = f"{_type_name(value)} of {length:,} bytes, left out"
        found[str(name)] = kept
    return found


def _as_json(values: Any) -> Any:
    """NaN and infinities, and numbers that no reader of a record takes, become text."""
    text = json.dumps(values, default=_one_value)
    return json.loads(text, parse_constant=str, parse_int=_whole_number)


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) <= _DIGITS and -(2**63) <= int(text) < 2**63 else text


def _one_value(value: Any) -> Any:
    """A number of numpy or torch as Python's; a path or a date as text."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    return str(value) if isinstance(value, _AS_TEXT) else _type_name(value)


def _type_name(value: Any) -> str:
    return f"<{type(value).__qualname__}>"


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def _parsed(file: Path, content: bytes) -> Any:
    try:
        text = content.decode("utf-8")
        if file.suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        if file.suffix in (".yaml", ".yml"):
            return _yaml(file, text)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file.name} cannot be read as parameters: {str(error)[:200]}") from None


def _yaml(file: Path, text: str) -> Any:
    import importlib

    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise UsageError(
            f"reading {file.name} needs PyYAML", "pip install pyyaml, or use TOML or JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"{file.name} is no YAML: {str(error)[:200]}") from None
