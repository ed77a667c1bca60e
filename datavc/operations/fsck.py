"""``fsck``: read everything in the cache and say what is damaged, down to the datasets and paths. Changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from datavc.backends.base import is_there
from datavc.errors import DatavcError, DigestMismatch, MalformedError, ObjectNotFound, StoredFileNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.record import Record
from datavc.formats.root import Root
from datavc.operations.steps.health.named import Named, Places, Records, named_by_pointers
from datavc.operations.steps.health.reading import ReadNow, check_log, read_in_workers
from datavc.operations.steps.runs.recordstore import RECORD
from datavc.operations.steps.trees.soundness import ABSENT, Soundness
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.check import Checked, check_index
from datavc.store.checklog import EVERYTHING, Rule
from datavc.store.expired import expired_digests
from datavc.store.index import ObjectIndex, list_indexes
from datavc.store.note import STORE_FORMAT, check_note
from datavc.store.roots import list_roots


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong. ``object`` is a stored file or a digest; ``dataset`` and ``path`` say what it affects, if known.

    ``revisions`` are the commits that wrote the pointers through which it does, newest first.
    """

    kind: str
    object: str
    message: str
    dataset: bytes | None = None
    path: bytes | None = None
    revisions: tuple[str, ...] = ()


@dataclass(slots=True)
class FsckResult:
    """What was read of a store of that ``format``, and what was found wrong.

    ``packs``, ``objects`` and ``size`` are of what was ``read`` now.

    Of a remote, the server's own checksum was compared of ``by_head`` packs, and name and length alone of ``by_listing``.
    ``elsewhere`` are datasets of which this cache never promised to have all: the rest is on a remote.
    ``expired`` ones have a version here that was dropped on purpose. ``purged`` objects of versions are gone for good.
    """

    problems: list[Problem] = field(default_factory=list)
    packs: int = 0
    objects: int = 0
    size: int = 0
    versions: int = 0
    elsewhere: list[bytes] = field(default_factory=list)
    expired: list[bytes] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)
    read: ReadNow = field(default_factory=ReadNow)
    format: int = STORE_FORMAT
    by_head: int = 0
    by_listing: int = 0

    def add(
        self,
        kind: str,
        thing: str,
        message: str,
        dataset: bytes | None = None,
        path: bytes | None = None,
        revisions: Iterable[str] = (),
    ) -> None:
        """One more problem; ``path`` is inside the ``dataset``."""
        if path is not None and dataset is not None:
            path = dataset + b"/" + path if path else dataset
            message = f"{show(path)} {message}"
        self.problems.append(Problem(kind, thing, message, dataset, path, tuple(revisions)))


def fsck(repo: Repo, *, rule: Rule = EVERYTHING, jobs: int = 1, progress: Progress = SILENT) -> FsckResult:
    """Read every pack, pack index, root and blob of this clone's cache, and walk every version and record that roots name, or
    pointers in the workspace and in git's history.

    ``rule`` says which packs and blobs are read. What was read is remembered: an interrupted check goes on where it was.

    Raises:
        StorageError: the cache cannot be listed, so nothing can be said.
    """
    check = _Check(repo, progress)
    check.result.format = check_note(repo.cache.backend, create=False)
    check.files(rule, jobs)
    check.indexes()
    check.versions()
    return check.result


class _Check:
    def __init__(self, repo: Repo, progress: Progress) -> None:
        self._repo = repo
        self._cache = repo.cache
        self._progress = progress
        self.result = FsckResult()
        self._bad: dict[bytes, str] = {}
        self._bad_packs: set[bytes] = set()
        # The versions and records of which a root says that all is here.
        self._rooted: set[tuple[Digest, str]] = set()

    def files(self, rule: Rule, jobs: int) -> None:
        """Every byte of packs and whole blobs: their names, the packs' footers, each entry."""
        backend = self._cache.backend
        stored = [*backend.list(layout.PACKS), *backend.list(layout.BLOBS)]
        log = check_log(self._repo, backend)
        chosen = log.choose(stored, rule)
        result = self.result
        result.read = ReadNow.of(chosen)
        result.packs = sum(file.name.startswith(layout.PACKS) for file in chosen.now)
        result.size = result.read.size
        if chosen.since is not None:
            self._progress.note(f"going on with the check that began at {result.read.since}")
        found = []
        for checked in read_in_workers(backend, chosen.now, log, jobs=jobs, progress=self._progress):
            result.objects += checked.entries
            if checked.message and not checked.is_gone:
                found.append(checked)
        log.finish(stored)
        for checked in sorted(found):
            self._damaged(checked)

    def _damaged(self, checked: Checked) -> None:
        name = checked.file.name
        kind = "blob" if name.startswith(layout.BLOBS) else "pack"
        self.result.add(kind, name, checked.message)
        if kind == "pack" and not checked.entries:
            # Not even its footer can be read, so nothing in it can.
            with contextlib.suppress(MalformedError):
                self._bad_packs.add(layout.pack_of(name))
        for digest in checked.damaged:
            self._bad[digest] = name
            if kind == "pack":
                self.result.add("object", str(Digest(checked.algorithm, digest)), f"is damaged in {name}")

    def indexes(self) -> None:
        """Every pack index: its name, its rows, and that the packs that it names are there."""
        backend = self._cache.backend
        roots = [root for _, root in list_roots(backend) if root is not None]
        partial = {name for root in roots if not root.complete for name in root.indexes}
        partial -= {name for root in roots if root.complete for name in root.indexes}
        for name in sorted(list_indexes(backend)):
            # What gc deletes meanwhile is not missed.
            with contextlib.suppress(StoredFileNotFound):
                self._index(name, is_partial=name in partial)

    def _index(self, name: str, *, is_partial: bool) -> None:
        backend, path = self._cache.backend, layout.index_path(name)
        message = check_index(backend, path)
        if message:
            self.result.add("pack index", path, message)
        # Of a part of a version, or of one that is being evicted, nothing is missed here.
        if message or is_partial:
            return
        missing = ObjectIndex(backend, self._repo.algorithm, [name]).missing_packs()
        # gc deletes a pack index before its packs.
        for pack in missing if missing and is_there(backend, path) else ():
            self.result.add(
                "pack", layout.pack_path(pack), f"is missing, or of another length than {path} says"
            )

    def versions(self) -> None:
        """Every version that a root of this repo or a pointer names, in the workspace or at a revision: is all of it here?"""
        named = named_by_pointers(self._repo)
        self._pointers(named)
        versions = dict(named.versions)
        for root in self._roots():
            self._rooted.add((root.digest, root.kind))
            if root.kind != RECORD:
                versions.setdefault((root.digest, root.kind), {}).setdefault(root.path, [])
        index = ObjectIndex(self._cache.backend, self._repo.algorithm, self._readable_indexes(), may_go=True)
        self._judge = Soundness(self._cache, index, self._bad, self._bad_packs)
        reader = Records(self._repo)
        with_root = (digest for digest, kind in self._rooted if kind == RECORD)
        records = reader.reached(with_root, named.records)
        self._progress.begin("checking versions", total_files=len(versions) + len(records))
        expired = expired_digests(self._cache.backend, self._cache.repo_id)
        has_remotes = bool(self._repo.remotes())
        elsewhere: set[bytes] = set()
        gone: set[bytes] = set()
        for (digest, kind), places in versions.items():
            # Without a root nothing says that all of a version was ever here; where there is a remote, it need not be.
            is_promised = (digest, kind) in self._rooted or not (has_remotes or digest in expired)
            if self._version(digest, kind, places, is_promised=is_promised):
                if digest in expired:
                    gone |= places.keys()
                elif (digest, kind) in named.current:
                    elsewhere |= places.keys()
            self._amounts(digest, kind, named.said.get((digest, kind), {}))
        for digest, places in records.items():
            is_promised = (digest, RECORD) in self._rooted or not has_remotes
            self._record(digest, reader.get(digest), places, is_promised=is_promised)
        self._progress.end()
        self.result.purged = [str(Digest(self._repo.algorithm, raw)) for raw in sorted(self._judge.purged)]
        self.result.elsewhere, self.result.expired = sorted(elsewhere), sorted(gone)

    def _pointers(self, named: Named) -> None:
        """The pointers that cannot be read."""
        for wrong in named.wrong:
            where = f"{show(wrong.path)}.datavc" + (f" at {wrong.commit[:12]}" if wrong.commit else "")
            at = [wrong.commit] if wrong.commit else []
            self.result.add("pointer", where, wrong.message, wrong.path, revisions=at)

    def _roots(self) -> Iterator[Root]:
        """The roots of this repo that promise something."""
        for name, root in self._cache.roots():
            if root is None:
                self.result.add(
                    "root", name, "cannot be read, or is that of another version, so it proves nothing"
                )
            elif root.complete and root.digest.algorithm == self._repo.algorithm:
                yield root

    def _version(self, digest: Digest, kind: str, places: Places, *, is_promised: bool) -> bool:
        """Whether something of a version is not here that need not be."""
        self.result.versions += 1
        self._progress.advance(files=1)
        is_elsewhere = False
        for path, message, thing in self._judge.flaws(digest, kind):
            if message == ABSENT and not is_promised:
                is_elsewhere = True
                continue
            for dataset, commits in sorted(places.items()):
                self.result.add("version", thing, message, dataset, path, commits)
        return is_elsewhere

    def _amounts(self, digest: Digest, kind: str, said: dict[tuple[int, int], Places]) -> None:
        """What pointers say of a version's size, against what it has; nothing where it is not here."""
        for (size, files), places in said.items():
            found = self._judge.amounts(digest, kind, size)
            if found in (None, (size, files)):
                continue
            for dataset, commits in sorted(places.items()):
                message = (
                    f"the pointer of {show(dataset)} says {size} bytes in {files} files, which is not so"
                )
                self.result.add("pointer", f"{show(dataset)}.datavc", message, dataset, revisions=commits)

    def _record(
        self, digest: Digest, record: Record | DatavcError, places: Places, *, is_promised: bool
    ) -> None:
        """A record, and what it keeps beside it. The records that it names are judged by themselves."""
        self.result.versions += 1
        self._progress.advance(files=1)
        parts = [("", digest, "file")]
        if isinstance(record, Record):
            parts += [(f"its {name} ", kept.digest, kept.kind) for name, kept in record.objects.items()]
        elif not isinstance(record, ObjectNotFound | DigestMismatch):
            self._record_problem(str(digest), f"the record {digest.short}: {record.message}", places)
        for part, raw, kind in parts:
            for path, message, thing in self._judge.flaws(raw, kind):
                if message != ABSENT or is_promised:
                    inner = f"({show(path)}) " if path else ""
                    self._record_problem(thing, f"the record {digest.short}: {part}{inner}{message}", places)

    def _record_problem(self, thing: str, message: str, places: Places) -> None:
        if not places:
            self.result.add(RECORD, thing, message)
        for dataset, commits in sorted(places.items()):
            self.result.add(RECORD, thing, message, dataset, revisions=commits)

    def _readable_indexes(self) -> list[str]:
        damaged = {problem.object for problem in self.result.problems if problem.kind == "pack index"}
        names = self._cache.index_names()
        return [name for name in names if layout.index_path(name) not in damaged]
