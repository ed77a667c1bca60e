"""Pushing one version: what the remote has of it already, what is sent, and then, last of all, its root."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import chain, islice

import xxhash

from datavc.errors import DigestMismatch, IntegrityError, PurgedError, StorageError, StoredFileNotFound
from datavc.formats.amounts import count, human_size
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.operations.steps.naming.chosen import Version, earlier_versions
from datavc.operations.steps.transfers.closure import Closure, affected, find_closure
from datavc.operations.steps.transfers.recordtransfer import name_of, parents_of
from datavc.parallel import map_ahead
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.cache import clone_id
from datavc.store.index import ObjectIndex
from datavc.store.purged import read_purged, write_purged
from datavc.store.purging import StorePurge
from datavc.store.remote import RemoteStore
from datavc.store.roots import new_root
from datavc.store.sending import Sender, SendPlan, pack_limits, plan_sending

# Of how many earlier versions a root is asked for one by one, before the roots that are there are listed.
_ASKED = 8
_BIG_BYTES = 1 << 30


@dataclass(slots=True)
class Foundation:
    """What a push builds on: the version ``base``, whose root is there, and that root's pack indexes.

    ``inherited`` are the names of those that the new root takes over, ``broken`` stored files that have wrong bytes.
    ``is_proved`` where every pack was asked for; ``is_sound`` where nothing was found lost or broken then.
    """

    there: ObjectIndex
    base: Digest | None = None
    inherited: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    is_proved: bool = False
    is_sound: bool = True


@dataclass(slots=True)
class Pushed:
    """What a push of one version came to; bytes as they are stored. ``was_there`` where the root said so, and rightly."""

    root: Root | None
    objects: int = 0
    packs: int = 0
    size: int = 0
    was_there: bool = False


class Pushing:
    """Pushes versions to one remote, one after the other. ``pushed`` are those that are done, which later ones build on.

    With ``read_all`` every pack that is there is read where nothing is believed. Packs that are ``broken`` there are replaced
    where they are sent, also where no pack index told of them.
    """

    def __init__(
        self,
        repo: Repo,
        remote: RemoteStore,
        executor: Executor,
        *,
        threads: int,
        progress: Progress,
        read_all: bool = False,
        broken: Iterable[bytes] = (),
    ) -> None:
        self._repo = repo
        self._remote = remote
        self._executor = executor
        self._threads = threads
        self._progress = progress
        self._read_all = read_all
        self._broken_there = {layout.pack_path(pack) for pack in broken}
        self._judged: dict[bytes, bool] = {}
        self._pushed: dict[bytes, Digest] = {}
        self._purged: set[bytes] = set()
        self._sent_bytes = 0
        self._seconds = 0.0

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second, measured where enough was sent to tell."""
        return self._sent_bytes / self._seconds if self._sent_bytes > 4 << 20 and self._seconds else None

    def done(self, version: Version) -> None:
        """Later versions of the same dataset may build on this one, whose root is there."""
        self._pushed[version.path] = version.digest

    def push(
        self,
        version: Version,
        own: Root | None,
        suspects: set[bytes] | None,
        bandwidth: float | None,
        *,
        dry_run: bool,
    ) -> Pushed:
        """Send what is missing of ``version``, then its root; ``own`` is the one that is there.

        With ``suspects`` nothing is believed: every pack is asked for, and those named are read.

        Raises:
            ObjectNotFound, DigestMismatch: the cache lacks something, or is damaged; no root was written. PurgedError: it is
                one file, which was purged.
            StorageError: the remote failed or refused.
        """
        guard = self._remote.begin_writing()
        self._purged = self._remote.purged()
        foundation = self._foundation(version, own, suspects)
        closure = self._closure(version, foundation)
        if not foundation.is_proved and self._lost_hits(foundation, closure):
            foundation = self._foundation(version, own, set())
            closure = self._closure(version, foundation)
        self._tell_purged(version, closure)
        pack_bytes = pack_limits(bandwidth)
        plan = plan_sending(self._repo.cache.backend, closure.found, closure.blobs, closure.sizes, pack_bytes)
        if own is not None and foundation.is_sound and not plan.objects:
            return Pushed(own, was_there=True)
        pushed = Pushed(None, plan.objects, len(plan.packs), plan.size)
        if dry_run:
            return pushed
        if plan.size >= _BIG_BYTES:
            self._progress.note(
                f"{name_of(version)}: {count(plan.objects, 'object')}, {human_size(plan.size)} to send"
            )
        sender = self._send(plan, foundation, pack_bytes)
        self._refuse_damaged(version, closure, sender)
        pushed.packs = sender.packs
        pushed.root = self._publish(version, foundation, closure, sender)
        if guard.saw_purge:
            self._follow_purge()
        return pushed

    def _closure(self, version: Version, foundation: Foundation) -> Closure:
        return find_closure(
            self._repo,
            version,
            foundation.base,
            foundation.there,
            thorough=foundation.is_proved,
            purged=self._purged,
        )

    # What was purged

    def _tell_purged(self, version: Version, closure: Closure) -> None:
        """Say what is not sent. Raises PurgedError where that is all of it."""
        if not closure.purged:
            return
        digest = version.digest
        if digest.raw in closure.purged:
            note = read_purged(self._remote.backend, digest) or read_purged(self._repo.cache.backend, digest)
            raise PurgedError(f"{name_of(version)} cannot be pushed: {digest.short} was {note or 'purged'}")
        self._progress.note(
            f"warning: {name_of(version)}: {count(len(closure.purged), 'file')} of it are purged, and not sent"
        )
        here = closure.purged - self._repo.cache.purged()
        notes = (read_purged(self._remote.backend, Digest(digest.algorithm, raw)) for raw in sorted(here))
        write_purged(self._repo.cache.backend, [note for note in notes if note is not None])
        if here:
            self._progress.note(
                f"warning: they were purged from {self._remote.describe()}, and may still be here: datavc purge"
            )

    def _follow_purge(self) -> None:
        """Somebody purged while this was sent: what went there meanwhile, goes again."""
        purged = self._remote.purged()
        if purged <= self._purged:
            return
        with self._repo.cache.scratch() as scratch:
            StorePurge(
                self._remote.backend,
                self._remote.algorithm,
                purged,
                scratch,
                self._executor,
                repo_id=self._remote.repo_id,
            ).run()

    # What is there

    def _foundation(self, version: Version, own: Root | None, suspects: set[bytes] | None) -> Foundation:
        parents = (
            [self._remote.root(digest) for digest in parents_of(self._repo, version)] if own is None else []
        )
        names = list(dict.fromkeys(name for root in parents if root is not None for name in root.indexes))
        if names and suspects is None:
            there = self._remote.index(names)
            with contextlib.suppress(StoredFileNotFound, IntegrityError):
                there.packs()
                return Foundation(there, None, names)
        for root in self._roots(version, own):
            try:
                if suspects is not None:
                    return self._proved(root, suspects)
                there = self._remote.index(root.indexes)
                there.packs()
            except (StoredFileNotFound, IntegrityError):
                # A root that names a missing pack index counts as absent.
                continue
            return Foundation(there, root.digest if root.kind == "folder" else None, list(root.indexes))
        return Foundation(self._remote.index(()), is_proved=suspects is not None)

    def _roots(self, version: Version, own: Root | None) -> Iterator[Root]:
        if own is not None:
            yield own
        pushed = self._pushed.get(version.path)
        earlier = chain((pushed,) if pushed is not None else (), earlier_versions(self._repo, version))
        for digest in islice(earlier, _ASKED):
            root = self._remote.root(digest)
            if root is not None:
                yield root
        for root in self._remote.newest_roots(_ASKED):
            if root.path == version.path and root.digest != version.digest:
                yield root

    def _proved(self, root: Root, suspects: set[bytes]) -> Foundation:
        """Every index read and hashed, every pack asked for, suspects read: what is sound may be built on."""
        remote = self._remote
        readable: dict[str, ObjectIndex] = {}
        wrong: set[str] = set()
        for name in root.indexes:
            index = remote.index((name,), whole=True)
            try:
                index.packs()
                readable[name] = index
            except (StoredFileNotFound, IntegrityError):
                wrong.add(layout.index_path(name))
        sizes = {pack: size for index in readable.values() for pack, size in index.packs().items()}
        lost = set(remote.lost_packs(sizes, self._executor))
        broken = self._broken((set(sizes) if self._read_all else suspects & sizes.keys()) - lost, sizes)
        bad = lost | broken
        sound = [name for name, index in readable.items() if bad.isdisjoint(index.packs())]
        there = remote.index(tuple(readable), whole=True)
        there.drop(bad)
        wrong |= {layout.pack_path(pack) for pack in broken}
        whole = len(sound) == len(root.indexes)
        return Foundation(there, None, sound, wrong, is_proved=True, is_sound=whole)

    def _broken(self, packs: set[bytes], sizes: dict[bytes, int]) -> set[bytes]:
        """Those whose bytes are not what their names say; each is read once for all versions."""
        unread = sorted(packs - self._judged.keys())
        if unread:
            self._progress.begin(
                "reading packs",
                total_bytes=sum(sizes[pack] for pack in unread),
                total_files=len(unread),
                counted="packs",
                retries=lambda: self._remote.retries,
            )
            for pack, is_sound in map_ahead(self._judge, unread, self._executor, self._threads):
                self._judged[pack] = is_sound
                self._progress.advance(size=sizes[pack], files=1)
            self._progress.end()
        return {pack for pack in packs if not self._judged[pack]}

    def _judge(self, pack: bytes) -> tuple[bytes, bool]:
        """Wrong bytes are read once more: it may have been the line."""

        def is_sound() -> bool:
            return xxhash.xxh3_128_digest(self._remote.backend.read(layout.pack_path(pack))) == pack

        return pack, is_sound() or is_sound()

    def _lost_hits(self, foundation: Foundation, closure: Closure) -> bool:
        """Whether a pack is gone that holds something which will not be sent because of it."""
        sizes = foundation.there.packs()
        used = {row[0] for row in closure.held.values()}
        return bool(self._remote.lost_packs({pack: sizes[pack] for pack in used}, self._executor))

    # Sending

    def _refuse_damaged(self, version: Version, closure: Closure, sender: Sender) -> None:
        if sender.damaged:
            cache = self._repo.cache
            paths = affected(cache, version, closure.owners(sender.damaged))
            raise DigestMismatch(
                f"{name_of(version)} cannot be pushed, because the cache {cache.folder} is damaged: {paths}",
                "datavc fsck",
            )

    def _send(self, plan: SendPlan, foundation: Foundation, pack_bytes: int) -> Sender:
        self._remote.prepare()
        before, began = self._remote.requests.written_bytes, time.monotonic()
        cache = self._repo.cache
        sender = Sender(
            cache,
            self._remote.backend,
            self._executor,
            threads=self._threads,
            pack_bytes=pack_bytes,
            broken=foundation.broken | self._broken_there,
            progress=self._progress,
        )
        # In a proved foundation each row stands for itself, so chunks of whole files are sent again.
        held = foundation.there.find if not foundation.is_proved else lambda chunk: None
        self._progress.begin(
            "pushing",
            total_bytes=plan.size,
            total_files=plan.objects,
            counted="objects",
            retries=lambda: self._remote.retries,
        )
        with cache.scratch() as scratch:
            sender.send(plan, scratch, lambda chunk: held(chunk) is not None)
        self._broken_there -= sender.target.replaced
        self._progress.end()
        self._seconds += time.monotonic() - began
        self._sent_bytes += self._remote.requests.written_bytes - before
        return sender

    def _publish(self, version: Version, foundation: Foundation, closure: Closure, sender: Sender) -> Root:
        """Pack indexes, then the root, once everything that it names was seen there."""
        remote = self._remote
        if foundation.is_proved:
            inherited = remote.index(foundation.inherited, whole=True)
            kept = inherited.find_many(closure.held)
            sizes = foundation.there.packs()
            for digest, row in closure.held.items():
                if digest not in kept:
                    sender.rows.add(digest, row, sizes[row[0]])
        names = sender.rows.publish(sender.target) if len(sender.rows) else []
        if remote.lost_indexes(foundation.inherited, self._executor):
            raise StorageError(
                f"{remote.describe()} lost a pack index during the push",
                "run the same command again",
            )
        make = new_root(
            remote.repo_id,
            version.digest,
            kind=version.kind,
            size=version.size,
            files=version.files,
            path=version.path,
            commit=version.commit,
            clone=clone_id(self._repo.shared),
        )
        return remote.publish_root(make, [*foundation.inherited, *names])
