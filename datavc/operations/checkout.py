"""``checkout``: make the workspace what the pointers say; or pointers, ignore lines and data what a revision has.

First a plan, in which missing objects, too little space and unsaved work are found before anything is touched. Then new
content is staged, verified and renamed; what the version lacks goes last. The workspace state notes the checkout
before its first change and after its last, so that an interrupted one is known and finished by the same command.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from datavc.errors import NotFoundError, ObjectNotFound, UsageError
from datavc.formats.paths import is_inside, show, show_some
from datavc.operations.selection import select
from datavc.operations.steps.delivering.dropping import Drop, carry_out_drop, plan_drop
from datavc.operations.steps.delivering.elsewhere import elsewhere
from datavc.operations.steps.delivering.fulfil import Fulfilment, deliver_workers
from datavc.operations.steps.delivering.guarding import (
    refuse_expired,
    refuse_full,
    refuse_missing,
    refuse_purged,
    refuse_unsaved,
)
from datavc.operations.steps.delivering.locating import leave_out_purged
from datavc.operations.steps.delivering.switching import CheckedOut, Job, Wanted, carry_out, prepare
from datavc.operations.steps.delivering.uncommitted import tell_uncommitted
from datavc.operations.steps.examining.ignorelines import settle_ignore_lines
from datavc.operations.steps.naming.revisions import Revision, resolve_revision, revision_before
from datavc.parallel import Workers
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Dataset, Repo


@dataclass(slots=True)
class CheckoutResult:
    """One row per dataset, and the ``commit`` that a revision named."""

    datasets: list[CheckedOut] = field(default_factory=list)
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class _Choice:
    """What is to become of which datasets: those ``wanted``, and those to be dropped."""

    wanted: list[Wanted]
    dropped: list[Dataset] = field(default_factory=list)
    revision: Revision | None = None


def checkout(
    repo: Repo,
    paths: list[bytes],
    *,
    revision: str | None = None,
    before: str | None = None,
    to: Path | None = None,
    remote: str | None = None,
    force: bool = False,
    allow_purged: bool = False,
    dry_run: bool = False,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> CheckoutResult:
    """Make the datasets (or sub-paths) that ``paths`` name what their pointers say; all of them without paths.

    With a ``revision`` (or the last commit ``before`` a date) pointers, ignore lines and data become those of that
    revision; git's HEAD and index stay. Without paths, datasets that it lacks are dropped. ``to`` writes into another
    folder, and leaves the workspace alone. What the cache lacks of a revision is fetched from the remotes, or from the
    one called ``remote``. ``force`` overwrites unsaved work, after storing it in the cache. ``allow_purged`` leaves out
    files that were purged.

    Raises:
        UsageError: there is no such revision. NotFoundError: it has no such dataset.
        ConflictError: unsaved work would be lost, or something changes the files at the same time.
        ObjectNotFound: objects are missing, PurgedError: for good, OutOfSpace: they do not fit; in all these cases nothing
            was touched.
    """
    run = _Run(repo, remote, force=force, allow_purged=allow_purged, dry_run=dry_run, progress=progress)
    if to is not None:
        choice = _chosen(repo, paths, revision if revision or before else "HEAD", before)
        with _place(repo, to, choice, dry_run=dry_run) as place, deliver_workers(jobs) as workers:
            wanted = [replace(item, content=None) for item in choice.wanted]
            return run.run(place, _Choice(wanted, revision=choice.revision), workers)
    with repo.lock("checkout"), deliver_workers(jobs) as workers:
        return run.run(repo, _chosen(repo, paths, revision, before), workers)


def _chosen(repo: Repo, paths: list[bytes], revision: str | None, before: str | None) -> _Choice:
    if revision is None and before is None:
        selected = select(repo, paths)
        return _Choice([Wanted(item.dataset.path, item.dataset.pointer, item.parts) for item in selected])
    if revision is not None and before is not None:
        raise UsageError("a revision and --before both name a commit", "leave one of them away")
    found = revision_before(repo, before) if before is not None else resolve_revision(repo, str(revision))
    if found.commit is None or found.text.startswith(f"{repo.algorithm}:"):
        return _by_digest(repo, paths, found)
    selected = select(repo, paths, found.datasets if paths else found.meant)
    wanted = [
        Wanted(item.dataset.path, item.dataset.pointer, item.parts, found.pointers[item.dataset.path])
        for item in selected
    ]
    dropped = []
    if not paths and found.dataset is None:
        paths_here = [name.removesuffix(POINTER_SUFFIX) for name in repo.pointer_paths()]
        gone = [(path, repo.read_pointer(path)) for path in paths_here if path not in found.pointers]
        dropped = [Dataset(path, pointer) for path, pointer in gone if pointer is not None]
    return _Choice(wanted, dropped, found)


def _by_digest(repo: Repo, paths: list[bytes], found: Revision) -> _Choice:
    """One version, at its own path or at the one that is named, which may be a part of a dataset, or no dataset yet."""
    if len(paths) > 1:
        raise UsageError("a digest is one version of one dataset", "datavc checkout DIGEST -- PATH")
    dataset = found.datasets[0]
    content = found.pointers[dataset.path]
    path, parts = dataset.path, None
    if paths:
        path = repo.relative(paths[0]).removesuffix(POINTER_SUFFIX)
        owner = repo.owner(path, repo.datasets())
        if owner is not None and owner.path != path:
            path, parts = owner.path, (path[len(owner.path) + 1 :],)
    if not path:
        raise UsageError("the whole repository cannot be one dataset", "datavc checkout DIGEST -- PATH")
    here = repo.read_pointer(path)
    if here is not None and here.digest == dataset.digest:
        # It may say more than the digest does: how the dataset was made.
        content = repo.absolute(path + POINTER_SUFFIX).read_bytes()
    return _Choice([Wanted(path, dataset.pointer, parts, content)], [], found)


@contextmanager
def _place(repo: Repo, to: Path, choice: _Choice, *, dry_run: bool) -> Iterator[Repo]:
    """Another folder, as a repo in which nothing is recorded."""
    relative = to.resolve()
    for dataset in repo.datasets():
        if relative.is_relative_to(repo.absolute(dataset.path)):
            raise UsageError(
                f"{to} lies in the dataset {show(dataset.path)}", "choose another folder: --to DIR"
            )
    with elsewhere(repo, to, dry_run=dry_run) as place:
        yield place


class _Run:
    """One checkout of several datasets: all is planned and judged, and then done."""

    def __init__(
        self,
        repo: Repo,
        remote: str | None,
        *,
        force: bool,
        allow_purged: bool,
        dry_run: bool,
        progress: Progress,
    ) -> None:
        self._repo = repo
        self._remote = remote
        self._force = force
        self._allow_purged = allow_purged
        self._dry_run = dry_run
        self._progress = progress

    def run(self, place: Repo, choice: _Choice, workers: Workers) -> CheckoutResult:
        """Do it in ``place``, which is the repo itself or stands for another folder."""
        drops = [plan_drop(place, dataset, workers, self._progress) for dataset in choice.dropped]
        jobs, foreseen = self._prepare(place, choice, workers)
        self._judge(place, jobs, drops)
        result = CheckoutResult(commit=choice.revision.commit if choice.revision is not None else None)
        if choice.revision is not None and place is self._repo and not self._dry_run:
            tell_uncommitted(place, choice.wanted, choice.dropped, self._progress)
        for drop in drops:
            result.datasets.append(
                carry_out_drop(place, drop, dry_run=self._dry_run, workers=workers, progress=self._progress)
            )
        written: list[Fulfilment] = []
        for job in jobs:
            if drops and not self._dry_run and _meets(job, drops):
                # What it will find is only there now that the others are gone.
                job = prepare(place, job.wanted, workers, self._progress)
                self._judge(place, [job], [])
            result.datasets.append(
                carry_out(
                    place, job, written, dry_run=self._dry_run, workers=workers, progress=self._progress
                )
            )
        for fulfilment in written:
            fulfilment.remember()
        if result.commit is not None and place is self._repo and not self._dry_run:
            paths = [row.path for row in result.datasets]
            settle_ignore_lines(place, result.commit, paths)
        result.datasets += foreseen
        result.datasets.sort(key=lambda row: row.path)
        return result

    def _prepare(self, place: Repo, choice: _Choice, workers: Workers) -> tuple[list[Job], list[CheckedOut]]:
        """The jobs, after what they lack was fetched; in a dry run, rows for those that would have to be fetched."""
        prepared: list[tuple[Wanted, Job | None, ObjectNotFound | None]] = []
        for wanted in choice.wanted:
            try:
                job = prepare(place, wanted, workers, self._progress)
                prepared.append((wanted, job, None))
            except ObjectNotFound as error:
                prepared.append((wanted, None, error))
        lacking = [wanted for wanted, job, _ in prepared if job is None or job.missing]
        if choice.revision is None or not lacking or not self._has_remote():
            for wanted, _, failure in prepared:
                if failure is not None:
                    refuse_expired(place, wanted)
                    raise self._lacking(lacking, failure)
            return [job for _, job, _ in prepared if job is not None], []
        if self._dry_run:
            done = [job for wanted, job, _ in prepared if job is not None and wanted not in lacking]
            return done, [_foreseen(wanted) for wanted in lacking]
        self._fetch(choice.revision, lacking)
        return [
            prepare(place, wanted, workers, self._progress) if job is None or job.missing else job
            for wanted, job, _ in prepared
        ], []

    def _lacking(self, lacking: list[Wanted], error: ObjectNotFound) -> ObjectNotFound:
        """The error for datasets whose folders are not here, by name."""
        paths = [wanted.path for wanted in lacking]
        hint = f"datavc pull {self._repo.typed(*paths)}" if self._has_remote() else error.hint
        return ObjectNotFound(f"not all of {show_some(paths)} is in the cache; nothing was touched", hint)

    def _has_remote(self) -> bool:
        return bool(self._repo.remotes())

    def _fetch(self, revision: Revision, lacking: list[Wanted]) -> None:
        """Bring what is missing into the cache. Raises what fetch does; nothing was touched then."""
        from datavc.operations.fetch import fetch
        from datavc.operations.steps.naming.chosen import Revisions

        paths = [
            self._repo.root_bytes + b"/" + wanted.path + (b"/" + part if part else b"")
            for wanted in lacking
            for part in (wanted.parts or (b"",))
        ]
        named = revision.text
        if revision.commit is not None and revision.dataset is None:
            named = revision.commit
        if revision.commit is None:
            paths = []
        fetched = fetch(
            self._repo, paths, remote=self._remote, revisions=Revisions((named,)), progress=self._progress
        )
        for row in fetched.failed:
            raise NotFoundError(f"{row.message}; nothing was touched", row.hint)

    def _judge(self, place: Repo, jobs: list[Job], drops: list[Drop]) -> None:
        """Refuse before anything is touched."""
        for job in jobs:
            if drops:
                job.plan.unsaved = [path for path in job.plan.unsaved if not _goes(place, path, drops)]
        if not self._force:
            unsaved = {drop.path: drop.unsaved for drop in drops}
            unsaved.update({job.wanted.path: job.plan.unsaved for job in jobs})
            refuse_unsaved(place, unsaved)
        if not self._allow_purged:
            refuse_purged(place, jobs)
        for job in jobs:
            leave_out_purged(job.plan, job.located)
        refuse_missing(place, jobs)
        refuse_full(place, jobs, self._progress)


def _meets(job: Job, drops: list[Drop]) -> bool:
    """Whether the dataset lies in one that goes, or the other way round."""
    path = job.wanted.path
    return any(is_inside(path, drop.path) or is_inside(drop.path, path) for drop in drops)


def _goes(repo: Repo, path: bytes, drops: list[Drop]) -> bool:
    """Whether something in the way of a new dataset is what a dropped one leaves: its data, its pointer, its ignore line."""
    for drop in drops:
        if is_inside(path, drop.path) or path == drop.path + POINTER_SUFFIX:
            return True
    folder, _, name = path.rpartition(b"/")
    if name != b".gitignore":
        return False
    from datavc.git.ignorefile import ignore_line
    from datavc.git.linefile import lines_of

    going = {
        ignore_line(drop.path.rpartition(b"/")[2])
        for drop in drops
        if drop.path.rpartition(b"/")[0] == folder
    }
    return set(lines_of(repo.absolute(path).read_bytes())) <= going


def _foreseen(wanted: Wanted) -> CheckedOut:
    """What a dry run says of a version that would have to be fetched first."""
    pointer = wanted.pointer
    parts = list(wanted.parts) if wanted.parts is not None else None
    return CheckedOut(wanted.path, str(pointer.digest), pointer.files, pointer.size, 0, 0, parts=parts)
