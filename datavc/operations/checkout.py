"""``checkout``: make the workspace what the pointers say.

First a plan, in which missing objects, too little space and unsaved work are found before anything is touched. Then new
content is staged, verified and renamed; what the version lacks goes last. The workspace state notes the checkout
before its first change and after its last, so that an interrupted one is known and finished by the same command.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from datavc.errors import ConflictError, NotFoundError, ObjectNotFound, OutOfSpace, UsageError
from datavc.formats.amounts import count, files_and_bytes, human_size
from datavc.formats.digest import Digest
from datavc.formats.paths import show, show_some
from datavc.formats.state import Checkout
from datavc.formats.tree import FOLDER
from datavc.operations.selection import Selected, select
from datavc.operations.steps.examine import View, base_trees, complete, examine
from datavc.operations.steps.fulfil import Fulfilment, deliver_workers
from datavc.operations.steps.grafting import graft_trees
from datavc.operations.steps.ingest import Ingest, unit_workers
from datavc.operations.steps.locating import Located, locate
from datavc.operations.steps.placing import free_bytes, place_of
from datavc.operations.steps.plan import Plan, Planner
from datavc.operations.steps.sweeping import beside, sweep
from datavc.operations.steps.trees import TreeSource
from datavc.operations.steps.versions import find_version
from datavc.parallel import Workers
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo
from datavc.workspace.safepath import is_case_sensitive

_SPARE_BYTES = 16 << 20
# Writing so many files takes longer than starting processes for it.
_MANY_FILES = 5_000


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What became of one dataset; ``saved`` is the digest under which unsaved work was kept by ``force``."""

    path: bytes
    digest: str
    written_files: int
    written_bytes: int
    removed_files: int
    unchanged_files: int
    saved: str | None = None
    parts: list[bytes] | None = None


@dataclass(slots=True)
class CheckoutResult:
    """One row per dataset."""

    datasets: list[CheckedOut] = field(default_factory=list)


@dataclass(slots=True)
class _Job:
    """One dataset to check out: where it stands, its target, what will be done."""

    item: Selected
    view: View
    target: TreeSource
    version: tuple[Digest, str]
    plan: Plan
    located: Located


def checkout(
    repo: Repo,
    paths: list[bytes],
    *,
    digest: str | None = None,
    force: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> CheckoutResult:
    """Make the datasets (or sub-paths) that ``paths`` name what their pointers say; all of them without paths.

    ``digest`` takes that version of the one dataset named instead, and leaves its pointer alone. ``force`` overwrites
    unsaved work, after storing it in the cache.

    Raises:
        ConflictError: unsaved work would be lost, or something changes the files at the same time.
        ObjectNotFound: objects are missing, OutOfSpace: they do not fit; in all these cases nothing was touched.
    """
    with repo.lock("checkout"), deliver_workers(jobs) as workers:
        selected = select(repo, paths)
        if digest is not None and len(selected) != 1:
            raise UsageError("a digest is one version of one dataset", "datavc checkout DIGEST -- PATH")
        work = [_prepare(repo, item, digest, workers, progress) for item in selected]
        if not force:
            _refuse_unsaved(repo, work)
        _refuse_missing(repo, work)
        _refuse_full(repo, work, progress)
        result = CheckoutResult()
        for job in work:
            result.datasets.append(_check_out(repo, job, dry_run=dry_run, workers=workers, progress=progress))
        return result


def _prepare(repo: Repo, item: Selected, digest: str | None, workers: Workers, progress: Progress) -> _Job:
    path, pointer = item.dataset.path, item.dataset.pointer
    view = examine(repo, path, pointer, jobs=workers.jobs, progress=progress, whole=True)
    version, size = (pointer.digest, pointer.kind), pointer.size
    if digest is not None:
        found = find_version(repo, digest)
        version, size = (found.digest, found.kind), found.size
    elif item.parts is None and view.state.checkout is not None:
        # Something else was under way: its files are on record too.
        pass
    target = base_trees(repo, version)
    _check_pointer(repo, item.dataset, target, version)
    _check_parts(item, view, target)
    recorded = [base_trees(repo, view.base)] if view.base is not None else []
    if view.state.checkout is not None:
        recorded.append(base_trees(repo, (view.state.checkout.target, view.state.checkout.kind)))
    recorded = [source for source in recorded if view.scan.exists and _is_readable(source)]
    parent = repo.absolute(path).parent
    case_sensitive = not parent.is_dir() or is_case_sensitive(parent)
    plan = Planner(view, target, recorded, item.parts, case_sensitive=case_sensitive).plan(size)
    if plan.written_files > _MANY_FILES:
        workers.start()
    return _Job(item, view, target, version, plan, locate(repo, version[0], plan))


def _check_pointer(repo: Repo, dataset: Dataset, target: TreeSource, version: tuple[Digest, str]) -> None:
    """A pointer is untrusted: its size and number of files must be those of its tree."""
    pointer = dataset.pointer
    if version[0] != pointer.digest or target.kind != FOLDER:
        return
    tree = target.tree(target.top)
    if (tree.size, tree.count) != (pointer.size, pointer.files):
        raise ConflictError(
            f"the pointer of {pointer.digest.short} says {pointer.files} files and {pointer.size} bytes, "
            f"its tree {tree.count} and {tree.size}",
            f"take the pointer from git again: git checkout -- {repo.typed(dataset.path + POINTER_SUFFIX)}",
        )


def _check_parts(item: Selected, view: View, target: TreeSource) -> None:
    for part in item.parts or ():
        name = part.rpartition(b"/")[2]
        if target.entry_at(part, name) is None and not _is_here(view, part):
            raise NotFoundError(f"{show(item.dataset.path + b'/' + part)} is not in the dataset", "datavc ls")


def _is_here(view: View, part: bytes) -> bool:
    folder, _, name = (view.path + b"/" + part).rpartition(b"/")
    return folder in view.scan.folders and name in view.scan.folders[folder].names


def _is_readable(source: TreeSource) -> bool:
    """A version on record whose trees are gone vouches for nothing, so what it had counts as unsaved."""
    try:
        for _ in source.walk() if source.kind == FOLDER else ():
            pass
    except ObjectNotFound:
        return False
    return True


def _refuse_unsaved(repo: Repo, work: list[_Job]) -> None:
    unsaved = [path for job in work for path in job.plan.unsaved]
    if not unsaved:
        return
    paths = repo.typed(*(job.view.path for job in work if job.plan.unsaved))
    raise ConflictError(
        f"unsaved changes would be lost: {show_some(unsaved)}",
        f"datavc add {paths} records them; datavc checkout --force {paths} stores them aside first",
    )


def _refuse_missing(repo: Repo, work: list[_Job]) -> None:
    missing = [path for job in work for path in job.located.missing]
    if not missing:
        return
    raise ObjectNotFound(
        f"the cache {repo.cache_folder} lacks the bytes of {count(len(missing), 'file')}: {show_some(missing)}; "
        "nothing was touched",
        "datavc fsck shows what is damaged; a clone that has them can share its cache (datavc config --local cache.dir "
        "FOLDER), and datavc add stores them again from a copy of the files",
    )


def _refuse_full(repo: Repo, work: list[_Job], progress: Progress) -> None:
    needed = sum(job.plan.written_bytes for job in work)
    if not needed:
        return
    free = free_bytes(repo.root)
    if needed >= 1 << 30:
        files = sum(job.plan.written_files for job in work)
        progress.note(
            f"{files_and_bytes(files, needed)} to write, of the {human_size(free)} free in {repo.root}"
        )
    if needed + _SPARE_BYTES > free:
        raise OutOfSpace(
            f"the checkout needs {human_size(needed)}, and {repo.root} has {human_size(free)} free; nothing was touched",
            "free some space, or check out a part: datavc checkout DATASET/SUB",
        )


def _check_out(repo: Repo, job: _Job, *, dry_run: bool, workers: Workers, progress: Progress) -> CheckedOut:
    view, plan = job.view, job.plan
    saved = None
    if not dry_run:
        if plan.unsaved:
            saved = _save(repo, view, jobs=workers.jobs, progress=progress)
        if plan.is_empty:
            # A killed checkout may have left a staged folder, inside or beside, and nothing else to do.
            sweep(repo, [*view.scan.leftovers, *beside(repo, [view.path])])
            _note_done(repo, job)
        else:
            _note_begun(repo, job)
            Fulfilment(repo, view, plan, job.located, job.target, workers=workers, progress=progress).run()
            _note_done(repo, job)
    return CheckedOut(
        view.path,
        str(job.version[0]),
        plan.written_files + len(plan.modes),
        plan.written_bytes,
        len(plan.removed) + len(plan.cleared),
        plan.unchanged,
        saved,
        list(job.item.parts) if job.item.parts is not None else None,
    )


def _save(repo: Repo, view: View, *, jobs: int, progress: Progress) -> str:
    """Keep the workspace as it is now in the cache, under a root that says so."""
    place = place_of(repo, view.path, saved=True)
    complete(repo, view)
    with unit_workers(jobs) as workers:
        stored = Ingest(place, view.scan, view.base, workers=workers, progress=progress).run()
    digest = str(Digest(repo.algorithm, stored.entry.digest))
    # A warning, since it is wanted by those too who want quiet; now, since what follows may be killed.
    progress.note(
        f"warning: {show(view.path)}: unsaved changes are kept as {digest}; to get them back: "
        f"datavc checkout --force {digest} -- {repo.typed(view.path)}"
    )
    return digest


def _note_begun(repo: Repo, job: _Job) -> None:
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    underway = Checkout(job.version[0], job.version[1], job.item.parts, since)
    state = replace(job.view.state, checkout=underway)
    repo.write_state(state)
    job.view.state = state


def _note_done(repo: Repo, job: _Job) -> None:
    """Record what the workspace is now: the version, or, after a part of it, the mixture that came out."""
    view, parts = job.view, job.item.parts
    version, partial = job.version, None
    if parts is not None and job.target.kind == FOLDER:
        was_here = view.scan.exists and view.state.base is not None
        if was_here and view.base is not None and view.base != version:
            version = graft_trees(repo, base_trees(repo, view.base), job.target, parts)
        if not was_here or view.state.partial is not None:
            partial = _joined(view.state.partial or (), parts)
    state = replace(view.state, base=version[0], kind=version[1], partial=partial, checkout=None)
    if state != view.state:
        repo.write_state(state)


def _joined(old: tuple[bytes, ...], new: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Both lists of sub-paths, without those that lie in another of them."""
    kept: list[bytes] = []
    for part in sorted({*old, *new}):
        if not any(part == other or part.startswith(other + b"/") for other in kept):
            kept.append(part)
    return tuple(kept)
