"""The backend that is a folder on a web server: read alone, and without listings, which the web does not have.

Through urllib3, which comes with boto3. fsspec's file system says of a file that the server fails to give that it is missing,
and looks neither at the status nor at the range of an answer; a root must not count as absent because a network is down.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import quote, urljoin, urlsplit

from datavc.backends.base import StoredFile, check_name
from datavc.backends.readonly import UnchangingBackend
from datavc.errors import StorageError, StoredFileNotFound, TransientError

_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_CONNECTIONS = 16
_REDIRECTS = 5
_LATER = "check the network and the address, then run the same command again"


class WebBackend(UnchangingBackend):
    """Reads files below the URL ``root``. Threads may share it; it pickles as its place."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self._pools: dict[int, Any] = {}
        self._making = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return WebBackend, (self._root,)

    def describe(self) -> str:
        return self._root

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_name(name)
        if length == 0:
            self.head(name)
            return b""
        headers = {}
        if start or length is not None:
            headers["Range"] = f"bytes={start}-{'' if length is None else start + length - 1}"
        answer = self._ask("GET", name, headers)
        thing = f"{self._root}/{name}"
        if answer.status == 416:
            if length is None:
                return b""
            raise StorageError(f"{thing} ends before the {start + length} bytes that it must have")
        data: bytes = answer.data
        if answer.status == 206:
            sent = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")[0]
            if not headers or sent != f"{start}-{start + len(data) - 1}":
                raise StorageError(f"{thing}: the server gives other bytes than those asked for")
        else:
            # A server may ignore the range and give the whole file.
            data = data[start:] if length is None else data[start : start + length]
        if length is not None and len(data) != length:
            raise StorageError(f"{thing} ends before the {start + length} bytes that it must have")
        return data

    def head(self, name: str) -> StoredFile:
        answer = self._ask("HEAD", check_name(name), {})
        size = answer.headers.get("Content-Length", "")
        if not size.isdigit():
            raise StorageError(f"{self._root}/{name}: the server does not say how long it is")
        return StoredFile(name, int(size), _time(answer.headers.get("Last-Modified")))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        raise StorageError(f"{self._root} is a web server, whose files cannot be listed")

    def now(self) -> float:
        return _time(self._ask("HEAD", "datavc-store.json", {}).headers.get("Date"))

    def close(self) -> None:
        while self._pools:
            self._pools.popitem()[1].clear()

    def __del__(self) -> None:
        self.close()

    def _refuse(self, name: str) -> NoReturn:
        raise StorageError(f"{self._root} is a web server, which is only read from: {name} stays as it is")

    def _ask(self, method: str, name: str, headers: dict[str, str]) -> Any:
        """The answer, its body read whole. Raises StoredFileNotFound, TransientError, StorageError."""
        import urllib3

        thing = f"{self._root}/{name}"
        url = f"{self._root}/{quote(name)}"
        for _ in range(_REDIRECTS):
            try:
                # "identity", since a packed answer would have other lengths than the file.
                answer = self._pool().request(
                    method,
                    url,
                    headers={"Accept-Encoding": "identity", **headers},
                    redirect=False,
                    retries=False,
                )
            except urllib3.exceptions.SSLError as error:
                raise StorageError(
                    f"{thing}: the certificate of the server is not trusted ({_reason(error)})"
                ) from error
            except urllib3.exceptions.HTTPError as error:
                raise TransientError(f"{thing}: the connection failed ({_reason(error)})", _LATER) from error
            target = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not target:
                return self._checked(answer, thing)
            url = self._checked_target(urljoin(url, target), url, thing)
        raise StorageError(f"{thing}: the server sends us from place to place")

    def _checked(self, answer: Any, thing: str) -> Any:
        if answer.status in (404, 410):
            raise StoredFileNotFound(f"{thing} does not exist")
        if answer.status in (401, 403):
            raise StorageError(f"{thing}: access is denied")
        if answer.status >= 500 or answer.status in (408, 429):
            raise TransientError(
                f"{thing}: the server is overloaded or failing (status {answer.status})", _LATER
            )
        if answer.status not in (200, 206, 416):
            raise StorageError(f"{thing}: the server answers with status {answer.status}")
        return answer

    def _checked_target(self, target: str, url: str, thing: str) -> str:
        """Where a redirect leads, which must be no weaker connection and no address that a clone must not contact."""
        from datavc.backends.addresses import is_remote_address_risky, scheme_of

        scheme = scheme_of(target)
        if scheme not in ("http", "https") or (scheme == "http" and scheme_of(url) == "https"):
            raise StorageError(f"{thing}: the server sends us to an address that is not encrypted")
        if is_remote_address_risky(target):
            raise StorageError(
                f"{thing}: the server sends us to {urlsplit(target).hostname}, which is not contacted"
            )
        return target

    def _pool(self) -> Any:
        pool = self._pools.get(os.getpid())
        if pool is None:
            import urllib.request

            import urllib3

            with self._making:
                options: dict[str, Any] = {
                    "maxsize": _CONNECTIONS,
                    "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
                }
                scheme = urlsplit(self._root).scheme
                proxy = urllib.request.getproxies().get(scheme)
                if proxy and not urllib.request.proxy_bypass(str(urlsplit(self._root).hostname)):
                    pool = urllib3.ProxyManager(proxy, **options)
                else:
                    pool = urllib3.PoolManager(**options)
                self._pools[os.getpid()] = pool
        return pool


def _time(header: str | None) -> float:
    """Seconds since 1970; 0 where the server tells no time."""
    try:
        return parsedate_to_datetime(header).timestamp() if header else 0.0
    except ValueError:
        return 0.0


def _reason(error: Exception) -> str:
    return type(getattr(error, "reason", None) or error).__name__
