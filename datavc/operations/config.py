"""``config``: read and change settings, each in the file where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datavc.durable import storage_errors, write_durably
from datavc.errors import NotFoundError
from datavc.formats.config import SETTINGS, check_value, edit_config, read_config
from datavc.repo import CONFIG_NAME, Repo, user_config_path


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A key, its value, and the layer it comes from: ``environment``, ``local``, ``user``, ``repo`` or ``default``."""

    key: str
    value: Any
    origin: str


def config(
    repo: Repo, key: str | None = None, value: str | None = None, *, where: str = "repo", unset: bool = False
) -> list[ConfigEntry]:
    """Every setting, or one; with a ``value`` (or ``unset``) that one is changed in the file of layer ``where``.

    Raises:
        NotFoundError: nothing sets the key.
        UsageError: the key does not take the value, or does not belong into that file.
    """
    if key is not None and (value is not None or unset):
        _change(repo, key, value, where)
        repo.__dict__.pop("config", None)
        if unset:
            return []
    settings = repo.config
    if key is None:
        return [ConfigEntry(name, settings.get(name), settings.origin(name)) for name in settings.names()]
    found = settings.get(key)
    if found is None:
        raise NotFoundError(f"{key} is not set", f"datavc config {key} VALUE")
    return [ConfigEntry(key, found, settings.origin(key))]


def _change(repo: Repo, key: str, value: str | None, where: str) -> None:
    path = _path(repo, where)
    with storage_errors(path):
        before = path.read_bytes() if path.is_file() else b""
    wanted: Any = value
    if value is not None:
        check_value(key, value, path.name if where == "repo" else str(path), committed=where == "repo")
        setting = SETTINGS.get(key)
        if setting is not None:
            wanted = setting.parse(value)
    after = edit_config(before.decode(), key, wanted).encode()
    read_config(after, str(path), committed=where == "repo")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    # What is private to this machine is nobody else's to read.
    write_durably(path, after, 0o666 if where == "repo" else 0o600)


def _path(repo: Repo, where: str) -> Path:
    if where == "user":
        return user_config_path()
    return repo.shared / "config.toml" if where == "local" else repo.root / CONFIG_NAME
