"""datavc from Python: a repository, what is in its datasets at any revision, and the verbs of the command line.

Nothing here prints; what went wrong is raised, as one of :mod:`datavc.errors`. Paths are relative to the folder that a
:class:`Repo` was opened in, and may be ``str``, ``bytes`` or ``os.PathLike``; results have them as ``bytes``, relative to
the repository's root, because a file's name is bytes: ``os.fsdecode`` makes text of them.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TextIO, overload

from datavc.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from datavc.api.running import Run
    from datavc.operations.add import AddResult
    from datavc.operations.checkout import CheckoutResult
    from datavc.operations.diff import DatasetDiff
    from datavc.operations.fetch import FetchResult
    from datavc.operations.log import LogResult
    from datavc.operations.ls import ListedEntry
    from datavc.operations.pull import PullResult
    from datavc.operations.push import PushResult
    from datavc.operations.reading import FoundEntry, Snapshot
    from datavc.operations.status import DatasetStatus
    from datavc.repo import Repo as _Repo

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
if TYPE_CHECKING:
    Paths = AnyPath | Iterable[AnyPath]


class Repo:
    """The repository at or above ``folder``; paths are relative to ``folder``.

    It holds no state of the workspace: each call sees what is there by then. Reading keeps connections and what was read
    for the next call. It can be pickled, and used in several threads and after a fork.

    Raises:
        RepoNotFound: there is none, or datavc was never set up in it.
    """

    def __init__(self, folder: AnyPath = ".") -> None:
        self._folder = Path(os.path.realpath(os.fsdecode(folder)))
        self._snapshot: Snapshot | None = None
        self._owner = os.getpid()
        self.root: Path = self._open().root
        """The folder at the top of the repository."""

    def __reduce__(self) -> tuple[Callable[..., Repo], tuple[str]]:
        return Repo, (str(self._folder),)

    def __repr__(self) -> str:
        return f"datavc.Repo({str(self._folder)!r})"

    # What is in datasets

    @overload
    def open(
        self,
        path: AnyPath,
        mode: Literal["r", "rt"] = "r",
        *,
        rev: str | None = None,
        encoding: str = "utf-8",
    ) -> TextIO: ...

    @overload
    def open(self, path: AnyPath, mode: Literal["rb"], *, rev: str | None = None) -> BinaryIO: ...

    def open(
        self, path: AnyPath, mode: str = "r", *, rev: str | None = None, encoding: str = "utf-8"
    ) -> TextIO | BinaryIO:
        """Open a file of a dataset to read, and to seek in: as the pointer says, or as it was at the revision ``rev``.

        It need not be in the workspace: what the cache lacks is read from a remote, the chunks that are asked for alone,
        each verified. ``rev`` is what git takes, ``PATH@NAME``, or a digest.

        Raises:
            NotFoundError: there is no such file. UsageError: it is a folder, or there is no such revision.
            ObjectNotFound: neither the cache nor a remote has its bytes. IntegrityError: what they have is not it.
            StorageError: a remote, or the disk, failed. While reading, too.
        """
        if mode not in ("r", "rt", "rb"):
            raise UsageError(f"{mode!r} is no mode to read in", "write a file as ever, then call add")
        snapshot, entry = self._find(path, rev)
        file = snapshot.open(entry)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding)

    def read(self, path: AnyPath, *, rev: str | None = None) -> bytes:
        """All bytes of a file of a dataset. Raises as :meth:`open`."""
        snapshot, entry = self._find(path, rev)
        return snapshot.read(entry)

    def path(self, path: AnyPath, *, rev: str | None = None, to: AnyPath | None = None) -> Path:
        """Where a dataset, or a part of one, is on this machine, for what can only read files: what is not there is pulled.

        As it was at ``rev`` it is written into the folder ``to``, and the workspace stays as it is; the path returned lies in
        that folder. What is there as it should be is not written again.

        Raises:
            ConflictError: what is there has changes that no pointer has. UsageError: ``rev`` names nothing, or has no ``to``.
            Otherwise as :meth:`pull`.
        """
        if rev is None and to is None:
            self.pull(path)
            return Path(os.fsdecode(self._absolute(path)))
        if to is None:
            raise UsageError(f"{rev} needs a folder to be written to", "say to=FOLDER, or read it with open")
        repo, absolute = self._open(), self._absolute(path)
        folder = Path(os.fsdecode(self._absolute(to)))
        from datavc.operations.checkout import checkout

        checkout(repo, [absolute], revision=rev or "HEAD", to=folder)
        return folder / os.fsdecode(repo.relative(absolute))

    def ls(
        self, path: AnyPath | None = None, *, rev: str | None = None, recursive: bool = False
    ) -> list[ListedEntry]:
        """The datasets, or what is in a folder of one: as the pointers say, or as they were at the revision ``rev``.

        Raises:
            NotFoundError: nothing has that path. UsageError: there is no such revision.
            ObjectNotFound: neither the cache nor a remote has its trees.
        """
        from datavc.operations.ls import ls
        from datavc.operations.steps.naming.revisions import resolve_revision

        repo = self._open()
        among = None if rev is None else resolve_revision(repo, rev).datasets
        return ls(repo, None if path is None else self._absolute(path), among=among, recursive=recursive)

    # Verbs

    def status(self, *paths: AnyPath, jobs: int = 1) -> list[DatasetStatus]:
        """What state each dataset is in: those that ``paths`` name, hold or lie in, or all of them.

        Raises:
            NotFoundError: a path has nothing to do with any dataset. MalformedError: a pointer cannot be read.
        """
        from datavc.operations.status import status

        return status(self._open(), self._absolutes(paths), jobs=jobs)

    def add(
        self,
        *paths: AnyPath,
        update: bool = False,
        force: bool = False,
        stage: bool = False,
        dry_run: bool = False,
        jobs: int = 1,
    ) -> AddResult:
        """Put files or folders into the cache and write their pointers, which are what goes into git.

        ``update`` adds every modified dataset, ``force`` records over a pointer that moved, ``stage`` runs ``git add``, too.
        More ``jobs`` than one start processes; a script then needs its ``if __name__ == "__main__":``.

        Raises:
            NotFoundError: a path is not there. UsageError: it cannot be a dataset.
            ConflictError: the pointer moved. OutOfSpace, StorageError: the cache could not be written.
        """
        from datavc.operations.add import add

        return add(
            self._open(),
            self._absolutes(paths),
            update_all=update,
            force=force,
            stage=stage,
            dry_run=dry_run,
            jobs=jobs,
        )

    def checkout(
        self,
        *paths: AnyPath,
        rev: str | None = None,
        before: str | None = None,
        to: AnyPath | None = None,
        remote: str | None = None,
        force: bool = False,
        allow_purged: bool = False,
        dry_run: bool = False,
        jobs: int = 1,
    ) -> CheckoutResult:
        """Make the workspace what the pointers say: the datasets, or parts of them, that ``paths`` name, or all.

        ``rev``, or the last commit ``before`` a date, comes with pointers, ignore lines, and data, fetched if need be. ``to``
        is another folder. ``force`` overwrites unsaved changes, after storing them; ``allow_purged`` leaves purged files out.

        Raises:
            ConflictError: unsaved changes would be lost. NotFoundError: there is no such dataset. UsageError: or revision.
            ObjectNotFound: objects are missing (PurgedError: for good). DigestMismatch: or damaged. OutOfSpace: do not fit.
        """
        from datavc.operations.checkout import checkout

        return checkout(
            self._open(),
            self._absolutes(paths),
            revision=rev,
            before=before,
            to=Path(os.fsdecode(self._absolute(to))) if to is not None else None,
            remote=remote,
            force=force,
            allow_purged=allow_purged,
            dry_run=dry_run,
            jobs=jobs,
        )

    def run(
        self,
        name: str | None = None,
        *,
        inputs: Paths = (),
        outputs: Paths = (),
        keep: Paths = (),
        metrics: Paths = (),
        params: str | Iterable[str] = (),
        seed: int | None = None,
        image: str | None = None,
        trace: bool = True,
        jobs: int = 1,
    ) -> Run:
        """Record a part of this program, as ``datavc run`` records a command: ``with datavc.run(...) as run:``.

        Or each call of a function, with its arguments: ``@datavc.run(...)`` before it. ``outputs`` become datasets; previous
        ones are put aside until the block ends well, but for those in ``keep``. ``metrics`` are files that stay in git,
        ``params`` ``FILE`` or ``FILE:KEY``; ``run.metrics`` and ``run.params`` take values. ``seed`` seeds random, numpy and
        torch. Without ``trace`` nobody watches what is opened. An exception is recorded, and raised again.

        Raises:
            NotFoundError: there is no such input or parameter, or the block ended well and did not make an output.
            UsageError: an output cannot become a dataset; a run is being recorded in another thread.
            ConflictError: an output changed while it was recorded; a killed run left something that must be judged.
            StorageError, OutOfSpace: the cache could not be written; what the block made is in its place.
        """
        from datavc.api.running import Run

        options = {"inputs": inputs, "outputs": outputs, "keep": keep, "metrics": metrics, "params": params}
        return Run(self, name, {**options, "seed": seed, "image": image, "trace": trace, "jobs": jobs})

    def push(
        self,
        *paths: AnyPath,
        remote: str | None = None,
        rev: str | None = None,
        check: bool = False,
        dry_run: bool = False,
    ) -> PushResult:
        """Make a remote have all of the datasets, as the pointers say, or as they were at ``rev``.

        ``check`` asks the remote for every pack. What could not be sent is in the result, as ``failed``.

        Raises:
            UsageError: there is no such remote, or its address, which came with the repository, awaits the user's word.
            ObjectNotFound, DigestMismatch: the cache lacks something, or has it damaged. StorageError: the remote failed.
        """
        from datavc.operations.push import push

        return push(
            self._open(),
            self._absolutes(paths),
            remote=remote,
            revisions=_revisions(rev),
            check=check,
            dry_run=dry_run,
        )

    def fetch(
        self,
        *paths: AnyPath,
        remote: str | None = None,
        rev: str | None = None,
        trees_only: bool = False,
        dry_run: bool = False,
    ) -> FetchResult:
        """Get datasets into the cache, as the pointers say, or as they were at ``rev``; the workspace stays as it is.

        ``trees_only`` leaves files away. What could not be fetched is in the result, as ``failed``.

        Raises:
            NotFoundError, UsageError: there is no such dataset, revision or remote. ObjectNotFound: no remote has it.
            DigestMismatch: or only damaged. StorageError, OutOfSpace: a remote or the cache failed.
        """
        from datavc.operations.fetch import fetch

        return fetch(
            self._open(),
            self._absolutes(paths),
            remote=remote,
            revisions=_revisions(rev),
            trees_only=trees_only,
            dry_run=dry_run,
        )

    def pull(
        self,
        *paths: AnyPath,
        remote: str | None = None,
        force: bool = False,
        dry_run: bool = False,
        jobs: int = 1,
    ) -> PullResult:
        """Fetch, and check out: :meth:`fetch` and :meth:`checkout` in one. Raises as they do."""
        from datavc.operations.pull import pull

        return pull(
            self._open(), self._absolutes(paths), remote=remote, force=force, dry_run=dry_run, jobs=jobs
        )

    def diff(
        self, *paths: AnyPath, old: str | None = None, new: str | None = None, jobs: int = 1
    ) -> list[DatasetDiff]:
        """Which files differ from what the pointers, or the revision ``old``, say: those of the workspace, or of ``new``.

        Raises:
            NotFoundError: a path has nothing to do with any dataset. UsageError: there is no such revision.
            ObjectNotFound: a tree cannot be had.
        """
        from datavc.operations.diff import diff

        return diff(self._open(), self._absolutes(paths), old=old, new=new, jobs=jobs)

    def log(
        self,
        path: AnyPath | None = None,
        *,
        rev: str | None = None,
        limit: int | None = None,
        stat: bool = False,
    ) -> LogResult:
        """The versions of a dataset across git's history, the newest first; or those of all datasets, at most ``limit``.

        From HEAD, or ``rev``, back. One dataset is followed to where it was before. ``stat`` counts the files that were
        added, changed, removed and renamed, which reads trees.

        Raises:
            UsageError: there is no git, or no such revision. NotFoundError: no dataset was ever there.
            ObjectNotFound: with ``stat``, a tree cannot be had.
        """
        from datavc.operations.log import log

        absolute = None if path is None else self._absolute(path)
        return log(self._open(), absolute, revision=rev, limit=limit, stat=stat)

    # How it is done

    def _open(self) -> _Repo:
        """Looked up anew by each call: another process may have changed the configuration or the pointers."""
        from datavc.repo import Repo

        return Repo.find(self._folder)

    def _find(self, path: AnyPath, rev: str | None) -> tuple[Snapshot, FoundEntry]:
        from datavc.operations.reading import Snapshot

        if self._snapshot is None or self._owner != os.getpid():
            self._snapshot, self._owner = Snapshot(self._open()), os.getpid()
        snapshot = self._snapshot.at(rev)
        return snapshot, snapshot.find(snapshot.repo.relative(self._absolute(path)))

    def _absolute(self, path: AnyPath) -> bytes:
        """The folders above are real ones, the path itself may be a symlink: as the command line takes what is typed."""
        name = os.fsencode(path)
        if not name:
            raise UsageError("an empty string is not a path", "for the whole folder, say .")
        folder, last = os.path.split(os.path.join(os.fsencode(self._folder), name))
        if last in (b"", b".", b".."):
            return os.path.realpath(os.path.join(folder, last))
        return os.path.join(os.path.realpath(folder), last)

    def _absolutes(self, paths: tuple[AnyPath, ...]) -> list[bytes]:
        return [self._absolute(path) for path in paths]


def _revisions(rev: str | None) -> Any:
    from datavc.operations.steps.naming.chosen import WORKSPACE, Revisions

    return WORKSPACE if rev is None else Revisions((rev,))


_here: dict[tuple[str, int], Repo] = {}
_MOST_HERE = 8


def here() -> Repo:
    """The repository at or above the working folder of the moment, which the functions of :mod:`datavc` work on."""
    key = os.getcwd(), os.getpid()
    repo = _here.get(key)
    if repo is None:
        if len(_here) >= _MOST_HERE:
            _here.clear()
        repo = _here[key] = Repo()
    return repo
