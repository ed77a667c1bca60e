"""``remote remove``: forget a remote. Nothing is deleted there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datavc.errors import UsageError
from datavc.operations.steps.remotes.settings import change_settings, settings_in
from datavc.operations.steps.transfers.remotenotes import move_notes
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class RemovedRemote:
    """What was forgotten, and which remote is the default now."""

    name: str
    url: str
    default: str | None


def remote_remove(repo: Repo, name: str) -> RemovedRemote:
    """Take the remote called ``name`` out of ``datavc.toml`` and the local config.

    Raises:
        UsageError: there is no such remote, or it stands in the user's own configuration.
    """
    remote = repo.remote(name)
    if remote.origin not in ("repo", "local"):
        raise UsageError(
            f"the remote {name} is in the {remote.origin} configuration, which holds for other repositories too",
            f"datavc config --user --unset remote.{name}.url",
        )
    for where in ("repo", "local"):
        changes: dict[str, Any] = {}
        if settings_in(repo, where, f"remote.{name}."):
            changes[f"remote.{name}"] = None
        if settings_in(repo, where, "remote.default").get("remote.default") == name:
            changes["remote.default"] = None
        change_settings(repo, changes, where)
    move_notes(repo, name, None)
    left = repo.remotes()
    return RemovedRemote(name, remote.url, left[0].name if left and left[0].is_default else None)
