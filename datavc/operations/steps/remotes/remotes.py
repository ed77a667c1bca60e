"""Opening remotes by name."""

from __future__ import annotations

from datavc.backends.base import Backend
from datavc.backends.findings import Findings
from datavc.backends.opening import open_backend
from datavc.errors import StorageError, UsageError
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.remotes.probes import believed, read_findings, watched
from datavc.operations.steps.remotes.trust import place_of, require_allowed
from datavc.repo import Repo
from datavc.store.remote import RemoteStore


def open_remote(repo: Repo, name: str | None, *, create: bool = False) -> RemoteStore:
    """The remote called ``name``, or the default one; ``create`` is for writing: it makes a folder that is not there yet.

    Raises:
        UsageError: there is no such remote, it is read-only, or the user has to allow it first.
        NotFoundError, StorageError: it cannot be opened, or was found to be unreliable.
    """
    remote = repo.remote(name)
    return RemoteStore(
        remote.name, open_remote_backend(repo, remote, writing=create), repo.config.repo_id, repo.algorithm
    )


def open_remote_backend(repo: Repo, remote: RemoteSettings, *, writing: bool) -> Backend:
    """The place itself. Raises as :func:`open_remote`."""
    require_allowed(repo, remote, writing=writing)
    if writing and remote.read_only:
        raise UsageError(
            f"the remote {remote.name} is read-only",
            f"datavc config remote.{remote.name}.read_only false, or choose another: -r NAME",
        )
    findings = believed(read_findings(repo, remote))
    if writing and findings is not None:
        require_reliable(remote, findings)
    backend = open_backend(
        place_of(repo, remote),
        remote.settings,
        create=writing,
        read_only=remote.read_only,
        findings=findings,
    )
    return watched(repo, remote, backend) if findings is not None else backend


def require_reliable(remote: RemoteSettings, findings: Findings) -> None:
    """Raises StorageError where no data may be entrusted to the place."""
    reasons = findings.reasons_to_refuse()
    if reasons:
        raise StorageError(
            f"the remote {remote.name} ({findings.place}) cannot be relied on: {'; '.join(reasons)}",
            f"when the server has been mended: datavc remote probe {remote.name}",
        )
