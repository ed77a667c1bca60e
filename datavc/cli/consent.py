"""Asking the user before something is done that only a committed file wants: on a terminal, or with ``--yes``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from datavc.cli.terminal import is_terminal, printable

if TYPE_CHECKING:
    from datavc.repo import Repo


def let_write(repo: Repo, remote: str | None, *, yes: bool) -> None:
    """Allow this clone to use the remote's address, if the user says so. Otherwise the operation refuses, and says how."""
    from datavc.operations.steps.remotes.trust import address_to_allow, allow

    chosen = repo.remote(remote)
    address = address_to_allow(repo, chosen)
    if address is None or address == chosen.allowed:
        return
    if yes or agrees(f"datavc.toml says that the remote {chosen.name} is {address}. Write there?"):
        allow(repo, chosen)


def agrees(question: str) -> bool:
    """Whether the user says yes; where there is no terminal to ask at, nobody does."""
    if not (is_terminal(sys.stdin) and is_terminal(sys.stderr)):
        return False
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
