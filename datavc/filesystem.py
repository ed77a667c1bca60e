"""``datavc://[REV:]PATH`` for fsspec: datasets at any revision as a read-only file system, with nothing checked out.

fsspec finds it by its entry point, so ``pandas.read_csv("datavc://v1:data/x.csv")`` is all there is to do. Names are those
of files as fsspec has them, text; bytes that are no UTF-8 become lone surrogates, as everywhere in Python.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, cast

import xxhash
from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from datavc.errors import DatavcError, NotFoundError, ObjectNotFound, UsageError
from datavc.operations.borrowing import is_git_url, require_no_secret, snapshot_of
from datavc.operations.reading import DEFAULT_DISK_BYTES, DatasetReader, FoundEntry, Snapshot
from datavc.operations.steps.naming.revisions import split_word

Info = dict[str, Any]


class DatavcFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no type hints
    """The datasets of a repository, read-only: from its cache, or by ranges from its remote, verified chunk by chunk.

    ``repo`` is a folder in the repository, or the URL of a git repository; without it, the repository above the working
    folder of the moment. ``rev`` is the revision of paths that name none: whatever git takes, ``PATH@NAME``, a digest;
    without it, what the pointers in the workspace say (of a git URL, its HEAD). ``remote`` names the one remote to ask.
    About ``cache_bytes`` of what came from a remote are kept on disk, for the next process; 0 keeps none.

    An instance looks revisions up once, and so sees one state of them; :meth:`invalidate_cache` looks again. It can be
    pickled, and then is opened anew in the same repository; what it takes to reach a remote is not in the pickle.

    Raises:
        UsageError: ``repo`` is a URL with a password or a token in it.
    """

    protocol = "datavc"
    root_marker = ""
    # Each instance is a state of its own, and without `repo` one of the working folder: fsspec would hand out an old one.
    cachable = False

    def __init__(
        self,
        repo: str | os.PathLike[str] | None = None,
        rev: str | None = None,
        remote: str | None = None,
        cache_bytes: int = DEFAULT_DISK_BYTES,
        **storage_options: Any,
    ) -> None:
        super().__init__(**storage_options)
        place = os.fspath(repo) if repo is not None else os.getcwd()
        require_no_secret(place)
        self.repo = place if is_git_url(place) else os.path.abspath(place)
        self.rev = rev
        self.remote = remote
        self.cache_bytes = cache_bytes
        self._others = storage_options
        self._snapshots: dict[str | None, Snapshot] = {}
        self._owner = os.getpid()

    # What fsspec makes another instance of, in this process or in another: all of it settled, so that it is the same one.

    @property
    def storage_options(self) -> dict[str, Any]:
        settled = {"repo": self.repo, "rev": self.rev, "remote": self.remote, "cache_bytes": self.cache_bytes}
        return self._others | {name: value for name, value in settled.items() if value is not None}

    @storage_options.setter
    def storage_options(self, given: dict[str, Any]) -> None:
        """As they were given, which says less."""

    @property
    def storage_args(self) -> tuple[Any, ...]:
        return ()

    @storage_args.setter
    def storage_args(self, given: tuple[Any, ...]) -> None:
        """As :attr:`storage_options`."""

    @property
    def _fs_token(self) -> str:
        """Differs wherever a path may have another content: what is keyed by it, in Dask for instance, is not mistaken."""
        versions = self._snapshot(None).versions().items()
        state = (self.repo, self.rev, [(path, str(version.digest)) for path, version in versions])
        return xxhash.xxh3_128_hexdigest(repr(state).encode("utf-8", "surrogateescape"))

    # Names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(name) for name in path]
        path = stringify_path(path)
        for start in ("datavc://", "datavc::"):
            path = path.removeprefix(start)
        return _join(*_split(path))

    @classmethod
    def _parent(cls, path: str) -> str:
        rev, inner = _split(cls._strip_protocol(path))
        return _join(rev, inner.rpartition("/")[0])

    def _snapshot(self, rev: str | None) -> Snapshot:
        if os.getpid() != self._owner:
            # Connections, locks and threads do not survive a fork.
            self._snapshots, self._owner = {}, os.getpid()
        rev = rev if rev is not None else self.rev
        found = self._snapshots.get(rev)
        if found is None:
            known = next(iter(self._snapshots.values()), None)
            if known is not None:
                found = known.at(rev)
            else:
                found = snapshot_of(self.repo, rev, remote=self.remote, disk_bytes=self.cache_bytes)
            self._snapshots[rev] = found
        return found

    def _find(self, path: str) -> tuple[Snapshot, FoundEntry]:
        rev, inner = _split(self._strip_protocol(path))
        snapshot = self._snapshot(rev)
        snapshot.versions()
        try:
            return snapshot, snapshot.find(os.fsencode(inner))
        except ObjectNotFound:
            raise
        except NotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, error.message, path) from error

    def _at(self, rev: str) -> DatavcFileSystem:
        """The same with another revision: what fsspec makes of slashes in names knows nothing of ``REV:``."""
        other = DatavcFileSystem(self.repo, rev, self.remote, self.cache_bytes, **self._others)
        other._snapshots = self._snapshots
        return other

    # What is where

    def info(self, path: str, **kwargs: Any) -> Info:
        _, entry = self._find(path)
        return _info(self._strip_protocol(path), entry)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        snapshot, entry = self._find(path)
        path = self._strip_protocol(path)
        rev, inner = _split(path)
        if entry.is_folder:
            infos = []
            for child in snapshot.children(entry.path):
                name = os.fsdecode(child.path.rpartition(b"/")[2])
                infos.append(_info(_join(rev, f"{inner}/{name}"), self._followed(snapshot, child), child))
        else:
            infos = [_info(path, entry)]
        return infos if detail else [info["name"] for info in infos]

    def _followed(self, snapshot: Snapshot, child: FoundEntry) -> FoundEntry:
        """What a symlink leads to. To a folder, or nowhere, it stays a link: walks would go in circles."""
        if child.kind != "symlink":
            return child
        try:
            target = snapshot.find(child.path)
        except ObjectNotFound:
            raise
        except NotFoundError:
            return child
        return child if target.is_folder else target

    def exists(self, path: str, **kwargs: Any) -> bool:
        try:
            self._find(path)
        except FileNotFoundError:
            return False
        return True

    def isdir(self, path: str) -> bool:
        return self.exists(path) and self._find(path)[1].is_folder

    def isfile(self, path: str) -> bool:
        return self.exists(path) and not self._find(path)[1].is_folder

    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **kwargs: Any,
    ) -> Iterator[tuple[str, Any, Any]]:
        rev, inner = _split(self._strip_protocol(path))
        if rev is None:
            if maxdepth is None and self.exists(path):
                self._warm(path)
            yield from super().walk(path, maxdepth=maxdepth, topdown=topdown, on_error=on_error, **kwargs)
            return
        for folder, folders, files in self._at(rev).walk(inner, maxdepth, topdown, on_error, **kwargs):
            for infos in (folders, files):
                for info in infos.values() if isinstance(infos, dict) else ():
                    info["name"] = _join(rev, _split(info["name"])[1])
            yield _join(rev, _split(folder)[1]), folders, files

    def _warm(self, path: str) -> None:
        """Read the trees below a folder together, before they are walked one by one, and refuse those without end."""
        snapshot, entry = self._find(path)
        snapshot.warm(entry.path)

    def glob(self, path: str, maxdepth: int | None = None, **kwargs: Any) -> Any:
        rev, inner = _split(self._strip_protocol(path))
        if rev is None:
            return super().glob(path, maxdepth=maxdepth, **kwargs)
        # Whether the pattern ends in a slash means something.
        found = self._at(rev).glob(inner + "/" * path.endswith("/"), maxdepth=maxdepth, **kwargs)
        if isinstance(found, dict):
            return {
                _join(rev, _split(name)[1]): {**info, "name": _join(rev, _split(name)[1])}
                for name, info in found.items()
            }
        return [_join(rev, _split(name)[1]) for name in found]

    def ukey(self, path: str) -> str:
        """What changes when the content does: the digest."""
        _, entry = self._find(path)
        return str(entry.digest) if entry.digest is not None else cast("str", super().ukey(path))

    def modified(self, path: str) -> datetime:
        """When the revision was committed; versions have no time of their own. 1970 where there is no commit."""
        snapshot, entry = self._find(path)
        commit = entry.version.commit if entry.version is not None else None
        seconds = snapshot.committed(commit) if commit is not None else 0
        return datetime.fromtimestamp(seconds, UTC)

    def invalidate_cache(self, path: str | None = None) -> None:
        self._snapshots.clear()
        super().invalidate_cache(path)

    # Bytes

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        **kwargs: Any,
    ) -> DatasetFile:
        if mode != "rb":
            raise OSError(errno.EROFS, "datasets are read-only here; write a file and datavc add it", path)
        return DatasetFile(self, path, *self._file(path))

    def _file(self, path: str) -> tuple[Snapshot, FoundEntry]:
        snapshot, entry = self._find(path)
        if entry.is_folder:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        return snapshot, entry

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        snapshot, entry = self._file(path)
        return snapshot.read(entry, *_span(start, end, entry.size))

    def cat_ranges(
        self,
        paths: Any,
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Many ranges, which come together in few requests."""
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("as many starts and ends as paths are needed")
        try:
            return self._read_many(list(zip(paths, starts, ends, strict=True)))
        except (OSError, DatavcError):
            if on_error == "raise":
                raise
            return cast("list[Any]", super().cat_ranges(paths, starts, ends, None, on_error, **kwargs))

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **kwargs: Any) -> Any:
        """One file, or many, which come together in few requests."""
        paths = self.expand_path(path, recursive=recursive)
        if on_error != "raise" or kwargs or (paths == [self._strip_protocol(path)] and not recursive):
            return super().cat(path, recursive=recursive, on_error=on_error, **kwargs)
        paths = [name for name in paths if self.isfile(name)]
        return dict(zip(paths, self._read_many([(name, None, None) for name in paths]), strict=True))

    def _read_many(self, wanted: list[tuple[str, int | None, int | None]]) -> list[bytes]:
        found: list[bytes] = [b""] * len(wanted)
        by_snapshot: dict[Snapshot, list[tuple[int, FoundEntry]]] = {}
        for number, (path, _, _) in enumerate(wanted):
            snapshot, entry = self._file(path)
            by_snapshot.setdefault(snapshot, []).append((number, entry))
        for snapshot, entries in by_snapshot.items():
            spans = [(entry, *_span(*wanted[number][1:], entry.size)) for number, entry in entries]
            for (number, _), content in zip(entries, snapshot.read_many(spans), strict=True):
                found[number] = content
        return found

    def get(self, rpath: Any, lpath: Any, recursive: bool = False, **kwargs: Any) -> Any:
        rev, inner = _split(self._strip_protocol(rpath)) if isinstance(rpath, str) else (None, "")
        if rev is None:
            return super().get(rpath, lpath, recursive=recursive, **kwargs)
        return self._at(rev).get(inner + "/" * rpath.endswith("/"), lpath, recursive=recursive, **kwargs)


class DatasetFile(DatasetReader):
    """A file of a dataset, opened: what fsspec's users expect of one, over ranges that are verified."""

    def __init__(self, fs: DatavcFileSystem, path: str, snapshot: Snapshot, entry: FoundEntry) -> None:
        super().__init__(snapshot, entry)
        self.fs = fs
        self.path = path
        self.size = entry.size
        self.details = _info(path, entry)

    def info(self) -> Info:
        """What :meth:`DatavcFileSystem.info` says."""
        return self.details

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _reopen_file, (self.fs, self.path, self.tell())

    def __reduce_ex__(self, protocol: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        # From Python 3.12 on buffered files have one of their own, which refuses and would be asked first.
        return self.__reduce__()


def _reopen_file(fs: DatavcFileSystem, path: str, position: int) -> DatasetFile:
    file = fs._open(path)
    file.seek(position)
    return file


def _split(path: str) -> tuple[str | None, str]:
    """Revision and path of ``[REV:]PATH``; ``./`` in front says that there is no revision."""
    rev, inner = split_word(path) or (None, path)
    return rev, "/".join(name for name in inner.split("/") if name not in ("", "."))


def _join(rev: str | None, inner: str) -> str:
    inner = inner.lstrip("/")
    if rev is not None:
        return f"{rev}:{inner}"
    return f"./{inner}" if ":" in inner and split_word(inner) is not None else inner


def _span(start: int | None, end: int | None, size: int) -> tuple[int, int]:
    """Where a range begins and ends; what is negative counts from the end of the file."""
    start, end = start or 0, size if end is None else end
    return max(start + size, 0) if start < 0 else start, end + size if end < 0 else end


def _info(name: str, entry: FoundEntry, listed: FoundEntry | None = None) -> Info:
    kind = {"folder": "directory", "symlink": "link"}.get(entry.kind, "file")
    info: Info = {
        "name": name,
        "size": 0 if entry.is_folder else entry.size,
        "type": kind,
        "files": entry.files,
    }
    if entry.digest is not None:
        info["digest"] = str(entry.digest)
    info["executable"] = entry.kind == "executable"
    info["islink"] = (listed or entry).kind == "symlink"
    return info


__all__ = ["DatasetFile", "DatavcFileSystem", "UsageError"]
