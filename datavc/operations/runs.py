"""``runs`` and ``show``: the records that there are, and what one of them says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from datavc.errors import IntegrityError, NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.record import MAX_RECORD_BYTES, Record, decode_record
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.operations.steps.runs.lineageindex import Known, LineageIndex
from datavc.operations.steps.runs.recordstore import find_record, read_record
from datavc.operations.steps.transfers.obtaining import remote_records
from datavc.progress import SILENT, Progress
from datavc.repo import Repo
from datavc.store.remote import RemoteStore


@dataclass(frozen=True, slots=True)
class RunRow:
    """A record, as a list shows it: ``made`` are the paths of what it made."""

    record: Digest
    start: str
    status: str
    stage: str | None
    command: str
    made: list[bytes]


def runs(
    repo: Repo, limit: int | None = None, *, remote: str | None = None, progress: Progress = SILENT
) -> list[RunRow]:
    """The records in the cache, the newest first; or those on the remote called ``remote``. Raises StorageError."""
    if remote is not None:
        return _remote_runs(open_remote(repo, remote), limit, progress)
    index = LineageIndex(repo)
    try:
        return [_row(index, known) for known in index.records()[:limit]]
    finally:
        index.close()


def _remote_runs(store: RemoteStore, limit: int | None, progress: Progress) -> list[RunRow]:
    """A request for the list, and some for each record. What cannot be read is said, and left out."""
    rows = []
    newest = sorted(remote_records(store), key=lambda root: root.when, reverse=True)
    for root in newest[:limit]:
        try:
            reader = store.reader(store.index(root.indexes))
            record = decode_record(
                reader.read(root.digest.raw, limit=MAX_RECORD_BYTES), f"the record {root.digest.short}"
            )
        except (IntegrityError, NotFoundError) as error:
            progress.note(f"warning: {error.message}")
            continue
        made = [row.path for row in record.outputs]
        rows.append(
            RunRow(root.digest, record.start, record.status, record.stage, " ".join(record.argv), made)
        )
    return sorted(rows, key=lambda row: row.start, reverse=True)


def _row(index: LineageIndex, known: Known) -> RunRow:
    made = [edge.path for edge in index.edges_of(known.digest, "out")]
    return RunRow(known.digest, known.start, known.status, known.stage, known.command, made)


def the_record(repo: Repo, subject: str, path: bytes | None = None) -> tuple[Digest, Record]:
    """The record that ``subject`` names: by its first digits, or as what made the dataset at the absolute ``path``.

    Raises:
        NotFoundError: there is none here. UsageError: several begin so.
    """
    digest = find_record(repo, subject)
    if digest is None and path is not None and path.startswith(repo.root_bytes):
        relative = repo.relative(path).removesuffix(b".datavc")
        dataset = repo.owner(relative, repo.datasets()) if relative else None
        named = dataset.pointer.run if dataset is not None else None
        if dataset is not None and named is None:
            raise NotFoundError(
                f"the pointer of {subject} names no record: it was added, not run", "datavc runs"
            )
        digest = Digest.parse(str(named["record"])) if named is not None else None
    if digest is None:
        raise NotFoundError(f"no record {subject} is here", "datavc runs")
    return digest, read_record(repo, digest)


def write_output(repo: Repo, record: Record, name: str, out: BinaryIO) -> None:
    """Write an object of a record, such as its ``stdout``. Raises NotFoundError, ObjectNotFound."""
    kept = record.objects.get(name)
    if kept is None:
        raise NotFoundError(f"this record has no {name}", f"it has: {', '.join(sorted(record.objects))}")
    for piece in repo.cache.reader(kept.digest).stream(kept.digest.raw):
        out.write(piece)
