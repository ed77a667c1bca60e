"""``adopt``: write the pointers of what a run made into this clone, as if it had been run here."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.durable import write_durably
from datavc.errors import ConflictError, NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show, to_text
from datavc.formats.pointer import MAX_COMMAND_LENGTH, Pointer, format_pointer
from datavc.formats.record import Data
from datavc.git.ignorefile import ignore_file
from datavc.operations.steps.runs.recordstore import read_record
from datavc.operations.steps.transfers.obtaining import obtain_record
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo
from datavc.workspace.safepath import make_folder, refused_name


@dataclass(slots=True)
class Adopted:
    """The datasets whose pointers were written, and the paths to give to ``git add``."""

    record: Digest
    datasets: list[bytes] = field(default_factory=list)
    unchanged: list[bytes] = field(default_factory=list)
    git_add: list[str] = field(default_factory=list)


def adopt(
    repo: Repo, record: str, *, remote: str | None = None, force: bool = False, progress: Progress = SILENT
) -> Adopted:
    """Write the pointers of the outputs of a run, which is fetched where it is not here. The data is not.

    ``force`` replaces pointers that name another version.

    Raises:
        NotFoundError: there is no such record, or it made no dataset. UsageError: several begin so.
        ConflictError: a pointer names another version, or datasets would overlap; nothing was written.
    """
    digest = obtain_record(repo, record, remote, progress)
    found = read_record(repo, digest)
    rows = [row for row in found.outputs if row.declared and not row.metrics and row.digest is not None]
    if not rows or found.status != "ok":
        raise NotFoundError(f"the record {digest.short} made no dataset", f"datavc show {digest.short}")
    run = {
        "record": str(digest),
        **({"stage": found.stage} if found.stage else {}),
        "command": " ".join(found.argv)[:MAX_COMMAND_LENGTH].encode("utf-8", "replace").decode(),
    }
    adopted = Adopted(digest)
    with repo.lock("adopt"):
        for row in rows:
            _judge(repo, row, force=force)
        for row in rows:
            _write(repo, row, run, adopted)
    return adopted


def _judge(repo: Repo, row: Data, *, force: bool) -> None:
    """A record comes from strangers: what it names must be a dataset that could be added here."""
    if row.path.startswith(b"/") or any(map(refused_name, row.path.split(b"/"))):
        raise ConflictError(f"{show(row.path)} cannot be a dataset here")
    for dataset in repo.datasets():
        if dataset.path != row.path and (
            is_inside(row.path, dataset.path) or is_inside(dataset.path, row.path)
        ):
            raise ConflictError(f"{show(row.path)} and the dataset {show(dataset.path)} overlap")
    pointer = repo.read_pointer(row.path)
    if pointer is not None and pointer.digest != row.digest and not force:
        raise ConflictError(
            f"the pointer of {show(row.path)} names another version", "datavc adopt --force replaces it"
        )


def _write(repo: Repo, row: Data, run: dict[str, str], adopted: Adopted) -> None:
    old = repo.read_pointer(row.path)
    if old is not None and old.digest == row.digest:
        adopted.unchanged.append(row.path)
        return
    # Never through a symlink: the path is a stranger's.
    make_folder(repo.root_bytes, row.path.rpartition(b"/")[0])
    repo.ignore(row.path)
    if repo.git is not None:
        adopted.git_add.append(to_text(ignore_file(row.path)))
    kept = {key: value for key, value in old.extra.items() if key not in ("run", "import")} if old else {}
    assert row.digest is not None
    pointer = Pointer(row.kind, row.digest, row.size, row.files, {**kept, "run": run})
    file = row.path + POINTER_SUFFIX
    write_durably(repo.absolute(file), format_pointer(pointer))
    adopted.datasets.append(row.path)
    adopted.git_add.append(file.decode("utf-8", "surrogateescape"))
