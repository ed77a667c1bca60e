"""``fsck -r``: is on a remote what its roots say? By listings, pack indexes and the server's checksums, or by reading packs.
Changes nothing."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain

from datavc.backends.base import Backend, StoredFile, is_there
from datavc.errors import DatavcError, IntegrityError, MalformedError, StoredFileNotFound
from datavc.formats.amounts import count, human_size
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations.fsck import FsckResult
from datavc.operations.steps.health.reading import ReadNow, check_log, noted
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.transfers.remotenotes import suspect
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.operations.steps.trees.soundness import ABSENT, Soundness
from datavc.parallel import map_ahead
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import Cache
from datavc.store.check import Checked, check_file
from datavc.store.checklog import EVERYTHING, Rule
from datavc.store.index import ObjectIndex, list_indexes
from datavc.store.note import check_note
from datavc.store.reader import ObjectReader
from datavc.store.remote import RemoteStore
from datavc.store.roots import list_roots

# A server that keeps checksums keeps them of each file that was sent with one; others are not asked for every pack.
_TRIED = 3
_HEADS_AHEAD = 64


def fsck_remote(
    repo: Repo, remote: str, *, full: bool = False, rule: Rule = EVERYTHING, progress: Progress = SILENT
) -> FsckResult:
    """Compare what the remote lists with what its pack indexes and this repo's roots name, and its packs with the XXHASH128
    that the server keeps of them, where it does: a HEAD for each.

    ``full`` reads and hashes the packs that ``rule`` chooses, all by default, and walks every version to its files. What
    was read is remembered: an interrupted check goes on where it was. What is wrong with a version is told by path where its
    trees can be read.

    The next push of a dataset with which something is wrong checks what is there.

    Raises:
        UsageError: there is no such remote. StorageError: it cannot be listed, so nothing can be said.
    """
    store = open_remote(repo, remote)
    format_ = check_note(store.backend, create=False)
    threads = threads_for(DEFAULT_MEMORY)
    with transfer_threads(threads, [store]) as executor:
        check = _RemoteCheck(repo, store, executor, threads, progress)
        check.result.format = format_
        check.listings()
        if full:
            check.packs(rule)
        else:
            check.heads()
        check.versions(walk_all=full)
    for path, packs in check.suspects.items():
        suspect(repo, store.name, path, packs)
    return check.result


@dataclass(slots=True)
class _Afar:
    """The remote as a store to read from; trees that the cache has are taken from there."""

    backend: Backend
    algorithm: str
    index: ObjectIndex
    cache: Cache

    def has_blob(self, raw: bytes, size: int | None) -> bool:
        """Remotes have none."""
        return False

    def reader(self, digest: Digest | None = None) -> ObjectReader:
        """Reads trees."""
        return _NearFirst(self.backend, self.algorithm, self.index, self.cache.reader(digest))


class _NearFirst(ObjectReader):
    def __init__(self, backend: Backend, algorithm: str, index: ObjectIndex, near: ObjectReader) -> None:
        super().__init__(backend, algorithm, index.find)
        self._near = near

    def read(self, digest: bytes, *, limit: int) -> bytes:
        """Out of the cache, where it is there and sound."""
        try:
            return self._near.read(digest, limit=limit)
        except (DatavcError, OSError):
            return super().read(digest, limit=limit)


class _RemoteCheck:
    def __init__(
        self, repo: Repo, store: RemoteStore, executor: Executor, threads: int, progress: Progress
    ) -> None:
        self._repo = repo
        self._store = store
        self._executor = executor
        self._threads = threads
        self._progress = progress
        self._roots: list[tuple[str, Root | None]] = []
        self._indexes: dict[str, dict[bytes, int]] = {}
        self._packs: dict[bytes, StoredFile] = {}
        self._bad: dict[bytes, str] = {}
        self._bad_packs: set[bytes] = set()
        self.suspects: dict[bytes, set[bytes]] = {}
        """Of datasets with which something is wrong, the packs (raw names) at fault."""
        self.result = FsckResult()

    def listings(self) -> None:
        """What is there: every pack index is hashed, and what it names must be listed, with that length.

        Listed against the order in which things are written, so that all that is named is there already, also if others
        push meanwhile: roots, pack indexes, packs.
        """
        backend = self._store.backend
        self._roots = list(list_roots(backend, self._repo.config.repo_id))
        for name in sorted(list_indexes(backend)):
            try:
                self._indexes[name] = self._store.index([name], whole=True).packs()
            except StoredFileNotFound:
                continue
            except IntegrityError as error:
                self.result.add("pack index", layout.index_path(name), error.message)
        for file in backend.list(layout.PACKS):
            try:
                self._packs[layout.pack_of(file.name)] = file
            except MalformedError as error:
                self.result.add("pack", file.name, error.message)
        self.result.packs = len(self._packs)
        self.result.size = sum(file.size for file in self._packs.values())
        for packs in self._indexes.values():
            self._compare(packs)

    def _compare(self, named: dict[bytes, int]) -> None:
        """The packs that a pack index names with those that are listed."""
        for pack, size in named.items():
            file = self._packs.get(pack)
            if pack in self._bad_packs or (file is not None and file.size == size):
                continue
            if file is not None:
                wrong = f"has not the {size:,} bytes that it must have"
            elif self._is_needed(pack):
                wrong = "is missing"
            else:
                continue
            self._bad_packs.add(pack)
            self.result.add("pack", layout.pack_path(pack), wrong)

    def _is_needed(self, pack: bytes) -> bool:
        """Whether a pack index that is still there names a pack that is gone: gc deletes the index first."""
        return any(
            pack in packs and is_there(self._store.backend, layout.index_path(name))
            for name, packs in self._indexes.items()
        )

    def heads(self) -> None:
        """Compare the names of packs with the xxh128 that the server keeps of them, where it does: a request for each."""
        there = sorted(self._packs.keys() - self._bad_packs)
        size = sum(self._packs[pack].size for pack in there)
        tried = list(map(self._kept, there[:_TRIED]))
        if not any(kept for _, kept in tried):
            self.result.by_listing = len(there)
            if there:
                self._progress.note(
                    f"{self._store.describe()} keeps no XXHASH128 of its files, so that only names and lengths are compared; "
                    f"--full reads {human_size(size)} in {count(len(there), 'request')}"
                )
            return
        self._progress.note(
            f"{count(len(there), 'pack')}: as many requests (HEAD) for their checksums, and no byte is read"
        )
        self._progress.begin("comparing checksums", total_files=len(there))
        rest = map_ahead(self._kept, there[_TRIED:], self._executor, _HEADS_AHEAD)
        for pack, kept in chain(tried, rest):
            self._progress.advance(files=1)
            self.result.by_head += bool(kept)
            self.result.by_listing += kept is None
            if kept is not None and kept != pack and (kept or self._is_needed(pack)):
                self._bad_packs.add(pack)
                wrong = "is not what its name says" if kept else "is missing"
                self.result.add("pack", layout.pack_path(pack), wrong)
        self._progress.end()

    def _kept(self, pack: bytes) -> tuple[bytes, bytes | None]:
        """The checksum that the server keeps of a pack; empty where the pack is gone since it was listed."""
        try:
            return pack, self._store.backend.kept_xxh128(layout.pack_path(pack))
        except StoredFileNotFound:
            return pack, b""

    def packs(self, rule: Rule) -> None:
        """Read those packs that the rule chooses."""
        backend, result = self._store.backend, self.result
        log = check_log(self._repo, backend)
        there = [file for pack, file in self._packs.items() if pack not in self._bad_packs]
        chosen = log.choose(there, rule)
        result.read = ReadNow.of(chosen)
        size = result.read.size
        if chosen.since is not None:
            self._progress.note(f"going on with the check that began at {result.read.since}")
        self._progress.note(
            f"{count(len(chosen.now), 'pack')}, {human_size(size)}, are read in as many requests"
        )
        self._progress.begin("reading packs", total_bytes=size, total_files=len(chosen.now))
        try:
            answers = map_ahead(self._read, chosen.now, self._executor, self._threads)
            for checked in noted(answers, log, self._progress.advance):
                self._damaged(checked)
        finally:
            log.flush()
        log.finish(there)
        self._progress.end()

    def _damaged(self, checked: Checked) -> None:
        path = checked.file.name
        self.result.objects += checked.entries
        if not checked.message or (checked.is_gone and not self._is_needed(layout.pack_of(path))):
            return
        self.result.add("pack", path, checked.message)
        if not checked.entries:
            self._bad_packs.add(layout.pack_of(path))
        for digest in checked.damaged:
            self._bad[digest] = path
            self.result.add("object", str(Digest(checked.algorithm, digest)), f"is damaged in {path}")

    def _read(self, file: StoredFile) -> Checked:
        """Wrong bytes are read once more: it may have been the line."""
        backend = self._store.backend
        checked = check_file(backend, file)
        return check_file(backend, file) if checked.message and not checked.is_gone else checked

    def versions(self, *, walk_all: bool) -> None:
        """Every version of which this repo has a root there."""
        roots = []
        for name, root in self._roots:
            if root is None:
                self.result.add(
                    "root", name, "cannot be read, or is that of another version, so it proves nothing"
                )
            elif root.complete and root.digest.algorithm == self._repo.algorithm:
                roots.append(root)
        self._progress.begin("checking versions", total_files=len(roots))
        for root in roots:
            self.result.versions += 1
            self._progress.advance(files=1)
            self._version(root, walk=walk_all)
        self._progress.end()

    def _version(self, root: Root, *, walk: bool) -> None:
        lost = [name for name in root.indexes if name not in self._indexes]
        named = {pack for name in root.indexes for pack in self._indexes.get(name, ())}
        for name in lost:
            self.result.add("pack index", layout.index_path(name), "is missing or damaged", root.path)
            self.suspects.setdefault(root.path, set())
        is_hit = not named.isdisjoint(self._bad_packs) or bool(self._bad)
        if lost or root.kind == "record" or not (walk or is_hit):
            return
        index = self._store.index(root.indexes, whole=True)
        index.drop(self._bad_packs)
        afar = _Afar(self._store.backend, self._repo.algorithm, index, self._repo.cache)
        spoilt = self._bad_packs.union(map(layout.pack_of, self._bad.values()))
        judge = Soundness(afar, index, self._bad, self._bad_packs)
        for flaw in judge.flaws(root.digest, root.kind):
            message = f"is not on {self._store.name}" if flaw.message == ABSENT else flaw.message
            self.result.add("version", flaw.thing, message, root.path, flaw.path)
            self.suspects.setdefault(root.path, set()).update(named & spoilt)
        purged = {str(Digest(self._repo.algorithm, raw)) for raw in judge.purged}
        self.result.purged = sorted(purged.union(self.result.purged))
