"""Looking at one dataset in the workspace: what is there, what it was made from, and what the pointer says now."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from datavc.durable import TEMPORARY_PREFIX
from datavc.errors import DatavcError, NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import SubPaths
from datavc.formats.pointer import Pointer
from datavc.formats.state import WorkspaceState
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, KIND_NAMES, SYMLINK, Entry
from datavc.operations.steps.examining.probenotes import found_before
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.workspace import safepath
from datavc.workspace.listing import Folder, Scan
from datavc.workspace.scan import LinkDigest, scan_dataset

# How far behind a file system's clock may be when it cannot be asked: files changed since then are hashed again.
_UNKNOWN_CLOCK_NS = 3_600_000_000_000


@dataclass(slots=True)
class View:
    """One dataset: its pointer, its workspace state, what a scan found, and, once sealed, its entry."""

    path: bytes
    pointer: Pointer | None
    state: WorkspaceState
    scan: Scan
    entry: Entry | None = None

    @property
    def base(self) -> tuple[Digest, str] | None:
        """What the workspace was last made from, and its kind; None where that is not known."""
        if self.state.base is None or self.state.kind is None:
            return None
        return self.state.base, self.state.kind

    @property
    def target(self) -> tuple[Digest, str] | None:
        """What the pointer says."""
        return (self.pointer.digest, self.pointer.kind) if self.pointer is not None else None

    @property
    def content(self) -> tuple[Digest, str] | None:
        """What is in the workspace; None where nothing is."""
        if self.entry is None:
            return None
        return Digest(self.scan.algorithm, self.entry.digest), KIND_NAMES[self.entry.kind]

    @property
    def standing(self) -> str:
        """``new``, ``missing``, ``clean``, ``modified``, ``behind`` or ``diverged``: design section 4."""
        if self.target is None:
            return "new"
        if self.content is None:
            return "missing"
        if self.content == self.target:
            return "clean"
        if self.base == self.target:
            return "modified"
        return "behind" if self.content == self.base else "diverged"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a file system can keep."""

    exec_bits: bool
    symlinks: bool


def scan_workspace(
    repo: Repo,
    path: bytes,
    *,
    rehash: bool = False,
    ignore: bool = True,
    when_many: Callable[[], None] | None = None,
) -> Scan:
    """Walk the dataset at ``path`` with what the stat cache knows; ``rehash`` trusts nothing.

    ``when_many`` is called as soon as it is clear that many files will have to be read.
    """
    from datavc.operations.steps.examining.ignoring import ignore_rules

    rows = {} if rehash else repo.stat_cache.rows_below(path)
    root_fd = os.open(repo.root_bytes, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        parts = path.split(b"/")[:-1]
        os.close(safepath.open_folder(root_fd, parts))
        return scan_dataset(
            root_fd,
            path,
            repo.algorithm,
            rows=rows,
            clock_ns=filesystem_clock(repo, path),
            ignore=ignore_rules(repo, path) if ignore else None,
            exec_bits=traits(repo, path).exec_bits,
            link_digest=LinkDigest(links_into(repo), repo.algorithm),
            when_many=when_many,
        )
    except NotFoundError:
        return Scan(repo.algorithm, Folder(path + b"\0", [], bytearray(), array("q"), []))
    finally:
        os.close(root_fd)


def examine(
    repo: Repo,
    path: bytes,
    pointer: Pointer | None,
    *,
    jobs: int,
    progress: Progress,
    rehash: bool = False,
    whole: bool = False,
) -> View:
    """Look at a dataset and hash what changed. With ``whole``, a partial workspace is not completed from its base."""
    scan = scan_workspace(repo, path, rehash=rehash)
    view = View(path, pointer, state_of(repo, path, pointer), scan)
    if not scan.exists:
        return view
    if not all(folder.is_known() for folder in (scan.top, *scan.folders.values())):
        from datavc.workspace.hashing import hash_unknown

        hash_unknown(scan, repo.root_bytes, links_into=links_into(repo), jobs=jobs, progress=progress)
        drop_unreadable(scan)
        if not scan.exists:
            # The dataset itself went, or became something else, between its stat and its reading.
            return view
    repo.stat_cache.write_rows(scan.changed_rows(), drop=scan.stale_rows())
    complete(repo, view, whole=whole)
    view.entry, _ = scan.seal(encode=False)
    return view


def state_of(repo: Repo, path: bytes, pointer: Pointer | None) -> WorkspaceState:
    """What the dataset was made from. Without a pointer, what is recorded is of another one, in another commit."""
    return repo.read_state(path) if pointer is not None else WorkspaceState(path)


def complete(repo: Repo, view: View, *, whole: bool = False) -> None:
    """Take over from the base what the file system cannot keep, and what a partial workspace leaves out."""
    base = view.base
    if base is None or not view.scan.exists:
        return
    kept = traits(repo, view.path)
    weak = not (kept.exec_bits and kept.symlinks)
    if not weak and (view.state.partial is None or whole):
        return
    trees = base_trees(repo, base)
    if weak:
        _take_over_kinds(view, trees, kept)
    if view.state.partial is not None and not whole:
        _keep_rest(view, trees, view.state.partial)


def base_trees(repo: Repo, version: tuple[Digest, str]) -> TreeSource:
    """The trees of a version, from the cache or from the copies in the stat cache, or from afar where that is allowed."""
    try:
        cache = repo.cache
    except (DatavcError, OSError):
        cache = None
    return TreeSource(cache, repo.stat_cache, *version, obtain=repo.obtain_trees)


def drop_unreadable(scan: Scan) -> None:
    """Take the entries that could not be hashed out of the scan; its problems name them."""
    for folder in (scan.top, *scan.folders.values()):
        if folder.is_known():
            continue
        keep = [
            number
            for number, digest in enumerate(folder.digests)
            if digest is not None or folder.kinds[number] == FOLDER
        ]
        folder.names = [folder.names[number] for number in keep]
        folder.stats = array("q", [n for number in keep for n in folder.stats[4 * number : 4 * number + 4]])
        folder.kinds = bytearray(folder.kinds[number] for number in keep)
        folder.digests = [folder.digests[number] for number in keep]


def _take_over_kinds(view: View, trees: TreeSource, kept: Traits) -> None:
    """Where exec bits or symlinks cannot be kept, an entry is of the kind that it had in the base."""
    for folder in (view.scan.top, *view.scan.folders.values()):
        if folder is view.scan.top:
            old = {folder.names[0]: trees.kind}
        else:
            tree = trees.folder(folder.path, view.path)
            old = dict(zip(tree.names, tree.kinds, strict=True)) if tree is not None else {}
        for number, name in enumerate(folder.names):
            kind = old.get(name)
            if folder.kinds[number] == FILE and (
                (kind == EXECUTABLE and not kept.exec_bits) or (kind == SYMLINK and not kept.symlinks)
            ):
                folder.kinds[number] = kind


def _keep_rest(view: View, trees: TreeSource, partial: tuple[bytes, ...]) -> None:
    """Outside of the sub-paths that were checked out nothing is missing: the base's entries stand."""
    scan, parts = view.scan, SubPaths(partial)
    pending = [(b"", trees.tree(trees.top))] if trees.kind == FOLDER and scan.folders else []
    while pending:
        relative, tree = pending.pop()
        folder = scan.folders[view.path + b"/" + relative if relative else view.path]
        present = set(folder.names)
        prefix = relative + b"/" if relative else b""
        added = False
        for entry in entries(tree):
            path = prefix + entry.name
            if parts.hold(path):
                continue
            leads = entry.kind == FOLDER and parts.concern(path)
            if entry.name not in present:
                if not added:
                    # Unpacks the digests while they still match the columns.
                    folder.digests = list(folder.digests)
                added = True
                folder.names.append(entry.name)
                folder.kinds.append(entry.kind)
                folder.stats.extend((entry.size if entry.kind != FOLDER else 0, 0, 0, 0))
                folder.digests.append(None if entry.kind == FOLDER else entry.digest)
                full = view.path + b"/" + path
                if leads:
                    scan.folders[full] = Folder(full, [], bytearray(), array("q"), [])
                elif entry.kind == FOLDER:
                    scan.kept[full] = (entry.size, entry.count, entry.digest)
            if entry.kind == FOLDER and view.path + b"/" + path in scan.folders:
                pending.append((path, trees.checked(entry)))
        if added:
            _sort(folder)


def _sort(folder: Folder) -> None:
    order = sorted(range(len(folder.names)), key=folder.names.__getitem__)
    folder.stats = array("q", [n for number in order for n in folder.stats[4 * number : 4 * number + 4]])
    folder.kinds = bytearray(folder.kinds[number] for number in order)
    folder.digests = [folder.digests[number] for number in order]
    folder.names = [folder.names[number] for number in order]


def record_base(
    repo: Repo, view: View, version: tuple[Digest, str], *, partial: tuple[bytes, ...] | None
) -> None:
    """Note that the workspace now is ``version``; written only where that is news."""
    state = replace(view.state, base=version[0], kind=version[1], partial=partial, checkout=None)
    if state != view.state:
        repo.write_state(state)
        view.state = state


def links_into(repo: Repo) -> bytes:
    """The folder into which symlinks of the workspace may point for their content: the cache's blobs."""
    return os.fsencode(repo.cache_folder / "blobs")


def filesystem_clock(repo: Repo, path: bytes) -> int:
    """Nanoseconds since 1970 by the clock of the file system that holds the dataset."""
    import time

    parent = repo.absolute(path).parent
    try:
        repo.private.mkdir(parents=True, exist_ok=True)
        same = os.stat(parent).st_dev == os.stat(repo.private).st_dev
        probe = (repo.private if same else parent) / f"{TEMPORARY_PREFIX}clock-{os.getpid()}"
        fd = os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.unlink(probe)
            return os.fstat(fd).st_ctime_ns
        finally:
            os.close(fd)
    except OSError:
        return time.time_ns() - _UNKNOWN_CLOCK_NS


def traits(repo: Repo, path: bytes) -> Traits:
    """What the file system that holds the dataset can keep: probed once and remembered, by device."""
    parent = repo.absolute(path).parent
    try:
        device = os.stat(parent).st_dev
    except OSError:
        return Traits(True, True)
    try:
        words = found_before(repo.private / f"filesystem-{device:x}", lambda: _probe(parent))
    except (OSError, DatavcError):
        # A folder that cannot be written: nothing will be recorded from it by mistake.
        return Traits(True, True)
    return Traits("exec-bits" in words, "symlinks" in words)


def _probe(folder: Path) -> Iterator[str]:
    if safepath.has_exec_bits(folder):
        yield "exec-bits"
    if safepath.has_symlinks(folder):
        yield "symlinks"
