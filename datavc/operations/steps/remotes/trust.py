"""What a committed file may make a clone do: it can name addresses, but some are used only once the user has said so.

Whoever types an address (``remote add``, ``remote set-url``, ``config``) has said so for this clone. Who got it out of
``datavc.toml`` says so with ``remote.NAME.allow``, in a file that git does not carry. It holds the address, not a yes: when
a commit changes the address, it is asked for again.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from datavc.backends.addresses import check_url, folder_of, is_remote_address_risky, scheme_of
from datavc.errors import UsageError
from datavc.formats.remotes import RemoteSettings
from datavc.operations.steps.remotes.settings import change_settings
from datavc.repo import Repo
from datavc.store import layout


def place_of(repo: Repo, remote: RemoteSettings) -> str:
    """The URL that is opened: folders are absolute, seen from the repo's root. Raises UsageError."""
    check_url(remote.url)
    if scheme_of(remote.url) in ("", "file"):
        return str(_folder(repo, remote.url))
    return remote.url


def require_allowed(repo: Repo, remote: RemoteSettings, *, writing: bool) -> None:
    """Refuse an address that is not this user's choice and could do harm.

    Raises:
        UsageError: the hint is the command that allows it.
    """
    address = address_to_allow(repo, remote)
    if address is None or remote.allowed == address:
        return
    risk = is_remote_address_risky(address)
    hint = f"if you trust it: datavc config --local remote.{remote.name}.allow {shlex.quote(address)}"
    if risk is not None:
        raise UsageError(
            f"datavc.toml names {address} as the remote {remote.name}, and {risk}, so it was not contacted",
            hint,
        )
    if writing:
        raise UsageError(
            f"datavc.toml names the folder {address} as the remote {remote.name}, "
            "and this clone has not been allowed to write there",
            f"{hint}\nor: datavc push --yes",
        )
    if not _knows(Path(address), repo.config.repo_id):
        raise UsageError(
            f"datavc.toml names the folder {address} as the remote {remote.name}, "
            "and that is no store that knows this repository",
            hint,
        )


def address_to_allow(repo: Repo, remote: RemoteSettings) -> str | None:
    """The address of the remote that is only used where ``allow`` says the same; None where none is."""
    for address in remote.committed:
        if is_remote_address_risky(address) is not None:
            return address
        if address == remote.url and scheme_of(address) in ("", "file"):
            return str(_folder(repo, address))
    return None


def allow(repo: Repo, remote: RemoteSettings) -> None:
    """Let this clone use the remote's address as it is now. Raises StorageError."""
    address = address_to_allow(repo, remote)
    if address is not None and remote.allowed != address:
        change_settings(repo, {f"remote.{remote.name}.allow": address}, "local")


def allow_what_was_typed(repo: Repo, key: str) -> None:
    """After ``key`` was set on the command line: where it is an address of a remote, its user allows it."""
    table, _, rest = key.partition(".")
    name, _, last = rest.rpartition(".")
    if table == "remote" and last in ("url", "endpoint") and repo.config.get(f"remote.{name}.url"):
        allow(repo, repo.remote(name))


def _folder(repo: Repo, url: str) -> Path:
    return (repo.root / folder_of(url)).resolve()


def _knows(folder: Path, repo_id: str) -> bool:
    """Whether the folder is a store in which this repo has roots."""
    try:
        return (folder / layout.STORE_NOTE).is_file() and (folder / layout.ROOTS / repo_id).is_dir()
    except OSError:
        return False
