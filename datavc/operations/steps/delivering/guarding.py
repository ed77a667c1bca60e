"""What ``checkout`` refuses before anything is touched: unsaved work, missing objects, too little space."""

from __future__ import annotations

from collections.abc import Sequence

from datavc.errors import ConflictError, ObjectNotFound, OutOfSpace, PurgedError
from datavc.formats.amounts import count, files_and_bytes, human_size
from datavc.formats.paths import show_some
from datavc.operations.steps.delivering.switching import Job, Wanted
from datavc.operations.steps.storing.placing import free_bytes, require_free_files
from datavc.operations.steps.trees.expiry import expired
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store.purged import read_purged

_SPARE_BYTES = 16 << 20


def refuse_unsaved(repo: Repo, unsaved: dict[bytes, list[bytes]]) -> None:
    """Refuse to lose what nothing on record has: paths, by the dataset that they are in. Raises ConflictError."""
    unsaved = {dataset: paths for dataset, paths in unsaved.items() if paths}
    if not unsaved:
        return
    typed = repo.typed(*unsaved)
    raise ConflictError(
        f"unsaved changes would be lost: {show_some([path for paths in unsaved.values() for path in paths])}",
        f"datavc add {typed} records them; datavc checkout --force {typed} stores them aside first",
    )


def refuse_missing(repo: Repo, jobs: Sequence[Job]) -> None:
    """Refuse to begin without every byte. Raises ObjectNotFound."""
    for job in jobs:
        if job.missing:
            refuse_expired(repo, job.wanted)
    missing = [path for job in jobs for path in job.missing]
    if not missing:
        return
    datasets = [job.wanted.path for job in jobs if job.missing]
    hint = f"datavc pull {repo.typed(*datasets)}; " if repo.config.tables_in("remote", "url") else ""
    raise ObjectNotFound(
        f"the cache {repo.cache_folder} lacks the bytes of {count(len(missing), 'file')}: {show_some(missing)}; "
        "nothing was touched",
        f"{hint}datavc fsck shows what is damaged; a clone that has them can share its cache (datavc config --local "
        "cache.dir FOLDER), and datavc add stores them again from a copy of the files",
    )


def refuse_purged(repo: Repo, jobs: Sequence[Job]) -> None:
    """Refuse a version some of whose files were purged, with the reason of the first. Raises PurgedError."""
    purged = [one for job in jobs for one in job.located.purged]
    if not purged:
        return
    note = read_purged(repo.cache.backend, purged[0][1])
    raise PurgedError(
        f"{count(len(purged), 'file')} of it {'was' if len(purged) == 1 else 'were'} {note or 'purged'}: "
        f"{show_some([path for path, _ in purged])}; nothing was touched",
        "to have the rest: the same command with --allow-purged",
    )


def refuse_expired(repo: Repo, wanted: Wanted) -> None:
    """Say so if the version that is missing was dropped on purpose. Raises ObjectNotFound."""
    known = expired([repo.cache.backend], repo.config.repo_id, wanted.pointer.digest)
    if known is not None:
        raise ObjectNotFound(f"{known.message}; nothing was touched", known.hint)


def refuse_full(repo: Repo, jobs: Sequence[Job], progress: Progress) -> None:
    """Refuse what does not fit, and say what a big checkout needs. Raises OutOfSpace."""
    require_free_files(repo.root, sum(job.plan.new_names for job in jobs))
    needed = sum(job.plan.written_bytes for job in jobs)
    if not needed:
        return
    free = free_bytes(repo.root)
    if needed >= 1 << 30:
        files = sum(job.plan.written_files for job in jobs)
        progress.note(
            f"{files_and_bytes(files, needed)} to write, of the {human_size(free)} free in {repo.root}"
        )
    if needed + _SPARE_BYTES > free:
        raise OutOfSpace(
            f"the checkout needs {human_size(needed)} and {human_size(_SPARE_BYTES)} to spare, and {repo.root} has "
            f"{human_size(free)} free; nothing was touched",
            "free some space, or check out a part: datavc checkout DATASET/SUB",
        )
