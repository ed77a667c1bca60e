"""``remote list``: the remotes, who said where they are, and what is known of them. Asks none of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.formats.secrets import redact
from datavc.formats.times import utc_text
from datavc.operations.steps.remotes.probes import is_fresh, read_findings
from datavc.operations.steps.remotes.trust import address_to_allow
from datavc.repo import Repo


@dataclass(frozen=True, slots=True)
class ListedRemote:
    """One remote. ``origin`` is the layer that gives the ``url``; ``is_allowed`` says that this clone may write there.

    ``probed`` is when it was tried from this machine, RFC 3339 in UTC, None where it never was; ``problems`` are what was
    found wrong; ``is_fresh`` is false where good findings are not believed any more.
    """

    name: str
    url: str
    origin: str
    is_default: bool
    read_only: bool
    is_allowed: bool
    settings: dict[str, str] = field(default_factory=dict)
    probed: str | None = None
    is_fresh: bool = False
    problems: list[str] = field(default_factory=list)


def remote_list(repo: Repo) -> list[ListedRemote]:
    """Every remote, the default one first. Raises UsageError where the configuration is wrong."""
    rows = []
    for remote in repo.remotes():
        findings = read_findings(repo, remote)
        address = address_to_allow(repo, remote)
        rows.append(
            ListedRemote(
                remote.name,
                redact(remote.url),
                remote.origin,
                remote.is_default,
                remote.read_only,
                address is None or address == remote.allowed,
                {key: redact(value) for key, value in remote.settings.items()},
                utc_text(findings.when) if findings is not None else None,
                findings is not None and is_fresh(findings),
                findings.problems() if findings is not None else [],
            )
        )
    return rows
