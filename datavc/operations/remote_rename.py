"""``remote rename``: give a remote another name; what is known of it goes along."""

from __future__ import annotations

from typing import Any

from datavc.errors import ConflictError, UsageError
from datavc.formats.config import remote_name
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.remotes.settings import change_settings, settings_in
from datavc.operations.steps.transfers.remotenotes import move_notes
from datavc.repo import Repo


def remote_rename(repo: Repo, old: str, new: str) -> RemoteSettings:
    """Call the remote ``old`` ``new``, in ``datavc.toml`` and the local config.

    Raises:
        UsageError: there is no remote ``old``, or ``new`` is no name. ConflictError: there is a remote ``new``.
    """
    remote = repo.remote(old)
    try:
        remote_name(new)
    except ValueError as error:
        raise UsageError(f"the name of a remote {error}, not {new!r}") from None
    if any(known.name == new for known in repo.remotes()):
        raise ConflictError(f"there is a remote {new} already", f"datavc remote remove {new}")
    if remote.origin not in ("repo", "local"):
        raise UsageError(
            f"the remote {old} is in the {remote.origin} configuration, which holds for other repositories too"
        )
    for where in ("local", "repo"):
        prefix = f"remote.{old}."
        found = settings_in(repo, where, prefix)
        changes: dict[str, Any] = {
            f"remote.{new}.{key[len(prefix) :]}": value for key, value in found.items()
        }
        if found:
            changes[f"remote.{old}"] = None
        if settings_in(repo, where, "remote.default").get("remote.default") == old:
            changes["remote.default"] = new
        change_settings(repo, changes, where)
    move_notes(repo, old, new)
    return repo.remote(new)
