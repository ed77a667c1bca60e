"""Making one dataset in the workspace a version of it: the job, its plan, carrying it out, and what is recorded of that.

Of a job that comes from a revision the pointer is written too: ignore line, note of the checkout, pointer, data, note of
its end. So whatever is killed in between is finished by the same command, and ``add`` refuses until then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from datavc.durable import storage_errors, write_durably
from datavc.errors import ConflictError, MalformedError, NotFoundError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import SubPaths, show, split
from datavc.formats.pointer import Pointer, format_pointer
from datavc.formats.state import Checkout
from datavc.formats.times import utc_text
from datavc.formats.tree import FOLDER, KIND_NAMES
from datavc.operations.steps.comparing.grafting import grafted
from datavc.operations.steps.delivering.fulfil import Fulfilment
from datavc.operations.steps.delivering.locating import Located, locate
from datavc.operations.steps.delivering.plan import Plan, Planner
from datavc.operations.steps.examining.examine import View, base_trees, complete, examine
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.operations.steps.storing.ingest import Ingest, unit_workers
from datavc.operations.steps.storing.mergestore import store_merged
from datavc.operations.steps.storing.placing import place_of, require_free_files
from datavc.operations.steps.trees.trees import TreeSource
from datavc.parallel import Workers
from datavc.progress import Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.workspace.safepath import is_case_sensitive, make_folder

# Writing so many files takes longer than starting processes for it.
_MANY_FILES = 5_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A version of the dataset at ``path``: what its ``pointer`` says, or sub-paths ``parts`` of it.

    ``content`` is the pointer's bytes where it is to be written; None where it stands in the workspace already.
    """

    path: bytes
    pointer: Pointer
    parts: tuple[bytes, ...] | None = None
    content: bytes | None = None

    @property
    def version(self) -> tuple[Digest, str]:
        """Its digest and kind."""
        return self.pointer.digest, self.pointer.kind


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What became of one dataset; ``saved`` is the digest under which unsaved work was kept by ``force``.

    ``dropped`` where the revision has no such dataset. ``purged_files`` are left out.
    """

    path: bytes
    digest: str
    written_files: int
    written_bytes: int
    removed_files: int
    unchanged_files: int
    saved: str | None = None
    parts: list[bytes] | None = None
    dropped: bool = False
    purged_files: int = 0


@dataclass(slots=True)
class Job:
    """One dataset to check out: where it stands, its target, what will be done."""

    wanted: Wanted
    view: View
    target: TreeSource
    plan: Plan
    located: Located = field(default_factory=Located)

    @property
    def missing(self) -> list[bytes]:
        """The files whose bytes the cache lacks."""
        return self.located.missing


def prepare(repo: Repo, wanted: Wanted, workers: Workers, progress: Progress) -> Job:
    """Look at a dataset and plan what is to be done, without touching anything.

    Raises:
        ObjectNotFound: a tree of the target is missing.
        ConflictError: the pointer is not that of its tree. NotFoundError: there is no such part.
        OutOfSpace: the file system has no room for so many files.
    """
    path, version = wanted.path, wanted.version
    here = wanted.pointer if wanted.content is None else _readable_pointer(repo, path)
    view = examine(repo, path, here, jobs=workers.jobs, progress=progress, whole=True)
    target = base_trees(repo, version)
    _check_pointer(repo, wanted, target)
    _check_parts(wanted, view, target)
    _check_number(repo, wanted, view, target)
    parent = repo.absolute(path).parent
    case_sensitive = not parent.is_dir() or is_case_sensitive(parent)
    recorded = [base_trees(repo, known) for known in versions_on_record(repo, view)]
    recorded = [source for source in recorded if view.scan.exists and is_readable(source)]
    planner = Planner(view, target, recorded, wanted.parts, case_sensitive=case_sensitive)
    plan = planner.plan(wanted.pointer.size)
    if plan.written_files > _MANY_FILES:
        workers.start()
    return Job(wanted, view, target, plan, locate(repo, version[0], plan))


def versions_on_record(repo: Repo, view: View) -> list[tuple[Digest, str]]:
    """The versions that make what is in the workspace saved, file by file: what it was made from, what was being checked
    out, and what it is as a whole, where the cache proves that it has that."""
    found = [view.base] if view.base is not None else []
    if view.state.checkout is not None:
        found.append((view.state.checkout.target, view.state.checkout.kind))
    if (
        view.content is not None
        and view.content not in found
        and repo.cache.root(view.content[0]) is not None
    ):
        found.append(view.content)
    return found


def carry_out(
    repo: Repo,
    job: Job,
    written: list[Fulfilment],
    *,
    dry_run: bool,
    workers: Workers,
    progress: Progress,
) -> CheckedOut:
    """Do what was planned, durably; what it wrote is still to be remembered then. Raises as :class:`Fulfilment`."""
    view, plan = job.view, job.plan
    saved = None
    if not dry_run:
        if plan.unsaved:
            saved = save(repo, view, jobs=workers.jobs, progress=progress)
        if plan.is_empty:
            # A killed checkout may have left a staged folder, inside or beside, and nothing else to do.
            sweep(repo, [*view.scan.leftovers, *beside(repo, [view.path])])
            _write_pointer(repo, job)
            _note_done(repo, job)
        else:
            _note_begun(repo, job)
            _write_pointer(repo, job)
            fulfilment = Fulfilment(
                repo, view, plan, job.located, job.target, workers=workers, progress=progress
            )
            fulfilment.run()
            written.append(fulfilment)
            _note_done(repo, job)
    return CheckedOut(
        view.path,
        str(job.wanted.pointer.digest),
        plan.written_files + len(plan.modes),
        plan.written_bytes,
        len(plan.removed) + len(plan.cleared),
        plan.unchanged,
        saved,
        list(job.wanted.parts) if job.wanted.parts is not None else None,
        purged_files=len(job.located.purged),
    )


def store(repo: Repo, view: View, *, saved: bool, jobs: int, progress: Progress) -> str:
    """Put what is in the workspace into the cache, under a root; ``saved`` marks unsaved work. Returns its digest."""
    place = place_of(repo, view.path, saved=saved)
    complete(repo, view)
    with unit_workers(jobs) as workers:
        stored = Ingest(place, view.scan, view.base, workers=workers, progress=progress).run()
    return str(Digest(repo.algorithm, stored.entry.digest))


def save(repo: Repo, view: View, *, jobs: int, progress: Progress) -> str:
    """Keep the workspace as it is now in the cache, under a root that says so."""
    digest = store(repo, view, saved=True, jobs=jobs, progress=progress)
    # A warning, since it is wanted by those too who want quiet; now, since what follows may be killed.
    progress.note(
        f"warning: {show(view.path)}: unsaved changes are kept as {digest}; to get them back: "
        f"datavc checkout --force {digest} -- {repo.typed(view.path)}"
    )
    return digest


def _readable_pointer(repo: Repo, path: bytes) -> Pointer | None:
    """The pointer in the workspace; one that is damaged is replaced like any other. Raises ConflictError after a merge."""
    try:
        return repo.read_pointer(path)
    except MalformedError:
        return None


def _check_pointer(repo: Repo, wanted: Wanted, target: TreeSource) -> None:
    """A pointer is untrusted: its size and number of files must be those of its tree."""
    pointer = wanted.pointer
    if target.kind != FOLDER:
        return
    tree = target.tree(target.top)
    if (tree.size, tree.count) != (pointer.size, pointer.files):
        raise ConflictError(
            f"the pointer of {pointer.digest.short} says {pointer.files} files and {pointer.size} bytes, "
            f"its tree {tree.count} and {tree.size}",
            f"take the pointer from git again: git checkout -- {repo.typed(wanted.path + POINTER_SUFFIX)}",
        )


def _check_parts(wanted: Wanted, view: View, target: TreeSource) -> None:
    for part in wanted.parts or ():
        name = part.rpartition(b"/")[2]
        if target.entry_at(part, name) is None and not _is_here(view, part):
            raise NotFoundError(f"{show(wanted.path + b'/' + part)} is not in the dataset", "datavc ls")


def _check_number(repo: Repo, wanted: Wanted, view: View, target: TreeSource) -> None:
    """Refuse more files than there is room for before a plan holds them in memory. The plan tells the exact number."""
    meant = _joined((), wanted.parts) if wanted.parts is not None else (b"",)
    found = [target.entry_at(part, part.rpartition(b"/")[2]) for part in meant]
    here = view.entry.count if view.entry is not None else 0
    require_free_files(repo.root, sum(entry.count for entry in found if entry is not None) - here)


def _is_here(view: View, part: bytes) -> bool:
    folder, _, name = (view.path + b"/" + part).rpartition(b"/")
    return folder in view.scan.folders and name in view.scan.folders[folder].names


def is_readable(source: TreeSource) -> bool:
    """A version on record whose trees are gone vouches for nothing, so what it had counts as unsaved."""
    try:
        if source.kind == FOLDER:
            source.require_walkable(source.top)
    except ObjectNotFound:
        return False
    return True


def _note_begun(repo: Repo, job: Job) -> None:
    underway = Checkout(*job.wanted.version, job.wanted.parts, utc_text())
    state = replace(job.view.state, checkout=underway)
    repo.write_state(state)
    job.view.state = state


def _note_done(repo: Repo, job: Job) -> None:
    """Record what the workspace is now: the version, or, after a part of it, the mixture that came out."""
    view, parts = job.view, job.wanted.parts
    version, partial = job.wanted.version, None
    if parts is not None and job.target.kind == FOLDER:
        was_here = view.scan.exists and view.state.base is not None
        if _becomes_mixture(job):
            version = _mix(repo, job)
        if not was_here or view.state.partial is not None:
            partial = _joined(view.state.partial or (), parts)
    state = replace(view.state, base=version[0], kind=version[1], partial=partial, checkout=None)
    if state != view.state:
        repo.write_state(state)


def _becomes_mixture(job: Job) -> bool:
    """Whether a part of one version comes to lie in the rest of another."""
    view, wanted = job.view, job.wanted
    if wanted.parts is None or job.target.kind != FOLDER or not view.scan.exists or view.base is None:
        return False
    return view.base != wanted.version and not (
        wanted.content is None and _are_all_that_is_here(view, wanted.parts)
    )


def _are_all_that_is_here(view: View, parts: tuple[bytes, ...]) -> bool:
    """Whether a partial workspace has nothing but these parts: then all of it is of the pointer's version afterwards."""
    partial = view.state.partial
    if partial is None or not all(map(SubPaths(parts).hold, partial)):
        return False
    full = SubPaths(view.path + b"/" + part for part in parts)
    return all(
        kind == FOLDER or full.hold(folder.path + b"/" + name)
        for folder in view.scan.folders.values()
        for name, kind in zip(folder.names, folder.kinds, strict=True)
    )


def _mix(repo: Repo, job: Job) -> tuple[Digest, str]:
    """The version that is the base but for the parts; from a revision, it is stored and gets the pointer."""
    view, wanted = job.view, job.wanted
    assert view.base is not None and wanted.parts is not None
    entry, trees = grafted(repo, base_trees(repo, view.base), job.target, wanted.parts)
    repo.stat_cache.write_trees(trees)
    digest, kind = Digest(repo.algorithm, entry.digest), KIND_NAMES[entry.kind]
    if wanted.content is not None and view.pointer is not None:
        store_merged(repo, wanted.path, entry, trees, [view.base[0], wanted.pointer.digest])
        if digest != view.pointer.digest:
            extra = {k: v for k, v in view.pointer.extra.items() if k not in ("run", "import")}
            made = Pointer(kind, digest, entry.size, entry.count, extra)
            write_durably(repo.absolute(wanted.path + POINTER_SUFFIX), format_pointer(made))
    return digest, kind


def _write_pointer(repo: Repo, job: Job) -> None:
    """The ignore line, then the pointer: where it is to be that of a revision, and is not yet."""
    path, content = job.wanted.path, job.wanted.content
    if content is None or (_becomes_mixture(job) and job.view.pointer is not None):
        return
    folder = path.rpartition(b"/")[0]
    with storage_errors(repo.absolute(folder)):
        make_folder(repo.root_bytes, folder)
    repo.ignore(path)
    file = repo.absolute(path + POINTER_SUFFIX)
    with storage_errors(file):
        is_written = file.is_file() and not file.is_symlink() and file.read_bytes() == content
    if not is_written:
        write_durably(file, content)


def _joined(old: tuple[bytes, ...], new: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Both lists of sub-paths, without those that lie in another of them."""
    parts = {*old, *new}
    known = SubPaths(parts)
    return tuple(part for part in sorted(parts) if not known.hold(split(part)[0]))
