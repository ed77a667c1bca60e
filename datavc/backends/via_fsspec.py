"""The backend over any file system that fsspec knows: Google's and Azure's buckets, SFTP, memory.

Where a file system moves files in one step, a file is written under ``tmp/`` and moved to its name; in buckets a file appears
whole or not at all by itself. Either way its length is looked at before it counts as written.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from datavc.backends.base import Backend, StoredFile, check_name, is_name
from datavc.errors import DatavcError, StorageError, StoredFileNotFound, TransientError, UsageError

# File systems on which `mv` is a rename: it replaces its target in one step.
_MOVES = {"sftp", "ssh", "file", "local", "smb"}
# What each file system calls the time of a file's last change.
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")
_ABANDONED_SECONDS = 86_400
_LATER = "check the network, then run the same command again: what is done stays done"


class FsspecBackend(Backend):
    """Keeps files below the folder ``root`` of the file system that ``make`` gives, to some threads one of their own."""

    def __init__(self, make: Callable[[], Any], root: str, place: str) -> None:
        self._make = make
        self._root = root.rstrip("/")
        self._place = place
        self._shared: tuple[int, Any] | None = None
        self._local = threading.local()
        self._swept = False

    @classmethod
    def at(cls, url: str) -> FsspecBackend:
        """The backend at a URL of one of fsspec's schemes. Raises UsageError; StorageError where a package is missing."""
        opener = _Opener(url)
        return cls(opener, opener.root(), url)

    def __reduce__(self) -> tuple[Any, ...]:
        return FsspecBackend, (self._make, self._root, self._place)

    def describe(self) -> str:
        return self._place

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        path = self._path(name)
        if length == 0:
            self.head(name)
            return b""
        with self._errors(name):
            data: bytes = self._fs().cat_file(
                path, start=start, end=None if length is None else start + length
            )
        if length is not None and len(data) != length:
            raise StorageError(f"{path} ends before the {start + length} bytes that it must have")
        return bytes(data)

    def head(self, name: str) -> StoredFile:
        path = self._path(name)
        with self._errors(name):
            info = self._fs().info(path)
        if info["type"] != "file":
            raise StoredFileNotFound(f"{self._place}/{name} is no regular file")
        return StoredFile(name, info["size"], _time_of(info))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        check_name(prefix.removesuffix("/"))
        # Folder by folder, since fsspec's own `find` leaves out what it fails to list.
        folders = [prefix.removesuffix("/")]
        while folders:
            folder = folders.pop()
            for info in self._ls(folder):
                name = f"{folder}/{info['name'].rstrip('/').rpartition('/')[2]}"
                if info["type"] == "directory":
                    if name != folder:
                        folders.append(name)
                elif info["type"] == "file" and is_name(name):
                    yield StoredFile(name, info["size"], _time_of(info))

    def write(self, name: str, data: bytes) -> bool:
        try:
            stored = self.head(name).size
        except StoredFileNotFound:
            pass
        else:
            if stored == len(data):
                return False
            self._put_aside(name)
        self._publish(name, data)
        return True

    def replace(self, name: str, data: bytes) -> None:
        self._publish(name, data)
        if self.read(name) != data:
            raise TransientError(f"{self._place}/{name}: what is read there is not what was just written")

    def delete(self, name: str) -> None:
        path = self._path(name)
        with contextlib.suppress(StoredFileNotFound), self._errors(name):
            self._fs().rm_file(path)

    def now(self) -> float:
        name = f"tmp/clock-{os.urandom(8).hex()}"
        self._write_whole(name, b"")
        try:
            return self.head(name).modified
        finally:
            self.delete(name)

    def close(self) -> None:
        """End the connection of this thread; those of others end with their threads."""
        fs = getattr(self._local, "fs", None)
        if fs is not None and hasattr(fs, "ftp"):
            fs.client.close()
        self._local = threading.local()
        self._shared = None

    def _publish(self, name: str, data: bytes) -> None:
        if not self._moves():
            self._write_whole(name, data)
            return
        self._sweep()
        temporary = f"tmp/{os.urandom(8).hex()}"
        try:
            self._write_whole(temporary, data)
            with self._errors(name):
                self._make_folder(name)
                self._fs().mv(self._path(temporary), self._path(name))
        except BaseException:
            with contextlib.suppress(DatavcError):
                self.delete(temporary)
            raise

    def _write_whole(self, name: str, data: bytes) -> None:
        with self._errors(name):
            self._make_folder(name)
            self._fs().pipe_file(self._path(name), data)
        if self.head(name).size != len(data):
            self.delete(name)
            raise TransientError(f"{self._place}/{name} has another length than what was written")

    def _make_folder(self, name: str) -> None:
        fs = self._fs()
        folder = self._path(name).rpartition("/")[0]
        # In buckets there are no folders, and making the topmost one would make a bucket.
        if self._moves() and not fs.exists(folder):
            with contextlib.suppress(FileExistsError):
                fs.makedirs(folder, exist_ok=True)

    def _put_aside(self, name: str) -> None:
        aside = f"quarantine/{name.replace('/', '-')}-{os.urandom(4).hex()}"
        with contextlib.suppress(StoredFileNotFound), self._errors(name):
            self._make_folder(aside)
            if self._moves():
                self._fs().mv(self._path(name), self._path(aside))
            else:
                self._fs().cp_file(self._path(name), self._path(aside))

    def _sweep(self) -> None:
        """Remove, once, what killed writers left under ``tmp/`` a day ago."""
        if self._swept:
            return
        self._swept = True
        left = list(self.list("tmp/"))
        newest = max((file.modified for file in left), default=0.0)
        for file in left:
            if file.modified < newest - _ABANDONED_SECONDS:
                self.delete(file.name)

    def _ls(self, folder: str) -> Sequence[dict[str, Any]]:
        fs = self._fs()
        path = f"{self._root}/{folder}"
        fs.invalidate_cache()
        try:
            with self._errors(folder):
                found: Sequence[dict[str, Any]] = fs.ls(path, detail=True)
                return found
        except StoredFileNotFound:
            return []

    def _path(self, name: str) -> str:
        return f"{self._root}/{check_name(name)}"

    def _moves(self) -> bool:
        protocol = self._fs().protocol
        return bool(_MOVES & {protocol} if isinstance(protocol, str) else _MOVES & set(protocol))

    def _fs(self) -> Any:
        fs = getattr(self._local, "fs", None)
        if fs is not None and self._local.pid == os.getpid():
            return fs
        if self._shared is not None and self._shared[0] == os.getpid():
            return self._shared[1]
        with self._errors(None):
            fs = self._make()
        # Those that work in an event loop of their own serve all threads; an SFTP connection only one.
        if fs.async_impl:
            self._shared = os.getpid(), fs
        else:
            self._local.fs, self._local.pid = fs, os.getpid()
        return fs

    @contextlib.contextmanager
    def _errors(self, name: str | None) -> Iterator[None]:
        """Turn whatever a file system raises, which each chooses for itself, into our errors."""
        thing = self._place if name is None else f"{self._place}/{name}"
        try:
            yield
        except DatavcError:
            raise
        except (FileNotFoundError, NotADirectoryError):
            raise StoredFileNotFound(f"{thing} does not exist") from None
        except PermissionError as error:
            raise StorageError(
                f"{thing}: access is denied", "check the credentials and their rights"
            ) from error
        except Exception as error:
            if _may_pass(error):
                raise TransientError(
                    f"{thing}: the connection failed ({type(error).__name__})", _LATER
                ) from error
            raise StorageError(f"{thing}: {type(error).__name__}: {_first_line(error)}") from error


class _Opener:
    """Makes the file system of a URL. An object and not a closure, so that it pickles."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self) -> Any:
        from datavc.backends.addresses import scheme_of

        scheme = scheme_of(self.url)
        if scheme in ("sftp", "ssh"):
            from datavc.backends.sftp import open_sftp

            return open_sftp(self.url)
        kind = self._kind()
        # Cached listings would hide what others write; a cached instance would outlive the thread that it belongs to.
        options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
        if scheme in ("gs", "gcs"):
            # Each upload is compared with the MD5 that the server computed of it.
            options["consistency"] = "md5"
        return kind(**options, **kind._get_kwargs_from_urls(self.url))

    def root(self) -> str:
        """The path of the URL within its file system."""
        root: str = self._kind()._strip_protocol(self.url)
        return root

    def _kind(self) -> Any:
        from datavc.backends.addresses import PACKAGES, scheme_of

        scheme = scheme_of(self.url)
        package, extra = PACKAGES[scheme]
        try:
            import fsspec

            return fsspec.get_filesystem_class(scheme)
        except ImportError as error:
            raise StorageError(
                f"it takes the package {package} to reach {scheme}://, and it is not installed",
                f"pip install 'datavc[{extra}]'",
            ) from error
        except ValueError as error:
            raise UsageError(f"fsspec knows no file system for {scheme}://") from error


def _time_of(info: dict[str, Any]) -> float:
    """Seconds since 1970; 0 for a file system that keeps no times."""
    time = next((info[key] for key in _TIMES if info.get(key) is not None), 0.0)
    if isinstance(time, str):
        time = datetime.datetime.fromisoformat(time)
    if isinstance(time, datetime.datetime):
        return (time if time.tzinfo else time.replace(tzinfo=datetime.UTC)).timestamp()
    return float(time)


def _may_pass(error: Exception) -> bool:
    """Whether the same request again may do, by what the libraries of the various clouds have in common."""
    if isinstance(error, (TimeoutError, ConnectionError, EOFError)):
        return True
    status = (
        getattr(error, "status", None) or getattr(error, "status_code", None) or getattr(error, "code", None)
    )
    if isinstance(status, int):
        return status >= 500 or status in (408, 429)
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(
        names & {"ClientConnectionError", "ClientPayloadError", "ServiceRequestError", "SSHException"}
    ) and not (names & {"AuthenticationException", "BadHostKeyException"})


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:200]
