"""``evict``: drop from this machine what a remote holds. What is nowhere else stays, whatever was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.errors import DatavcError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.root import Root
from datavc.operations.selection import select
from datavc.operations.steps.cleaning.alone import alone
from datavc.operations.steps.cleaning.evicting import Drop, Eviction
from datavc.operations.steps.comparing.compare import changes
from datavc.operations.steps.examining.emptying import empty_workspace
from datavc.operations.steps.examining.examine import View, base_trees, examine
from datavc.operations.steps.naming.chosen import Version
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.transfers.holding import Holders
from datavc.operations.steps.transfers.transfer import DEFAULT_MEMORY, threads_for, transfer_threads
from datavc.progress import SILENT, Progress
from datavc.repo import Dataset, Repo
from datavc.store.remote import RemoteStore


@dataclass(frozen=True, slots=True)
class EvictedVersion:
    """A version that was in the cache. ``remote`` is the one that holds it; without one it stays, and ``reason`` says why."""

    path: bytes
    digest: Digest
    remote: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class EmptiedDataset:
    """A dataset whose ``files`` were taken out of the workspace; where they stay, ``reason`` says why."""

    path: bytes
    files: int = 0
    reason: str | None = None


@dataclass(slots=True)
class EvictResult:
    """What is gone (in a dry run: would be), what stayed, and how many bytes of the cache became free."""

    dropped: list[EvictedVersion] = field(default_factory=list)
    kept: list[EvictedVersion] = field(default_factory=list)
    emptied: list[EmptiedDataset] = field(default_factory=list)
    freed_bytes: int = 0
    cache_bytes: int = 0


def evict(
    repo: Repo,
    paths: list[bytes],
    *,
    remote: str | None = None,
    max_size: int | None = None,
    workspace: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> EvictResult:
    """Drop versions of the datasets that ``paths`` name from the cache, of all datasets without paths.

    First a remote (the one called ``remote``, or any) is asked for everything that a version consists of. With
    ``max_size`` the oldest go first, until the cache has at most so many bytes. ``workspace`` takes the files of unchanged
    datasets out of the workspace too.

    Raises:
        UsageError: a path is a part of a dataset, there is no such remote. NotFoundError: a path is no dataset.
        ConflictError: the cache is shared with other clones. Locked: a command is at work. StorageError.
    """
    chosen = _whole(repo, paths)
    stores = _stores(repo, remote, progress)
    with alone(repo, "evict") as worktrees, transfer_threads(threads_for(DEFAULT_MEMORY), stores) as executor:
        work = _Evict(repo, worktrees, Holders(repo, stores, executor), progress)
        if workspace:
            work.empty(chosen, dry_run=dry_run, jobs=jobs)
        names = {dataset.path for dataset in chosen} if paths else None
        return work.drop(names, max_size, dry_run=dry_run)


def _whole(repo: Repo, paths: list[bytes]) -> list[Dataset]:
    selected = select(repo, paths)
    for item in selected:
        if item.parts is not None:
            raise UsageError(
                "datasets are evicted as wholes", f"datavc evict {repo.typed(item.dataset.path)}"
            )
    return [item.dataset for item in selected]


def _stores(repo: Repo, remote: str | None, progress: Progress) -> list[RemoteStore]:
    names = [repo.remote(remote).name] if remote is not None else [known.name for known in repo.remotes()]
    if not names:
        repo.remote(None)
    stores, failures = [], []
    for name in names:
        try:
            stores.append(open_remote(repo, name))
        except DatavcError as error:
            failures.append(error)
            progress.note(f"warning: {error.message}; going on without that remote")
    if not stores:
        raise failures[0]
    return stores


class _Evict:
    def __init__(self, repo: Repo, worktrees: list[Repo], holders: Holders, progress: Progress) -> None:
        self._repo = repo
        self._holders = holders
        self._progress = progress
        self._states = [state for worktree in worktrees for state in worktree.states()]
        self._found: dict[Digest, tuple[str | None, str]] = {}
        self._result = EvictResult()

    def empty(self, datasets: list[Dataset], *, dry_run: bool, jobs: int) -> None:
        """Take unchanged datasets that a remote holds out of the workspace."""
        for dataset in datasets:
            view = examine(self._repo, dataset.path, dataset.pointer, jobs=jobs, progress=self._progress)
            if view.standing == "missing":
                if view.state.checkout is not None and not dry_run:
                    # An earlier one was killed when the last file was gone.
                    self._repo.drop_state(dataset.path)
                    self._forget(dataset)
                continue
            reason = self._why_not_empty(view, dataset)
            files = 0
            if reason is None and not dry_run:
                files = empty_workspace(self._repo, view)
                self._forget(dataset)
            self._result.emptied.append(EmptiedDataset(dataset.path, files or dataset.pointer.files, reason))

    def _forget(self, dataset: Dataset) -> None:
        self._states = [state for state in self._states if state.path != dataset.path]

    def _why_not_empty(self, view: View, dataset: Dataset) -> str | None:
        if view.scan.problems:
            return "it is unreadable"
        if view.standing != "clean" and not self._is_emptied_in_part(view):
            return f"it is {view.standing}"
        name, reason = self._find(Version.of_pointer(dataset.path, dataset.pointer))
        return reason if name is None else None

    def _is_emptied_in_part(self, view: View) -> bool:
        """Whether an earlier one was interrupted here: what is left is what the pointer says, less some files."""
        under_way = view.state.checkout
        if under_way is None or (under_way.target, under_way.kind) != view.target:
            return False
        try:
            left = changes(view, base_trees(self._repo, view.target))
        except DatavcError:
            return False
        return all(change.status == "removed" for change in left)

    def drop(self, paths: set[bytes] | None, max_size: int | None, *, dry_run: bool) -> EvictResult:
        """Drop what can go."""
        result = self._result
        eviction = Eviction(self._repo, {state.base for state in self._states if state.base is not None})
        result.cache_bytes = eviction.size
        going: list[Root] = []
        drop = Drop()
        for root in self._candidates(eviction, paths):
            if max_size is not None and eviction.size - drop.size <= max_size:
                break
            name, reason = self._why_not(root)
            row = EvictedVersion(root.path, root.digest, name, reason)
            if name is None:
                result.kept.append(row)
                continue
            result.dropped.append(row)
            going.append(root)
            if max_size is not None:
                drop = eviction.plan(going)
        drop = eviction.plan(going)
        if not dry_run and going:
            eviction.carry_out(drop)
        result.freed_bytes = drop.size
        result.cache_bytes -= drop.size
        return result

    def _candidates(self, eviction: Eviction, paths: set[bytes] | None) -> list[Root]:
        """What no worktree shows first, and the oldest of it."""
        shown = {state.base for state in self._states}
        found = [
            root
            for root in eviction.roots
            if root.repo == self._repo.config.repo_id
            and root.kind != "record"
            and (paths is None or root.path in paths)
        ]
        return sorted(found, key=lambda root: (root.digest in shown, root.when, root.path, str(root.digest)))

    def _why_not(self, root: Root) -> tuple[str | None, str | None]:
        """The remote that holds it; or None and why it must stay."""
        for state in self._states:
            under_way = state.checkout is not None and state.checkout.target == root.digest
            if under_way or (state.base == root.digest and (state.checkout or state.partial is not None)):
                return None, "a part of it is checked out, and the rest is known from here alone"
        name, reason = self._find(Version.of_root(root))
        return name, None if name is not None else reason

    def _find(self, version: Version) -> tuple[str | None, str]:
        if version.digest not in self._found:
            self._progress.begin(f"asking for {show(version.path)}")
            self._found[version.digest] = self._holders.find(version)
            self._progress.end()
        return self._found[version.digest]
