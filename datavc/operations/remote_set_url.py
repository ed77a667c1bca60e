"""``remote set-url``: a remote is somewhere else from now on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datavc.backends.addresses import check_url, scheme_of
from datavc.errors import UsageError
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.remotes.settings import change_settings, settings_in
from datavc.operations.steps.remotes.trust import allow
from datavc.operations.steps.transfers.remotenotes import move_notes
from datavc.repo import Repo

_OF_BUCKETS = ("endpoint", "region", "profile", "path_style", "anonymous")


def remote_set_url(
    repo: Repo, name: str, url: str, *, settings: Mapping[str, str] | None = None
) -> RemoteSettings:
    """Give the remote called ``name`` another ``url``, and other ``settings`` where they are given.

    Settings of S3 go where the new place is none. Who calls this allows the address. The place is not asked.

    Raises:
        UsageError: there is no such remote, the URL or a setting is none, or the remote is in another configuration.
    """
    remote = repo.remote(name)
    check_url(url)
    if remote.origin not in ("repo", "local", "user"):
        raise UsageError(f"the URL of the remote {name} is set by the {remote.origin}")
    changes: dict[str, Any] = {f"remote.{name}.url": url}
    if scheme_of(url) != "s3":
        if settings:
            raise UsageError(f"{url} has no settings, so not {sorted(settings)[0]!r}")
        for where in {"local", remote.origin}:
            found = settings_in(repo, where, f"remote.{name}.")
            stale = [key for key in found if key.rpartition(".")[2] in _OF_BUCKETS]
            change_settings(repo, dict.fromkeys(stale), where)
    for key, value in (settings or {}).items():
        if key != "profile" or remote.origin != "repo":
            changes[f"remote.{name}.{key}"] = value
        else:
            change_settings(repo, {f"remote.{name}.{key}": value}, "local")
    change_settings(repo, {f"remote.{name}.allow": None}, "local")
    change_settings(repo, changes, remote.origin)
    move_notes(repo, name, None)
    moved = repo.remote(name)
    allow(repo, moved)
    return moved
