"""Reading what is stored, to see whether it is sound: which files, by whom, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datavc.backends.base import Backend, StoredFile
from datavc.formats.times import utc_text
from datavc.parallel import Workers, run_batches
from datavc.progress import Progress
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.check import Checked, check_files
from datavc.store.checklog import CheckLog, Chosen

# What one core reads and hashes, entry by entry, in a second.
_BYTES_PER_SECOND = 1 << 30
# What a worker takes at once: one pack, or as many whole blobs.
_BATCH_BYTES = 64 << 20
_BATCH_FILES = 1000


@dataclass(slots=True)
class ReadNow:
    """What of a store's packs and whole blobs was read now, and when the others were: times are RFC 3339 in UTC.

    ``since`` is when the check began that was interrupted and went on now.
    """

    files: int = 0
    size: int = 0
    before: int = 0
    first: str | None = None
    last: str | None = None
    never: int = 0
    since: str | None = None

    @classmethod
    def of(cls, chosen: Chosen) -> ReadNow:
        """What will have been read."""
        return cls(
            files=len(chosen.now),
            size=sum(file.size for file in chosen.now),
            before=len(chosen.before),
            first=utc_text(min(chosen.before)) if chosen.before else None,
            last=utc_text(max(chosen.before)) if chosen.before else None,
            never=chosen.never,
            since=utc_text(chosen.since) if chosen.since is not None else None,
        )


def check_log(repo: Repo, backend: Backend) -> CheckLog:
    """What this clone remembers of checks of a store."""
    return CheckLog(log_path(repo), backend)


def log_path(repo: Repo) -> Path:
    """Where that lies."""
    return repo.shared / "checked.db"


def read_in_workers(
    backend: Backend, files: list[StoredFile], log: CheckLog, *, jobs: int, progress: Progress
) -> Iterator[Checked]:
    """Read packs and whole blobs in ``jobs`` processes, each with one pack in memory, and note what is sound."""
    size = sum(file.size for file in files)
    progress.begin("checking packs and blobs", total_bytes=size, total_files=len(files))
    try:
        with Workers(min(jobs, len(files)), preload="datavc.store.check") as workers:
            executor = workers.executor(expected_seconds=size / _BYTES_PER_SECOND)
            batches = ((backend, batch) for batch in _batches(files))
            for answers in run_batches(check_files, batches, executor, ahead=2 * jobs):
                yield from noted(answers, log, progress.advance)
    finally:
        log.flush()
    progress.end()


def noted(answers: Iterable[Checked], log: CheckLog, advance: Callable[..., None]) -> Iterator[Checked]:
    """What was read, once it is remembered."""
    for checked in answers:
        if not checked.is_gone:
            log.note(checked.file, is_sound=not checked.message)
        advance(size=checked.file.size, files=1)
        yield checked


def _batches(files: list[StoredFile]) -> Iterator[list[StoredFile]]:
    batch: list[StoredFile] = []
    size = 0
    for file in files:
        # A pack is a batch: what was read is noted when a batch is done.
        if batch and (
            size + file.size > _BATCH_BYTES
            or len(batch) == _BATCH_FILES
            or not file.name.startswith(layout.BLOBS)
        ):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch
