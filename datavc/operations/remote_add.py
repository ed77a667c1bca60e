"""``remote add``: give a place a name, after it was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from datavc.backends.addresses import WEB, check_url, scheme_of
from datavc.backends.findings import Findings
from datavc.errors import ConflictError, StorageError, UsageError
from datavc.formats.config import remote_name, setting_of
from datavc.formats.remotes import RemoteSettings, default_remote
from datavc.operations.steps.remotes.probes import keep_findings, try_place
from datavc.operations.steps.remotes.settings import change_settings
from datavc.operations.steps.remotes.trust import allow
from datavc.repo import Repo

# Whatever is not for others to read or to obey stays on this machine.
_PRIVATE = ("profile",)


@dataclass(frozen=True, slots=True)
class AddedRemote:
    """The remote, in which layer it is, and what the probe found; None where it was skipped."""

    name: str
    url: str
    origin: str
    is_default: bool
    findings: Findings | None


def remote_add(
    repo: Repo,
    name: str,
    url: str,
    *,
    settings: Mapping[str, str] | None = None,
    default: bool = False,
    read_only: bool = False,
    probe: bool = True,
    local: bool = False,
) -> AddedRemote:
    """Call the store at ``url`` ``name``, for everybody who clones this repo, or with ``local`` for this clone.

    The first remote becomes the default, and so does one with ``default``. ``settings`` are those of S3 remotes (see
    ``open_backend``). The place is probed, unless it is read-only or ``probe`` is false. Who calls this allows the address.

    Raises:
        UsageError: the name, the URL or a setting is none. ConflictError: there is a remote of that name.
        StorageError: the place cannot be written to, or not be relied on; nothing was changed.
    """
    _check_new(repo, name)
    check_url(url)
    remote = RemoteSettings(name, url, settings or {}, read_only=read_only)
    findings = None
    if probe and not read_only and scheme_of(url) not in WEB:
        findings = _probed(repo, remote)
    is_default = default or default_remote(repo.config) is None
    _write(repo, remote, is_default=is_default, local=local)
    added = repo.remote(name)
    allow(repo, added)
    if findings is not None:
        keep_findings(repo, added, findings)
    return AddedRemote(name, added.url, added.origin, added.is_default, findings)


def _probed(repo: Repo, remote: RemoteSettings) -> Findings:
    try:
        findings = try_place(repo, remote)
    except StorageError as error:
        raise StorageError(
            error.message, f"{error.hint or 'mend it'}, or skip the probe: --no-probe"
        ) from error
    reasons = findings.reasons_to_refuse()
    if reasons:
        raise StorageError(
            f"{findings.place} cannot be relied on: {'; '.join(reasons)}",
            "keep nothing there; --no-probe would name it all the same",
        )
    return findings


def _check_new(repo: Repo, name: str) -> None:
    try:
        remote_name(name)
    except ValueError as error:
        raise UsageError(f"the name of a remote {error}, not {name!r}") from None
    for known in repo.remotes():
        if known.name == name:
            raise ConflictError(
                f"there is a remote {name} already, at {known.url}", f"datavc remote set-url {name} URL"
            )


def _write(repo: Repo, remote: RemoteSettings, *, is_default: bool, local: bool) -> None:
    values: dict[str, Any] = {"url": remote.url, **remote.settings}
    if remote.read_only:
        values["read_only"] = True
    keys = {f"remote.{remote.name}.{key}": value for key, value in values.items()}
    for key in keys:
        if setting_of(key) is None:
            raise UsageError(f"a remote has no setting {key.rpartition('.')[2]!r}")
    private = {key: value for key, value in keys.items() if local or key.rpartition(".")[2] in _PRIVATE}
    public = {key: value for key, value in keys.items() if key not in private}
    if is_default:
        # What stands in a layer above would go on being the default.
        above = repo.config.origin("remote.default") == "local"
        (private if local or above else public)["remote.default"] = remote.name
    # datavc.toml last: once it names the remote, all that belongs to it is there.
    change_settings(repo, private, "local")
    change_settings(repo, public, "repo")
