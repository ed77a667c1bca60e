"""Where a fetch takes a version from: the remotes that have its root, one after the other, each asked only when needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from datavc.errors import DatavcError, IntegrityError, StorageError, StoredFileNotFound, UnsupportedFormat
from datavc.formats.digest import Digest
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store.index import Location, ObjectIndex
from datavc.store.receiving import is_within
from datavc.store.remote import RemoteStore

# A merged version's files are those of its parents, which history names among the first.
_NEIGHBOURS = 16


@dataclass(slots=True)
class Source:
    """A remote that says that it has a version, and the pack indexes that say where. ``suspects`` are packs at fault.

    ``claims_all`` where the version is the one that is looked for, ``is_short`` where it lacks some of it nevertheless.
    """

    store: RemoteStore
    index: ObjectIndex
    claims_all: bool = True
    is_short: bool = False
    suspects: set[bytes] = field(default_factory=set)
    has_failed: bool = False
    _purged: set[bytes] | None = None

    def purged(self) -> set[bytes]:
        """The objects that were purged from it. One request, once. Raises StorageError."""
        if self._purged is None:
            self._purged = self.store.purged()
        return self._purged

    def locate(self, digests: set[bytes]) -> dict[bytes, Location]:
        """Where it has those of the objects that it has. Raises StorageError, IntegrityError, StoredFileNotFound."""
        sizes = self.index.packs()
        found = self.index.find_many(digests)
        return {digest: row for digest, row in found.items() if is_within(row, sizes[row[0]])}

    @property
    def sizes(self) -> dict[bytes, int]:
        """The length of every pack."""
        return self.index.packs()


class Remotes:
    """The remotes of a repo, opened when they are needed: the one called ``name`` alone, or all, the default one first.

    What cannot be reached is said once, and left out from then on.
    """

    def __init__(self, repo: Repo, name: str | None, progress: Progress) -> None:
        self._repo = repo
        self._progress = progress
        self._names: list[str | None] = [name]
        if name is None:
            self._names = [remote.name for remote in repo.remotes()] or [None]
        self._opened: dict[str | None, RemoteStore | None] = {}
        self.stores: list[RemoteStore] = []
        self.failures: list[DatavcError] = []

    def __iter__(self) -> Iterator[RemoteStore]:
        for name in self._names:
            if name not in self._opened:
                self._opened[name] = self._open(name)
            store = self._opened[name]
            if store is not None:
                yield store

    def fail(self, store: RemoteStore, error: DatavcError) -> None:
        """Ask the remote no more. Raises ``error`` itself where it is the only one."""
        if len(self._names) == 1:
            raise error
        for name, opened in self._opened.items():
            if opened is store:
                self._opened[name] = None
        self._failed(error)

    def _open(self, name: str | None) -> RemoteStore | None:
        try:
            store = open_remote(self._repo, name)
        except DatavcError as error:
            if len(self._names) == 1:
                raise
            self._failed(error)
            return None
        self.stores.append(store)
        return store

    def _failed(self, error: DatavcError) -> None:
        self.failures.append(error)
        self._progress.note(f"warning: {error.message}; going on without that remote")


class Sources:
    """The sources of the version ``digest``, in the order in which they are asked.

    ``whole`` where most of a remote's rows for it will be needed. ``broken`` are remotes whose root for it cannot be used.
    Where no remote has the version itself, as with one that was merged here, its ``neighbours`` may have what it consists of.
    """

    def __init__(
        self,
        remotes: Remotes,
        digest: Digest,
        *,
        whole: bool,
        neighbours: Callable[[], Iterable[Digest]] = tuple,
    ) -> None:
        self._remotes = remotes
        self._digest = digest
        self._whole = whole
        self._neighbours = neighbours
        self._found: list[Source] = []
        self._rest = self._all()
        self.asked: list[RemoteStore] = []
        self.broken: list[RemoteStore] = []

    def __iter__(self) -> Iterator[Source]:
        yield from (source for source in list(self._found) if not source.has_failed)
        for source in self._rest:
            self._found.append(source)
            yield source

    def _all(self) -> Iterator[Source]:
        for store in self._remotes:
            self.asked.append(store)
            source = self._source(store, self._digest)
            if source is not None:
                yield source
        if self._found or self.broken:
            return
        for digest in islice(self._neighbours(), _NEIGHBOURS):
            for store in self._remotes:
                source = self._source(store, digest)
                if source is not None:
                    yield source

    def fail(self, source: Source, error: DatavcError) -> None:
        """Ask this source no more; where it is the remote that failed, nobody asks it."""
        source.has_failed = True
        if isinstance(error, StorageError):
            self._remotes.fail(source.store, error)

    def suspects(self) -> dict[str, set[bytes]]:
        """The remotes that lack what they should have, or have it damaged, and the packs at fault where that is known."""
        found = {store.name: set[bytes]() for store in self.broken}
        return found | {
            source.store.name: source.suspects for source in self._found if source.suspects or source.is_short
        }

    def fall_short(self) -> None:
        """Note that there is something that none of them has, although they say so."""
        for source in self._found:
            source.is_short = source.claims_all

    def remedy(self) -> str:
        """What brings the version to a remote, also where that says that it has it, which a plain push would believe."""
        check = ""
        if short := [source.store for source in self._found if source.is_short]:
            # What a damaged chunk list hides has no pack that could be asked for.
            check = f" --check --read -r {short[0].name}"
        elif self.broken:
            check = f" --check -r {self.broken[0].name}"
        return f"datavc push{check}, in a clone that has it"

    @property
    def failures(self) -> list[DatavcError]:
        """Why remotes could not be asked."""
        return self._remotes.failures

    def _source(self, store: RemoteStore, digest: Digest) -> Source | None:
        try:
            root = store.root(digest)
            if root is None:
                return None
            index = store.index(root.indexes, whole=self._whole)
            index.packs()
        except UnsupportedFormat as error:
            self._remotes.fail(store, error)
            return None
        except (StoredFileNotFound, IntegrityError):
            # A root that names a missing or damaged pack index counts as absent.
            if digest == self._digest:
                self.broken.append(store)
            return None
        except StorageError as error:
            self._remotes.fail(store, error)
            return None
        return Source(store, index, digest == self._digest)
