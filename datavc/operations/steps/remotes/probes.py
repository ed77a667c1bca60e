"""What probes found out, kept on this machine: JSON files in ``probes/`` beside the local config, one for each place.

Good findings are believed for thirty days, or until something fails; bad ones until the next probe.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import xxhash

from datavc.backends.base import Backend
from datavc.backends.findings import Findings
from datavc.backends.opening import open_backend
from datavc.backends.wrapping import WrappingBackend
from datavc.durable import storage_errors, write_durably
from datavc.errors import OutOfSpace, StorageError, TransientError
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.remotes.trust import place_of
from datavc.repo import Repo

GOOD_FOR_SECONDS = 30 * 86_400
# What holds for every server that lets strangers in at all, so that it need not have been tried of late.
_LASTING = "sha256"


def try_place(repo: Repo, remote: RemoteSettings) -> Findings:
    """Probe the place of a remote, which need not be configured yet, or be believed in what was found before.

    Raises:
        StorageError: nothing can be written there, so nothing was found out.
    """
    from datavc.backends.probing import probe

    backend = open_backend(place_of(repo, remote), remote.settings, create=True)
    try:
        return probe(backend)
    finally:
        backend.close()


def read_findings(repo: Repo, remote: RemoteSettings) -> Findings | None:
    """What the last probe of the place found, however long ago; None where there was none, or it is not readable."""
    try:
        kept = json.loads(_path(repo, remote).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return Findings.from_dict(kept) if isinstance(kept, dict) else None


def keep_findings(repo: Repo, remote: RemoteSettings, findings: Findings) -> None:
    """Remember what a probe found. Raises StorageError."""
    path = _path(repo, remote)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, json.dumps(findings.as_dict(), indent=1).encode() + b"\n")


def is_fresh(findings: Findings) -> bool:
    """Whether good findings can be believed."""
    # A day's worth of clocks that were set back is let pass.
    return -86_400 <= time.time() - findings.when <= GOOD_FOR_SECONDS


def believed(findings: Findings | None) -> Findings | None:
    """The findings to go by: of old ones those that were bad, and the check of uploads that is part of the protocol."""
    if findings is None or is_fresh(findings):
        return findings
    return replace(findings, checks=tuple(check for check in findings.checks if check == _LASTING))


def distrust(repo: Repo, remote: RemoteSettings) -> None:
    """Let what the last probe found count as old: something failed that should not have."""
    findings = read_findings(repo, remote)
    if findings is not None and is_fresh(findings):
        keep_findings(repo, remote, replace(findings, when=0.0))


def watched(repo: Repo, remote: RemoteSettings, backend: Backend) -> Backend:
    """``backend``, whose refusals of what is written make the findings old."""
    return _Watched(repo, remote, backend)


class _Watched(WrappingBackend):
    def __init__(self, repo: Repo, remote: RemoteSettings, inner: Backend) -> None:
        super().__init__(inner)
        self._repo = repo
        self._remote = remote

    def write(self, name: str, data: bytes) -> bool:
        try:
            return super().write(name, data)
        except StorageError as error:
            self._note(error)
            raise

    def write_file(self, name: str, source: Path) -> bool:
        try:
            return super().write_file(name, source)
        except StorageError as error:
            self._note(error)
            raise

    def replace(self, name: str, data: bytes) -> None:
        try:
            super().replace(name, data)
        except StorageError as error:
            self._note(error)
            raise

    def _note(self, error: StorageError) -> None:
        # A lost connection and a full disk say nothing about what the server can do.
        if not isinstance(error, TransientError | OutOfSpace):
            distrust(self._repo, self._remote)


def _path(repo: Repo, remote: RemoteSettings) -> Path:
    address = "\0".join((place_of(repo, remote), remote.settings.get("endpoint", "")))
    name = xxhash.xxh3_128_hexdigest(address.encode("utf-8", "surrogateescape"))
    return repo.shared / "probes" / f"{name}.json"
