"""Looking into versions that are not here: what a command needs in order to see them is fetched when it is missing.

One seam: while the block lasts, trees that the cache lacks are fetched where trees are read (``examine.base_trees``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.progress import Progress
from datavc.repo import Repo

if TYPE_CHECKING:
    from datavc.formats.root import Root
    from datavc.operations.steps.transfers.sources import Remotes

# So many earlier versions are asked for, where a version itself is nowhere.
_EARLIER = 8


@contextmanager
def looking_afar(
    repo: Repo, *, offline: bool, progress: Progress, forbidding: str = "--offline"
) -> Iterator[None]:
    """In the block, trees of versions that are missing are fetched from the remotes, which is said; not when ``offline``.

    ``forbidding`` is the option by which the user may forbid that, empty where there is none, as under git.
    """

    def obtain(digest: Digest) -> bool:
        return _fetch(repo, digest, None, progress, forbidding)

    before = repo.obtain_trees
    repo.obtain_trees = None if offline or not _has_remote(repo) else obtain
    try:
        yield
    finally:
        repo.obtain_trees = before


def obtain_file(repo: Repo, digest: Digest, inner: bytes, progress: Progress) -> bool:
    """Fetch the file at ``inner`` of a version, or the version that is a file. Whether that went well; else it is said."""
    return _has_remote(repo) and _fetch(repo, digest, inner, progress)


def _nearest(repo: Repo, remotes: Remotes, digest: Digest) -> Root | None:
    """The root of the version, or of the one before it: a version that was made out of a part has the rest in common."""
    from datavc.operations.steps.naming.chosen import Version, earlier_versions

    try:
        paths = [dataset.path for dataset in repo.datasets() if dataset.digest == digest]
    except DatavcError:
        # A pointer in conflict is what looks afar in order to be settled.
        paths = []
    wanted = [digest]
    for path in paths[:1]:
        wanted += islice(earlier_versions(repo, Version(path, digest, "folder", 0, 0, None)), _EARLIER)
    roots = (store.root(version) for version in wanted for store in remotes)
    return next((root for root in roots if root is not None), None)


def _has_remote(repo: Repo) -> bool:
    return bool(repo.config.tables_in("remote", "url"))


def _fetch(
    repo: Repo, digest: Digest, inner: bytes | None, progress: Progress, forbidding: str = "--offline"
) -> bool:
    """Trees alone, or with ``inner`` one file."""
    from datavc.formats.amounts import count, human_size
    from datavc.operations.steps.naming.chosen import Version
    from datavc.operations.steps.transfers.fetching import Fetching
    from datavc.operations.steps.transfers.sources import Remotes, Sources
    from datavc.operations.steps.transfers.transfer import (
        DEFAULT_MEMORY,
        threads_for,
        traffic_of,
        transfer_threads,
    )

    remotes = Remotes(repo, None, progress)
    threads = threads_for(DEFAULT_MEMORY)
    try:
        with transfer_threads(threads, remotes.stores) as executor:
            root = _nearest(repo, remotes, digest)
            if root is None:
                return False
            version = replace(Version.of_root(root), parts=(inner,) if inner else None)
            sources = Sources(remotes, root.digest, whole=False)
            fetching = Fetching(
                repo.cache, version, sources, None, executor, threads=threads, progress=progress
            )
            fetching.run(trees_only=inner is None)
    except DatavcError as error:
        progress.note(f"warning: what is not here could not be fetched: {error.message}")
        return False
    finally:
        progress.end()
    traffic = traffic_of(remotes.stores)
    what = "folders" if inner is None else show(inner or root.path)
    progress.note(
        f"{digest.short} is not here: its {what} came from {', '.join(store.name for store in remotes.stores)} "
        f"({count(traffic.total, 'request')}, {human_size(traffic.received_bytes)}{_forbids(forbidding)})"
    )
    return True


def _forbids(option: str) -> str:
    return f"; {option} forbids that" if option else ""
