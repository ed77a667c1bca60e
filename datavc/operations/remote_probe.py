"""``remote probe``: find out what the place of a remote can be relied on for, and remember it."""

from __future__ import annotations

from dataclasses import dataclass

from datavc.backends.findings import Findings
from datavc.errors import UsageError
from datavc.operations.steps.remotes.probes import keep_findings, try_place
from datavc.operations.steps.remotes.trust import require_allowed
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class ProbedRemote:
    """What was found at the remote: ``refused`` are reasons to keep no data there, ``problems`` all that is wrong."""

    name: str
    findings: Findings
    refused: list[str]
    problems: list[str]


def remote_probe(repo: Repo, name: str | None = None) -> ProbedRemote:
    """Try the remote called ``name``, or the default one, with some forty small files that are deleted again.

    Raises:
        UsageError: there is no such remote, or it is read-only, or must be allowed first.
        StorageError: nothing can be written there, so nothing was found out.
    """
    remote = repo.remote(name)
    if remote.read_only:
        raise UsageError(f"the remote {remote.name} is read-only, so there is nothing to try")
    require_allowed(repo, remote, writing=True)
    findings = try_place(repo, remote)
    keep_findings(repo, remote, findings)
    return ProbedRemote(remote.name, findings, findings.reasons_to_refuse(), findings.problems())
