"""SFTP as fsspec speaks it, but only to servers whose key is known: fsspec's own accepts whoever answers."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from datavc.errors import DatavcError, StorageError, TransientError

_CONNECT_SECONDS = 15


def open_sftp(url: str) -> Any:
    """A connected file system. Keys of servers come from ``~/.ssh/known_hosts``, one's own from the agent and ``~/.ssh``.

    Raises:
        TransientError: the server cannot be reached.
        StorageError: the server is not known, or refuses to let this user in.
    """
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    class KnownHostsSFTP(SFTPFileSystem):  # type: ignore[misc]
        def _connect(self) -> None:
            self.client = paramiko.SSHClient()
            self.client.load_system_host_keys()
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            try:
                self.client.connect(self.host, **self.ssh_kwargs)
                self.ftp = self.client.open_sftp()
            except BaseException:
                self.client.close()
                raise

    parts = urlsplit(url)
    options: dict[str, Any] = {"timeout": _CONNECT_SECONDS, "skip_instance_cache": True}
    if parts.port:
        options["port"] = parts.port
    if parts.username:
        options["username"] = unquote(parts.username)
    try:
        return KnownHostsSFTP(str(parts.hostname), **options)
    except (paramiko.SSHException, OSError) as error:
        raise _explained(error, str(parts.hostname)) from error


def _explained(error: Exception, host: str) -> DatavcError:
    import paramiko

    if isinstance(error, paramiko.BadHostKeyException):
        return StorageError(
            f"{host} shows another key than the one in ~/.ssh/known_hosts: it may be somebody else's machine",
            "ask who runs it; only if they changed its key, `ssh-keygen -R` the old one",
        )
    if isinstance(error, paramiko.AuthenticationException):
        return StorageError(
            f"{host} does not let this user in",
            f"try `sftp {host}`, and give the URL as sftp://USER@HOST/FOLDER",
        )
    if isinstance(error, paramiko.SSHException) and "not found in known_hosts" in str(error):
        return StorageError(
            f"the key of {host} is not known", f"run `ssh {host}` once and compare the key it shows"
        )
    return TransientError(
        f"{host} cannot be reached over SSH ({type(error).__name__})", "check the host and the port"
    )
