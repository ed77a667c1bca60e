"""Reading datasets as one revision has them: by path, by ranges, with nothing checked out. Python API and fsspec share it."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from datavc.errors import NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import FOLDER, KIND_NAMES, Entry
from datavc.operations.steps.naming.chosen import WORKSPACE, Version, chosen_versions
from datavc.operations.steps.naming.revisions import resolve_revision
from datavc.operations.steps.transfers.content import Content
from datavc.operations.steps.transfers.contents import Contents
from datavc.operations.steps.transfers.pieces import Part
from datavc.operations.steps.trees.trees import entries
from datavc.repo import Repo

DEFAULT_DISK_BYTES = 1 << 30
# Whoever reads on and on gets as much ahead as he has read so far, at most so much: one request for each.
_LONGEST_AHEAD = 8 << 20
# What is no longer is kept as one piece.
SMALL_BYTES = 1 << 20
# More would be asked for, and transferred, by readers that skip about.
_BUFFER_BYTES = 16 << 10
_MOST_SYMLINKS = 40
_LONGEST_TARGET = 4096


@dataclass(frozen=True, slots=True)
class FoundEntry:
    """What a path is: ``kind`` is a tree's word, ``size`` in bytes and ``files`` are, of a folder, of all below it.

    ``path`` is relative to the repo's root. A folder that merely holds datasets has no ``digest`` and no ``version``.
    """

    path: bytes
    kind: str
    size: int
    files: int
    digest: Digest | None = None
    version: Version | None = None

    @property
    def is_folder(self) -> bool:
        """Whether there are entries in it."""
        return self.kind == "folder"


class Snapshot:
    """The datasets of ``repo`` as git revision ``rev`` has them; without one, as the pointers in the workspace have them.

    They are looked up once: a snapshot stays what it is while branches move. What the cache lacks is read from the remote
    called ``remote``, or from all of them in turn, and kept in about ``disk_bytes`` beside the cache. Safe in threads.
    """

    def __init__(
        self,
        repo: Repo,
        rev: str | None = None,
        *,
        remote: str | None = None,
        disk_bytes: int = DEFAULT_DISK_BYTES,
    ) -> None:
        self.repo = repo
        self.rev = rev
        self._contents = Contents(repo, remote, disk_bytes)
        self._versions: dict[bytes, Version] | None = None
        # The folder, the position in it, and how many before it were read in this order.
        self._last_read: tuple[bytes, int, int] = (b"", -1, 0)
        self._lock = threading.Lock()

    def at(self, rev: str | None) -> Snapshot:
        """Another revision, or the same looked up anew, that shares with this one what was opened and read so far."""
        other = Snapshot(self.repo, rev)
        other.share(self)
        return other

    def share(self, other: Snapshot) -> None:
        """Share with ``other``, which is of the same repository, what was opened and read so far."""
        self._contents = other._contents

    def versions(self) -> dict[bytes, Version]:
        """Every dataset's version, by path. Raises UsageError where there is no such revision."""
        with self._lock:
            if self._versions is None:
                self._versions = {version.path: version for version in _versions(self.repo, self.rev)}
            return self._versions

    def committed(self, commit: str) -> int:
        """When a commit was made, in seconds since 1970."""
        if self.repo.git is None:
            return 0
        return int(self.repo.git.run("log", "-1", "--format=%ct", commit, "--"))

    # What is where

    def find(self, path: bytes, *, follow: bool = True) -> FoundEntry:
        """What is at ``path``, which is relative to the repo's root; ``follow`` goes through a symlink at its end, too.

        Raises:
            NotFoundError: nothing is; UsageError: there is no such revision. Otherwise as :meth:`read`.
        """
        wanted = path
        for _ in range(_MOST_SYMLINKS):
            found, rest = self._walk(wanted)
            if found.kind != "symlink" or not (rest or follow):
                if rest:
                    break
                return found
            wanted = self._target(found, rest)
        raise self._no_such(path)

    def children(self, path: bytes) -> list[FoundEntry]:
        """What lies in the folder at ``path``; symlinks are not followed. Raises UsageError where it is no folder."""
        found = self.find(path)
        if not found.is_folder:
            raise UsageError(f"{show(path)} is no folder")
        if found.version is None:
            return list(self._folder_of_datasets(found.path))
        version = found.version
        assert found.digest is not None
        prefix = found.path + b"/"
        digest = found.digest.raw
        tree = self._contents.work(version, lambda content: content.trees.tree(digest))
        return [_found(version, prefix + entry.name, entry) for entry in entries(tree)]

    def _walk(self, path: bytes) -> tuple[FoundEntry, list[bytes]]:
        """The entry at ``path``, or the symlink, or file, at which it ends before that, and the names behind."""
        versions = self.versions()
        version = next((version for name, version in versions.items() if is_inside(path, name)), None)
        if version is None:
            if path and not any(is_inside(name, path) for name in versions):
                raise self._no_such(path)
            inner = [row for row in versions.values() if is_inside(row.path, path)]
            size, files = sum(row.size for row in inner), sum(row.files for row in inner)
            return FoundEntry(path, "folder", size, files), []
        inner_path = path[len(version.path) + 1 :]
        names = inner_path.split(b"/") if inner_path else []
        return self._contents.work(version, lambda content: self._descend(content, names))

    def _descend(self, content: Content, names: list[bytes]) -> tuple[FoundEntry, list[bytes]]:
        version = content.version
        at = version.path
        kind = KIND_NAMES.index(version.kind)
        entry = Entry(at, kind, version.size, version.files, version.digest.raw)
        for number, name in enumerate(names):
            if entry.kind != FOLDER:
                return _found(version, at, entry), names[number:]
            tree = content.trees.checked(entry)
            position = tree.find(name)
            at += b"/" + name
            if position is None:
                raise self._no_such(at)
            entry = tree.entry(position)
        return _found(version, at, entry), []

    def _target(self, link: FoundEntry, rest: list[bytes]) -> bytes:
        """Where a path leads that goes on behind a symlink: in the dataset, or nowhere."""
        assert link.version is not None
        target = self.read(link) if link.size <= _LONGEST_TARGET else b"/"
        folder = link.path.rpartition(b"/")[0]
        joined = os.path.normpath(b"/".join([folder, target, *rest])) if not target.startswith(b"/") else b"/"
        if not is_inside(joined, link.version.path) or link.path == link.version.path:
            raise NotFoundError(
                f"{show(link.path)} is a symlink that leads out of the dataset, to {show(target)}",
                "check the dataset out to follow it",
            )
        return joined

    def _folder_of_datasets(self, path: bytes) -> Iterator[FoundEntry]:
        prefix = path + b"/" if path else b""
        names = {
            name[len(prefix) :].partition(b"/")[0] for name in self.versions() if name.startswith(prefix)
        }
        for name in sorted(names):
            yield self.find(prefix + name, follow=False)

    def _no_such(self, path: bytes) -> NotFoundError:
        where = f" at {self.rev}" if self.rev is not None else ""
        return NotFoundError(f"{show(path)} is in no dataset{where}", "datavc ls")

    # Bytes

    def read(self, entry: FoundEntry, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes ``start`` to ``stop`` of a file, as far as it has them; only the chunks that they lie in are read.

        Raises:
            UsageError: it is a folder. ObjectNotFound: neither the cache nor a remote has its bytes.
            DigestMismatch, MalformedError: what they have is not it. StorageError: a remote failed.
        """
        next_ones = self._next_ones(entry) if start == 0 and (stop is None or stop >= entry.size) else []
        return self.read_many([(entry, start, stop), *((row, 0, None) for row in next_ones)])[0]

    def _next_ones(self, entry: FoundEntry) -> list[FoundEntry]:
        """The files behind a small one which is far away, as many as were read in their order so far: they come with it."""
        version = entry.version
        if version is None or entry.size > SMALL_BYTES or entry.path == version.path:
            return []
        folder, _, name = entry.path.rpartition(b"/")

        def look(content: Content) -> list[FoundEntry]:
            tree = content.trees.folder(folder, version.path)
            position = tree.find(name) if tree is not None else None
            if tree is None or position is None:
                return []
            last_folder, last, run = self._last_read
            is_next = position == last + 1 if folder == last_folder else not position
            run = run + 1 if is_next else 0
            self._last_read = folder, position, run
            if not run or entry.digest is None or content.is_here(entry.digest.raw):
                return []
            found, size = [], 0
            for number in range(position + 1, min(position + 1 + run, len(tree.names))):
                row = tree.entry(number)
                size += row.size
                if row.kind == FOLDER or row.size > SMALL_BYTES or size > _LONGEST_AHEAD:
                    break
                found.append(_found(version, folder + b"/" + row.name, row))
            return found

        return self._contents.work(version, look)

    def read_many(self, wanted: Sequence[tuple[FoundEntry, int, int | None]]) -> list[bytes]:
        """As :meth:`read`, of many files and ranges, which come together in few requests."""
        by_version: dict[Digest, list[int]] = {}
        parts: list[Part] = []
        for number, (entry, start, stop) in enumerate(wanted):
            if entry.is_folder or entry.version is None or entry.digest is None:
                raise UsageError(f"{show(entry.path)} is a folder")
            stop = entry.size if stop is None else min(stop, entry.size)
            parts.append(Part(entry.digest.raw, entry.size, min(start, stop), stop))
            by_version.setdefault(entry.version.digest, []).append(number)
        found = [b""] * len(wanted)
        for numbers in by_version.values():
            version = wanted[numbers[0]][0].version
            assert version is not None
            some = [number for number in numbers if parts[number].start < parts[number].stop]
            chosen = [parts[number] for number in some]
            contents = self._contents.work(version, partial(Content.read, parts=chosen)) if some else []
            for number, content in zip(some, contents, strict=True):
                found[number] = content
        return found

    def open(self, entry: FoundEntry) -> DatasetReader:
        """A file to read and seek in. Raises UsageError where it is a folder."""
        return DatasetReader(self, entry)

    def warm(self, path: bytes) -> None:
        """Read all trees of the datasets below ``path``, level by level, before they are asked for one by one."""
        for version in list(self.versions().values()):
            if version.kind == "folder" and (is_inside(version.path, path) or is_inside(path, version.path)):
                inner = path[len(version.path) + 1 :] if is_inside(path, version.path) else b""
                self._contents.work(version, partial(Content.read_trees, path=inner))


class RangedFile(io.RawIOBase):
    """A file of a snapshot. What is read in order is read ahead, more and more of it; what is read here and there is not."""

    mode = "rb"

    def __init__(self, snapshot: Snapshot, entry: FoundEntry) -> None:
        if entry.is_folder:
            raise UsageError(f"{show(entry.path)} is a folder")
        self._snapshot = snapshot
        self._entry = entry
        self._at = 0
        self._all: bytes | None = None
        # What was read ahead, behind which the next read would be one in order; and where that order began.
        self._ahead = b""
        self._ahead_at = 0
        self._run_from = 0

    @property
    def name(self) -> str:
        """Its path."""
        return os.fsdecode(self._entry.path)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._entry.size}.get(whence)
        if base is None:
            raise ValueError(f"invalid whence: {whence}")
        if base + offset < 0:
            raise ValueError(f"negative seek position {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, into: object) -> int:
        """As every raw file does. Raises as :meth:`Snapshot.read`."""
        view = memoryview(into).cast("B")  # type: ignore[arg-type]
        content = self.read_range(self._at, len(view))
        self._at += len(content)
        view[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        """All that follows, together."""
        content = self.read_range(self._at, self._entry.size)
        self._at += len(content)
        return content

    def read_range(self, start: int, length: int) -> bytes:
        """``length`` bytes from ``start`` on, as far as there are; the position stays. Raises as :meth:`Snapshot.read`."""
        stop = min(start + length, self._entry.size)
        if start >= stop:
            return b""
        if self._entry.size <= SMALL_BYTES:
            # One piece: a part of it would come as a whole, too.
            self._all = self._all if self._all is not None else self._snapshot.read(self._entry)
            return self._all[start:stop]
        offset = start - self._ahead_at
        here = self._ahead[offset : offset + stop - start] if 0 <= offset < len(self._ahead) else b""
        if len(here) == stop - start:
            return here
        start += len(here)
        if start != self._ahead_at + len(self._ahead):
            self._run_from = start
        ahead = min(start - self._run_from, _LONGEST_AHEAD)
        content = self._snapshot.read(self._entry, start, stop + ahead)
        self._ahead, self._ahead_at = content[stop - start :], stop
        return here + content[: stop - start]


class DatasetReader(io.BufferedReader):
    """A file of a snapshot, buffered: small reads are, and long ones ask for just what they are."""

    raw: RangedFile

    def __init__(self, snapshot: Snapshot, entry: FoundEntry) -> None:
        super().__init__(RangedFile(snapshot, entry), _BUFFER_BYTES)

    def read(self, size: int | None = -1) -> bytes:
        """As of every file. A buffer's own way, whole buffers and then another one, reads on where nobody wants to."""
        if size is None or size <= _BUFFER_BYTES:
            return super().read(size)
        start = self.tell()
        content = self.raw.read_range(start, size)
        self.seek(start + len(content))
        return content


def _versions(repo: Repo, rev: str | None) -> list[Version]:
    """Every dataset of a revision, or of the workspace's pointers, by path."""
    if rev is None:
        return chosen_versions(repo, [], WORKSPACE)
    revision = resolve_revision(repo, rev)
    return [
        Version.of_pointer(found.path, found.pointer, revision.commit)
        for found in sorted(revision.datasets, key=lambda dataset: dataset.path)
    ]


def _found(version: Version, path: bytes, entry: Entry) -> FoundEntry:
    digest = Digest(version.digest.algorithm, entry.digest)
    return FoundEntry(path, KIND_NAMES[entry.kind], entry.size, entry.count, digest, version)
