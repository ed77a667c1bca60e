"""What this clone remembers of a remote: how fast it was, which datasets could not be read from it. Never proof."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from datavc.durable import storage_errors, write_durably
from datavc.formats.paths import to_text
from datavc.repo import Repo

_MOST_PACKS = 10_000


@dataclass(slots=True)
class RemoteNotes:
    """``bandwidth`` in bytes a second; ``suspects``: of datasets that could not be read, the packs (raw names) at fault."""

    bandwidth: float | None = None
    suspects: dict[bytes, set[bytes]] = field(default_factory=dict)


def read_notes(repo: Repo, remote: str) -> RemoteNotes:
    """What is remembered of the remote of that name; nothing where the notes are missing or damaged."""
    try:
        values = json.loads(_path(repo, remote).read_bytes())
        bandwidth = values.get("bandwidth")
        suspects = {
            path.encode("utf-8", "surrogateescape"): {bytes.fromhex(pack) for pack in packs}
            for path, packs in values.get("suspects", {}).items()
        }
        return RemoteNotes(float(bandwidth) if bandwidth else None, suspects)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return RemoteNotes()


def write_notes(repo: Repo, remote: str, notes: RemoteNotes) -> None:
    """Remember. Raises StorageError."""
    values: dict[str, Any] = {
        "bandwidth": notes.bandwidth,
        "suspects": {
            to_text(path): sorted(pack.hex() for pack in packs)[:_MOST_PACKS]
            for path, packs in sorted(notes.suspects.items())
        },
    }
    file = _path(repo, remote)
    with storage_errors(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_durably(file, json.dumps(values, indent=1).encode() + b"\n")


def suspect(repo: Repo, remote: str, dataset: bytes, packs: Iterable[bytes]) -> None:
    """Remember that reading a dataset failed, so that the next push of it checks what is there."""
    notes = read_notes(repo, remote)
    known = notes.suspects.setdefault(dataset, set())
    before = len(known)
    known.update(packs)
    if len(known) > before or not before:
        write_notes(repo, remote, notes)


def trust(repo: Repo, remote: str) -> None:
    """Forget what could not be read: all that is there was read since, and is sound. Raises StorageError."""
    notes = read_notes(repo, remote)
    if notes.suspects:
        write_notes(repo, remote, replace(notes, suspects={}))


def move_notes(repo: Repo, old: str, new: str | None) -> None:
    """After a remote was renamed; with None its notes are forgotten: it is gone or somewhere else. Raises StorageError."""
    file = _path(repo, old)
    with storage_errors(file), contextlib.suppress(FileNotFoundError):
        if new is None:
            file.unlink()
        else:
            file.replace(_path(repo, new))


def _path(repo: Repo, remote: str) -> Path:
    # Names of remotes come from a committed file: as hex they cannot lead anywhere else.
    return repo.shared / "remotes" / f"{remote.encode('utf-8', 'surrogateescape').hex()}.json"
