"""``add``: put files and folders into the cache, and leave a pointer for git in their place.

The order (design section 4): everything is looked at and refused before a byte is hashed; then packs, pack index and root
go into the cache; then the ignore line, the pointer, and the workspace state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from datavc.durable import write_durably
from datavc.errors import ConflictError, DatavcError, NotFoundError, OutOfSpace, UsageError
from datavc.formats.amounts import files_and_bytes, human_size
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show, to_text
from datavc.formats.pointer import Pointer, format_pointer
from datavc.formats.tree import FOLDER, KIND_NAMES, Entry
from datavc.git.ignorefile import ignore_file
from datavc.operations.steps.comparing import grafting
from datavc.operations.steps.examining.examine import (
    View,
    complete,
    examine,
    record_base,
    scan_workspace,
    state_of,
)
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.operations.steps.storing.ingest import Ingest, unit_workers
from datavc.operations.steps.storing.placing import Stored, free_bytes, place_of
from datavc.operations.steps.storing.refusing import refuse_hopeless, refuse_problems
from datavc.operations.steps.storing.rehashing import Rehash
from datavc.parallel import Workers
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo

# From this size on a plan is told before the work: about what takes longer than a second or two.
_BIG_BYTES = 1 << 30
_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class AddedDataset:
    """What became of one dataset; sizes in bytes, ``stored_bytes`` as they lie compressed in the cache."""

    path: bytes
    pointer: bytes
    digest: str
    kind: str
    size: int
    files: int
    new_files: int
    new_bytes: int
    stored_bytes: int
    deduplicated_bytes: int
    unchanged: bool


@dataclass(slots=True)
class AddResult:
    """What was added, and the paths to give to ``git add`` (relative to the repo's root)."""

    datasets: list[AddedDataset] = field(default_factory=list)
    git_add: list[str] = field(default_factory=list)
    skipped: list[tuple[bytes, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Job:
    """One dataset to add: its path, the pointer there is, and the sub-path that alone is meant."""

    path: bytes
    pointer: Pointer | None
    part: bytes = b""
    view: View | None = None
    made_by: Mapping[str, str] | None = None


def add(
    repo: Repo,
    paths: list[bytes],
    *,
    update_all: bool = False,
    force: bool = False,
    stage: bool = False,
    rehash: bool = False,
    made_by: Mapping[str, str] | None = None,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> AddResult:
    """Record the absolute ``paths`` as datasets, or with ``update_all`` every dataset that was modified.

    ``force`` records a workspace over a pointer that moved; ``stage`` runs ``git add``; ``rehash`` trusts no stat, reads
    what the cache has of the files, and stores again what is damaged there. ``made_by`` is the table ``[run]`` of pointers
    that change.

    Raises:
        UsageError, ConflictError, NotFoundError, StorageError: see the how-to pages; nothing was recorded.
    """
    result = AddResult()
    with repo.lock("add"), unit_workers(jobs) as workers:
        work = _jobs(repo, paths, update_all=update_all)
        proof = Rehash(repo, progress) if rehash and not dry_run else None
        for job in work:
            refuse_hopeless(repo, job.path, has_pointer=job.pointer is not None)
        for job in list(work):
            job.view = _look(
                repo,
                job,
                force=force,
                update_all=update_all,
                rehash=rehash,
                workers=workers,
                progress=progress,
            )
            if proof is not None and job.view.scan.exists:
                proof.check(job.view)
            if update_all and _is_left_alone(repo, job.view, result):
                work.remove(job)
        _plan(repo, [job.view for job in work if job.view is not None], progress)
        if not dry_run:
            sweep(repo, beside(repo, [job.path for job in work]))
        for job in work:
            assert job.view is not None
            if dry_run:
                result.datasets.append(_foreseen(job))
            else:
                job.made_by = made_by
                result.datasets.append(_add_one(repo, job, result, workers=workers, progress=progress))
        if proof is not None:
            proof.finish()
        result.git_add = list(dict.fromkeys(result.git_add))
        if stage and repo.git is not None and result.git_add:
            from datavc.git.pointers import stage as stage_in_git

            stage_in_git(repo.git, [path.encode("utf-8", "surrogateescape") for path in result.git_add])
    return result


def _jobs(repo: Repo, paths: list[bytes], *, update_all: bool) -> list[_Job]:
    unreadable: dict[bytes, DatavcError] = {}
    datasets = repo.datasets(None if update_all else unreadable)
    if update_all:
        if paths:
            raise UsageError(
                "-u adds every modified dataset, so it takes no paths", "datavc add PATH, or datavc add -u"
            )
        return [_Job(dataset.path, dataset.pointer) for dataset in datasets]
    if not paths:
        raise UsageError(
            "nothing was named to be added", "datavc add PATH, or datavc add -u for all that is modified"
        )
    work: dict[bytes, _Job] = {}
    for path in paths:
        relative = repo.relative(path)
        for other, error in unreadable.items():
            if is_inside(relative, other) or is_inside(other, relative):
                raise error
        job = _job(repo, relative, datasets)
        if job.path in work:
            raise UsageError(f"{show(job.path)} is named more than once", "name each dataset once")
        work[job.path] = job
    ordered = sorted(work)
    for first, second in pairwise(ordered):
        if second.startswith(first + b"/"):
            raise UsageError(f"{show(second)} lies in {show(first)}, and one file cannot be in two datasets")
    return list(work.values())


def _job(repo: Repo, relative: bytes, datasets: list[Dataset]) -> _Job:
    if not relative:
        raise UsageError("the whole repository cannot be one dataset", "datavc add FOLDER for a folder in it")
    if relative.endswith(POINTER_SUFFIX):
        data = relative.removesuffix(POINTER_SUFFIX)
        if repo.read_pointer(data) is not None:
            raise UsageError(f"{show(relative)} is a pointer, not data", f"datavc add {repo.typed(data)}")
    owner = repo.owner(relative, datasets)
    if owner is not None:
        return _Job(owner.path, owner.pointer, relative[len(owner.path) + 1 :])
    inner = [dataset.path for dataset in datasets if dataset.path.startswith(relative + b"/")]
    if inner:
        raise ConflictError(
            f"{show(relative)} holds the dataset {show(inner[0])}, and one file cannot be in two datasets",
            f"datavc add {repo.typed(inner[0])}, or first: datavc remove {repo.typed(inner[0])}",
        )
    return _Job(relative, None)


def _look(
    repo: Repo,
    job: _Job,
    *,
    force: bool,
    update_all: bool,
    rehash: bool,
    workers: Workers,
    progress: Progress,
) -> View:
    """Scan the dataset, and refuse what must not be recorded. Hashes only where a pointer stands to be compared."""
    if job.pointer is None and not rehash:
        scan = scan_workspace(repo, job.path, when_many=workers.start)
        view = View(job.path, None, state_of(repo, job.path, None), scan)
    else:
        view = examine(repo, job.path, job.pointer, jobs=workers.jobs, progress=progress, rehash=rehash)
    refuse_problems(view)
    if not view.scan.exists:
        if update_all:
            return view
        hint = f"datavc checkout {repo.typed(job.path)}" if job.pointer is not None else None
        raise NotFoundError(f"{show(job.path)} does not exist", hint)
    if view.state.checkout is not None:
        raise ConflictError(
            f"a checkout of {show(job.path)} was interrupted, so what is there is neither version",
            f"datavc checkout {repo.typed(job.path)}",
        )
    if view.pointer is not None and not force:
        _refuse_moved(repo, view, update_all=update_all)
    return view


def _is_left_alone(repo: Repo, view: View, result: AddResult) -> bool:
    """Whether ``-u`` has nothing to do with a dataset; it is told of those that need a checkout instead."""
    if view.standing not in ("behind", "missing", "clean") or _must_store(repo, view):
        return False
    if view.standing != "clean":
        result.skipped.append((view.path, view.standing))
    return True


def _must_store(repo: Repo, view: View) -> bool:
    """Whether an unmodified dataset is in the workspace and not in the cache, so that ``-u`` has work with it."""
    return view.standing == "clean" and view.target is not None and repo.cache.root(view.target[0]) is None


def _refuse_moved(repo: Repo, view: View, *, update_all: bool) -> None:
    """A pointer that moved (by git pull, merge or checkout) must not be set back unnoticed."""
    path, typed = show(view.path), repo.typed(view.path)
    if view.standing == "behind" and not update_all:
        raise ConflictError(
            f"{path} was not changed, but its pointer was: adding it would undo that",
            f"datavc checkout {typed}",
        )
    if view.standing == "diverged":
        made = (
            "was changed, and so was its pointer"
            if view.base
            else "differs from its pointer, and was not made here"
        )
        raise ConflictError(
            f"{path} {made}: adding it would undo the pointer's change",
            f"datavc checkout --force {typed} takes the pointer's version and saves yours; "
            f"datavc add --force {typed} records yours over it",
        )


def _plan(repo: Repo, views: list[View], progress: Progress) -> None:
    """Say what a big add needs, and refuse what cannot fit."""
    needed = files = 0
    for view in views:
        for folder, numbers in view.scan.unknown():
            needed += sum(folder.sizes(numbers))
            files += len(numbers)
    free = free_bytes(repo.cache.folder)
    if needed >= _BIG_BYTES:
        progress.note(
            f"{files_and_bytes(files, needed)} to add; needs up to that much of the {human_size(free)} free "
            f"in {repo.cache.folder}"
        )
    if needed + _SPARE_BYTES > free:
        raise OutOfSpace(
            f"adding needs up to {human_size(needed)} and {human_size(_SPARE_BYTES)} to spare, and "
            f"{repo.cache.folder} has {human_size(free)} free",
            "free some space, add a part at a time, or put the cache on a larger disk: "
            "datavc config --local cache.dir FOLDER",
        )


def _foreseen(job: _Job) -> AddedDataset:
    view = job.view
    assert view is not None
    unknown = list(view.scan.unknown())
    size = sum(sum(folder.sizes(numbers)) for folder, numbers in unknown)
    files = sum(len(numbers) for _, numbers in unknown)
    kind = KIND_NAMES[view.scan.top.kinds[0]]
    digest = str(view.content[0]) if view.content is not None else ""
    return AddedDataset(
        job.path,
        job.path + POINTER_SUFFIX,
        digest,
        kind,
        size,
        files,
        files,
        size,
        0,
        0,
        not unknown and view.standing == "clean",
    )


def _add_one(
    repo: Repo, job: _Job, result: AddResult, *, workers: Workers, progress: Progress
) -> AddedDataset:
    view = job.view
    assert view is not None
    version = view.target or view.base
    if job.part:
        assert view.pointer is not None and version is not None
        grafting.graft(repo, view, job.part, version)
    sweep(repo, view.scan.leftovers)
    place = place_of(repo, job.path)
    stored = Ingest(place, view.scan, version, workers=workers, progress=progress).run()
    complete(repo, view)
    digest = Digest(repo.algorithm, stored.entry.digest)
    changed = _record(repo, job, digest, stored.entry, result)
    if stored.root.complete:
        repo.cache.require_kept(digest)
    if not job.part:
        repo.stat_cache.write_rows(view.scan.changed_rows(), drop=view.scan.stale_rows())
    return _added(job, stored, digest, unchanged=not changed)


def _record(repo: Repo, job: _Job, digest: Digest, entry: Entry, result: AddResult) -> bool:
    """Ignore line, pointer, workspace state: in this order. An identical pointer is left untouched.

    Killed before the state is written, the workspace equals its pointer, which is clean whatever the state says. The
    other way round it would equal its state and not its pointer, which is what ``behind`` looks like.
    """
    view = job.view
    assert view is not None
    pointer_path = view.path + POINTER_SUFFIX
    repo.ignore(view.path)
    if repo.git is not None:
        result.git_add.append(to_text(ignore_file(view.path)))
    kind = KIND_NAMES[entry.kind]
    partial = view.state.partial if entry.kind == FOLDER else None
    result.git_add.append(to_text(pointer_path))
    old = view.pointer
    if old is not None and (old.digest, old.kind, old.size, old.files) == (
        digest,
        kind,
        entry.size,
        entry.count,
    ):
        record_base(repo, view, (digest, kind), partial=partial)
        return False
    extra = {key: value for key, value in old.extra.items() if key not in ("run", "import")} if old else {}
    if job.made_by is not None:
        extra["run"] = dict(job.made_by)
    new = Pointer(kind, digest, entry.size, entry.count, extra)
    write_durably(repo.absolute(pointer_path), format_pointer(new))
    view.pointer = new
    record_base(repo, view, (digest, kind), partial=partial)
    return True


def _added(job: _Job, stored: Stored, digest: Digest, *, unchanged: bool) -> AddedDataset:
    return AddedDataset(
        job.path,
        job.path + POINTER_SUFFIX,
        str(digest),
        KIND_NAMES[stored.entry.kind],
        stored.entry.size,
        stored.entry.count,
        stored.new_files,
        stored.new_bytes,
        stored.stored_bytes,
        max(0, stored.read_bytes - stored.new_bytes),
        unchanged,
    )
