"""``log``: the versions of datasets across git's history, from one ``git log`` and the pointers alone; moves are followed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from datavc.errors import DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer
from datavc.formats.times import utc_text
from datavc.formats.tree import KIND_NAMES, Entry
from datavc.git.pointerlog import LoggedCommit, PointerChange, changed_pointers, pointer_log, read_blobs
from datavc.operations.steps.comparing.treediff import Numbers, count_changes
from datavc.operations.steps.examining.examine import base_trees
from datavc.operations.steps.naming.revisions import read_past_pointer, resolve_commit
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """One version of a dataset: what the pointer at ``path`` became in a ``commit``.

    ``status`` is ``added``, ``changed``, ``moved`` (from ``old_path``) or ``removed``. ``size_change`` and
    ``files_change`` are against the version before, ``numbers`` too, where they were asked for. ``run`` says how it was
    made. What cannot be read has no digest, and ``problem`` says why.
    """

    path: bytes
    status: str
    commit: str
    date: str
    author: str
    email: str
    message: str
    digest: Digest | None = None
    kind: str | None = None
    size: int = 0
    files: int = 0
    size_change: int = 0
    files_change: int = 0
    old_path: bytes | None = None
    run: dict[str, str] | None = None
    numbers: Numbers | None = None
    problem: str | None = None


@dataclass(slots=True)
class LogResult:
    """The versions, the newest first; ``shallow`` where history goes on beyond what this clone has."""

    versions: list[LoggedVersion] = field(default_factory=list)
    shallow: bool = False


# A commit, what it did to one pointer, and the path from which it moved it.
_Event = tuple[LoggedCommit, PointerChange, bytes | None]


def log(
    repo: Repo,
    path: bytes | None = None,
    *,
    revision: str | None = None,
    limit: int | None = None,
    stat: bool = False,
    offline: bool = False,
    progress: Progress = SILENT,
) -> LogResult:
    """The versions of the dataset at the absolute ``path``, of those in that folder, or of all; at most ``limit``.

    From HEAD, or a ``revision``, back. One dataset is followed to where it was before. Of a path inside a dataset, the
    versions that changed it are found in the trees. ``stat`` counts files that were
    added, changed, removed and renamed, which reads trees (and fetches them, unless ``offline``).

    Raises:
        UsageError: there is no git, no such revision. NotFoundError: no dataset was ever there.
        ObjectNotFound: with ``stat``, or for a path inside a dataset, a tree is missing.
    """
    if repo.git is None:
        raise UsageError("there is no history without git")
    from datavc.git.revisions import is_shallow

    start = resolve_commit(repo, revision)[0] if revision is not None else "HEAD"
    wanted = repo.relative(path).removesuffix(POINTER_SUFFIX) if path is not None else b""
    reader = _Reader(repo)
    events = _events(reader, start, wanted, limit)
    if not events and wanted:
        with looking_afar(repo, offline=offline, progress=progress):
            inner = _versions_inside(reader, start, wanted)
        if inner:
            return LogResult(inner[:limit], is_shallow(repo.git))
        raise NotFoundError(
            f"{show(wanted)} was no dataset in any commit of {revision or 'HEAD'}", "datavc log"
        )
    versions = [reader.version(*event) for event in events[:limit]]
    if stat:
        with looking_afar(repo, offline=offline, progress=progress):
            versions = [
                replace(found, numbers=reader.numbers(*event))
                for found, event in zip(versions, events, strict=False)
            ]
    return LogResult(versions, is_shallow(repo.git))


def _events(reader: _Reader, start: str, wanted: bytes, limit: int | None) -> list[_Event]:
    if wanted:
        found = _follow(reader, start, wanted, limit)
        if found:
            return found
    logged = list(pointer_log(reader.git, [start], limit=None if wanted else limit))
    reader.load(change for _, changes in logged for change in changes)
    return [
        event
        for commit, changes in logged
        for event in reader.with_moves(commit, changes)
        if is_inside(event[1].path, wanted) or (event[2] is not None and is_inside(event[2], wanted))
    ]


def _versions_inside(reader: _Reader, start: str, wanted: bytes) -> list[LoggedVersion]:
    """The versions of something in a dataset: those in which it is not what it was before."""
    dataset, events = wanted, list[_Event]()
    while not events and b"/" in dataset:
        dataset = dataset.rpartition(b"/")[0]
        events = _follow(reader, start, dataset, None)
    inner = wanted[len(dataset) + 1 :]
    found: list[LoggedVersion] = []
    before: Entry | None = None
    for event in reversed(events):
        version = reader.version(*event)
        entry = reader.entry(version, inner)
        if (entry and (entry.kind, entry.digest)) != (before and (before.kind, before.digest)):
            found.append(reader.version_inside(version, inner, entry, before))
        before = entry
    return found[::-1]


def _follow(reader: _Reader, start: str, wanted: bytes, limit: int | None) -> list[_Event]:
    """One dataset's events; where it came to be by a move, those of the dataset that it was go on from there."""
    events: list[_Event] = []
    pending: list[tuple[list[str], bytes]] = [([start], wanted)]
    while pending and (limit is None or len(events) < limit):
        places, path = pending.pop()
        found = _events_at(reader, places, path, limit)
        moved = next((number for number, (_, _, origin) in enumerate(found) if origin is not None), None)
        if moved is not None and moved + 1 < len(found):
            # What had this path in the ancestors of that commit is another dataset.
            ancestors = [f"^{parent}" for parent in found[moved][0].parents]
            found = _events_at(reader, [*places, *ancestors], path, limit)
        events += found
        pending += [(list(commit.parents), origin) for commit, _, origin in found if origin is not None]
    return events


def _events_at(reader: _Reader, places: list[str], path: bytes, limit: int | None) -> list[_Event]:
    """What commits did to the pointer of one path, and from where they moved it."""
    logged = [
        (commit, change)
        for commit, changes in pointer_log(reader.git, places, path + POINTER_SUFFIX, limit=limit)
        for change in changes
    ]
    there = changed_pointers(reader.git, [commit.id for commit, change in logged if change.old is None])
    reader.load(change for _, change in logged)
    reader.load(change for changes in there.values() for change in changes)
    events: list[_Event] = []
    for commit, change in logged:
        moves = {at.path: old for _, at, old in reader.with_moves(commit, there.get(commit.id, [change]))}
        events.append((commit, change, moves.get(change.path)))
    return events


class _Reader:
    """Pointers of the past, each read once."""

    def __init__(self, repo: Repo) -> None:
        assert repo.git is not None
        self.git = repo.git
        self._repo = repo
        self._contents: dict[str, bytes] = {}
        self._pointers: dict[str, Pointer | str] = {}

    def with_moves(self, commit: LoggedCommit, changes: list[PointerChange]) -> Iterator[_Event]:
        """The changes of one commit, a pointer that came and one of the same digest that went made into one."""
        came = [change for change in changes if change.old is None]
        gone = [change for change in changes if change.blob is None]
        origins: dict[bytes, bytes] = {}
        taken: set[bytes] = set()
        for change in came if gone else ():
            for other in gone:
                if other.path not in taken and self._is_same(change, other):
                    origins[change.path] = other.path.removesuffix(POINTER_SUFFIX)
                    taken.add(other.path)
                    break
        for change in changes:
            if change.path not in taken:
                yield commit, change, origins.get(change.path)

    def load(self, changes: Iterable[PointerChange]) -> None:
        """Read all pointers that are before or after one of the changes at once."""
        names = {blob for change in changes for blob in (change.blob, change.old) if blob is not None}
        self._contents.update(read_blobs(self.git, names - self._contents.keys()))

    def version(self, commit: LoggedCommit, change: PointerChange, origin: bytes | None) -> LoggedVersion:
        """What an event made of a dataset."""
        new, old = self._pointer(change, change.blob), self._pointer(change, change.old)
        if origin is not None:
            old = new
        known, before = (found if isinstance(found, Pointer) else None for found in (new, old))
        status = "moved" if origin is not None else "added" if change.old is None else "changed"
        return LoggedVersion(
            change.path.removesuffix(POINTER_SUFFIX),
            "removed" if change.blob is None else status,
            commit.id,
            utc_text(commit.when),
            commit.author,
            commit.email,
            commit.subject,
            known.digest if known else None,
            known.kind if known else None,
            known.size if known else 0,
            known.files if known else 0,
            (known.size if known else 0) - (before.size if before else 0),
            (known.files if known else 0) - (before.files if before else 0),
            origin,
            {key: str(value) for key, value in known.run.items()} if known and known.run else None,
            problem=new if isinstance(new, str) else None,
        )

    def entry(self, version: LoggedVersion, inner: bytes) -> Entry | None:
        """What is at a path inside a version. Raises ObjectNotFound, IntegrityError."""
        if version.digest is None or version.kind is None:
            return None
        trees = base_trees(self._repo, (version.digest, version.kind))
        return trees.entry_at(inner, inner.rpartition(b"/")[2])

    def version_inside(
        self, version: LoggedVersion, inner: bytes, entry: Entry | None, before: Entry | None
    ) -> LoggedVersion:
        """What a version of a dataset made of something in it."""
        status = "removed" if entry is None else "added" if before is None else "changed"
        return replace(
            version,
            path=version.path + b"/" + inner,
            status=status,
            old_path=None,
            digest=Digest(self._repo.algorithm, entry.digest) if entry else None,
            kind=KIND_NAMES[entry.kind] if entry else None,
            size=entry.size if entry else 0,
            files=entry.count if entry else 0,
            size_change=(entry.size if entry else 0) - (before.size if before else 0),
            files_change=(entry.count if entry else 0) - (before.count if before else 0),
        )

    def numbers(self, commit: LoggedCommit, change: PointerChange, origin: bytes | None) -> Numbers | None:
        """How many files an event changed; None where a pointer cannot be read. Raises as :func:`count_changes`."""
        new, old = self._pointer(change, change.blob), self._pointer(change, change.old)
        if isinstance(new, str) or isinstance(old, str):
            return None
        path = change.path.removesuffix(POINTER_SUFFIX)
        if origin is not None:
            old = new
        return count_changes(
            self._repo, Dataset(path, old) if old else None, Dataset(path, new) if new else None
        )

    def _is_same(self, came: PointerChange, gone: PointerChange) -> bool:
        """Whether the pointer that came is that of the version that went."""
        if came.blob == gone.old:
            return True
        new, old = self._pointer(came, came.blob), self._pointer(gone, gone.old)
        return isinstance(new, Pointer) and isinstance(old, Pointer) and new.digest == old.digest

    def _pointer(self, change: PointerChange, blob: str | None) -> Pointer | str | None:
        """The pointer that is that blob; where it cannot be read, why not."""
        if blob is None:
            return None
        found = self._pointers.get(blob)
        if found is None:
            content = self._contents.get(blob)
            if content is None:
                found = "git lacks the pointer"
            else:
                try:
                    found = read_past_pointer(self._repo, content, change.path, blob)
                except DatavcError as error:
                    found = error.message
            self._pointers[blob] = found
        return found
