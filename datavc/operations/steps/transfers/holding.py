"""Whether a remote holds a version: its root, the pack indexes and packs that it names, every object that must be there."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field

from datavc.errors import DatavcError, IntegrityError, StorageError, StoredFileNotFound
from datavc.formats.root import Root
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.transfers.closure import find_closure
from datavc.repo import Repo
from datavc.store.remote import RemoteStore


@dataclass(slots=True)
class Holder:
    """A remote that was asked, and what is known of its packs by now."""

    store: RemoteStore
    seen: set[bytes] = field(default_factory=set)
    lost: set[bytes] = field(default_factory=set)


class Holders:
    """The remotes ``stores``, asked one after the other whether they hold something. Nothing is believed but what is seen."""

    def __init__(self, repo: Repo, stores: Sequence[RemoteStore], executor: Executor) -> None:
        self._repo = repo
        self._holders = [Holder(store) for store in stores]
        self._executor = executor

    def find(self, version: Version) -> tuple[str | None, str]:
        """The name of a remote that holds all of the version; or None and, in words, why it is not believed of any."""
        reasons = []
        for holder in self._holders:
            reason = self._why_not(holder, version)
            if reason is None:
                return holder.store.name, ""
            reasons.append(f"{holder.store.name} {reason}")
        return None, "; ".join(reasons)

    def _why_not(self, holder: Holder, version: Version) -> str | None:
        store = holder.store
        try:
            root = store.root(version.digest)
            if root is None:
                return "does not have it"
            index = store.index(root.indexes, whole=True)
            sizes = index.packs()
            unseen = {pack: size for pack, size in sizes.items() if pack not in holder.seen | holder.lost}
            holder.lost |= set(store.lost_packs(unseen, self._executor))
            holder.seen |= unseen.keys() - holder.lost
            if holder.lost & sizes.keys():
                return "has lost packs of it (datavc push --check)"
            return self._lacks(version, root, holder)
        except StoredFileNotFound:
            return "has lost a pack index of it (datavc push --check)"
        except (StorageError, IntegrityError) as error:
            return f"cannot tell: {error.message}"

    def _lacks(self, version: Version, root: Root, holder: Holder) -> str | None:
        """What is here wholly is compared object by object, chunk by chunk."""
        if self._repo.cache.root(version.digest) is None:
            return None
        there = holder.store.index(root.indexes, whole=True)
        try:
            closure = find_closure(
                self._repo, version, None, there, thorough=True, purged=holder.store.purged()
            )
        except DatavcError as error:
            return f"cannot be compared with what is here: {error.message}"
        if closure.found or closure.blobs:
            return "says that it has it, and does not have all of it (datavc push --check)"
        return None
