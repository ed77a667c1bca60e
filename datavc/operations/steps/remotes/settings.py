"""Changing settings: each in the file of its layer, checked before it is written, and private where it is not committed."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datavc.durable import storage_errors, write_durably
from datavc.formats.config import MAX_CONFIG_BYTES, check_value, edit_config, read_config, setting_of
from datavc.formats.toml import read_toml
from datavc.repo import CONFIG_NAME, Repo, user_config_path

_PRIVATE = 0o600


def change_settings(repo: Repo, changes: Mapping[str, Any], where: str) -> None:
    """Set each key of ``changes`` in the file of layer ``where`` (repo, local or user); None removes it, a table too.

    Raises:
        UsageError: a key does not take its value, or does not belong into that file.
        MalformedError: the file is no TOML.
    """
    if not changes:
        return
    path = settings_path(repo, where)
    with storage_errors(path):
        before = path.read_bytes() if path.is_file() else b""
    read_toml(before, str(path), MAX_CONFIG_BYTES)
    text = before.decode()
    for key, value in changes.items():
        if value is not None:
            shown = path.name if where == "repo" else str(path)
            check_value(key, value, shown, committed=where == "repo")
            setting = setting_of(key)
            if setting is not None:
                value = setting.parse(value)
        text = edit_config(text, key, value)
    after = text.encode()
    read_config(after, str(path), committed=where == "repo")
    if after != before:
        _write(path, after, private=where != "repo")
    repo.__dict__.pop("config", None)


def settings_in(repo: Repo, where: str, prefix: str) -> dict[str, Any]:
    """The keys that begin with ``prefix`` in the file of one layer, with their values."""
    path = settings_path(repo, where)
    if not path.is_file():
        return {}
    with storage_errors(path):
        values = read_config(path.read_bytes(), str(path), committed=where == "repo")
    return {key: value for key, value in values.items() if key.startswith(prefix)}


def settings_path(repo: Repo, where: str) -> Path:
    """The file of a layer."""
    if where == "user":
        return user_config_path()
    return repo.shared / "config.toml" if where == "local" else repo.root / CONFIG_NAME


def _write(path: Path, data: bytes, *, private: bool) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # What is private to this machine is nobody else's to read, whatever the file was before.
        with contextlib.suppress(FileNotFoundError):
            if private and stat.S_IMODE(path.stat().st_mode) & 0o077:
                path.chmod(_PRIVATE)
    write_durably(path, data, _PRIVATE if private else 0o666)
