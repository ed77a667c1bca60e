"""Keeping a merged version in the cache: its new trees, and a root that takes over what the versions before it reach."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datavc.formats.digest import Digest
from datavc.formats.pack import META
from datavc.formats.tree import KIND_NAMES, Entry
from datavc.operations.steps.naming.notes import current_commit
from datavc.operations.steps.storing.reachable import Reachable
from datavc.repo import Repo
from datavc.store.cachelock import relied_on
from datavc.store.packstream import PackStream
from datavc.store.roots import new_root, read_root


def store_merged(
    repo: Repo, path: bytes, entry: Entry, trees: Mapping[bytes, bytes], parents: Iterable[Digest]
) -> bool:
    """Make the merged dataset durable before any pointer names it: packs, pack index, root. Whether all of it is here.

    Where the cache lacks some of the ``parents``, from which all its files come, the root says that it is not complete.

    Raises:
        StorageError: the cache could not be written.
    """
    with relied_on(repo.cache.folder):
        cache = repo.cache
        digest = Digest(repo.algorithm, entry.digest)
        if cache.root(digest) is not None:
            return True
        proved = [cache.root(parent) for parent in parents]
        complete = all(root is not None for root in proved)
        known = [read_root(cache.backend, cache.repo_id, parent) for parent in parents]
        here = set(cache.index_names())
        inherited = dict.fromkeys(name for root in known if root is not None for name in root.indexes)
        reachable = Reachable(cache, repo.algorithm, tuple(name for name in inherited if name in here))
        with cache.scratch() as scratch:
            stream = PackStream(cache.backend, scratch, repo.algorithm, META, published=reachable.add_pack)
            try:
                for name, encoded in trees.items():
                    if not reachable.has_whole(name):
                        stream.add_tree(name, encoded, reachable.has)
                stream.close()
            except BaseException:
                stream.abandon()
                raise
        indexes = reachable.publish()
        if indexes:
            make = new_root(
                cache.repo_id,
                digest,
                kind=KIND_NAMES[entry.kind],
                size=entry.size,
                files=entry.count,
                path=path,
                commit=current_commit(repo),
                complete=complete,
            )
            cache.publish_root(make, indexes)
    repo.stat_cache.write_trees(trees)
    return complete
