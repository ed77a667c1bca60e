"""``config``: read and change settings, each in the file where it belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datavc.errors import NotFoundError
from datavc.formats.secrets import names_secret, redact
from datavc.operations.steps.remotes.settings import change_settings
from datavc.operations.steps.remotes.trust import allow_what_was_typed
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """A key, its value without secrets, and its layer: ``environment``, ``local``, ``user``, ``repo`` or ``default``."""

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
        change_settings(repo, {key: value}, where)
        if unset:
            return []
        allow_what_was_typed(repo, key)
    settings = repo.config
    if key is None:
        return [_entry(repo, name) for name in settings.names()]
    if settings.get(key) is None:
        raise NotFoundError(f"{key} is not set", f"datavc config {key} VALUE")
    return [_entry(repo, key)]


def _entry(repo: Repo, key: str) -> ConfigEntry:
    """A row that may be shown."""
    value = repo.config.get(key)
    if isinstance(value, str):
        value = "***" if names_secret(key.rpartition(".")[2]) else redact(value)
    return ConfigEntry(key, value, repo.config.origin(key))
