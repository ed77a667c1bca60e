"""Parameters: values out of files, as a record keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datavc.errors import NotFoundError, UsageError
from datavc.formats.digest import Digest

_LONGEST = 64 << 10


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
        "values": json.loads(json.dumps(values, default=str, allow_nan=True), parse_constant=str),
    }


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
