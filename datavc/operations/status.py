"""``status``: how each dataset in the workspace stands to its pointer, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from datavc.errors import ConflictError, DatavcError, ObjectNotFound
from datavc.operations.selection import Selected, select_readable
from datavc.operations.steps.examining.examine import View, base_trees, examine
from datavc.operations.steps.naming.notes import uncommitted_pointers
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo

if TYPE_CHECKING:
    from datavc.operations.steps.comparing.compare import Change

IN_CONFLICT = "in conflict"
UNREADABLE_POINTER = "pointer unreadable"


@dataclass(slots=True)
class DatasetStatus:
    """One dataset. ``states`` are words of the reference page of ``status``, the first being the one that matters most.

    ``base`` and ``pointer_digest`` are digests as text; ``partial`` lists the sub-paths that were checked out;
    ``problems`` are paths that could not be read or recorded, each with the reason. A pointer that cannot be read has no
    digest, and is the problem; ``hint`` is then what to type.
    """

    path: bytes
    states: list[str]
    pointer_digest: str | None
    base: str | None = None
    pointer_committed: bool = True
    added: list[Change] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    removed: list[Change] = field(default_factory=list)
    renamed: list[Change] = field(default_factory=list)
    partial: list[bytes] | None = None
    problems: list[tuple[bytes, str]] = field(default_factory=list)
    hint: str | None = None

    @property
    def is_clean(self) -> bool:
        """Whether nothing is to be done."""
        return self.states == ["clean"]


def status(
    repo: Repo,
    paths: list[bytes],
    *,
    jobs: int = 1,
    offline: bool = False,
    progress: Progress = SILENT,
    rehash: bool = False,
) -> list[DatasetStatus]:
    """The standing of the datasets that ``paths`` name, hold or lie in; of all without paths. Changes nothing.

    Trees that are not here and are needed to tell what changed are fetched, unless ``offline``. A dataset whose pointer
    cannot be read hides none of the others: it is ``in conflict``, or its ``pointer unreadable``.

    Raises:
        NotFoundError: a path has nothing to do with any dataset.
    """
    uncommitted = uncommitted_pointers(repo)
    selected, unreadable = select_readable(repo, paths)
    with looking_afar(repo, offline=offline, progress=progress):
        rows = [_status(repo, item, uncommitted, jobs, progress, rehash) for item in selected]
    rows += [_unreadable(path, error) for path, error in unreadable.items()]
    return sorted(rows, key=lambda row: row.path)


def _unreadable(path: bytes, error: DatavcError) -> DatasetStatus:
    state = IN_CONFLICT if isinstance(error, ConflictError) else UNREADABLE_POINTER
    problem = path + POINTER_SUFFIX, error.message
    return DatasetStatus(path, [state], None, pointer_committed=False, problems=[problem], hint=error.hint)


def _status(
    repo: Repo, item: Selected, uncommitted: dict[bytes, str], jobs: int, progress: Progress, rehash: bool
) -> DatasetStatus:
    path, pointer = item.dataset.path, item.dataset.pointer
    view = examine(repo, path, pointer, jobs=jobs, progress=progress, rehash=rehash)
    result = DatasetStatus(
        path,
        _states(repo, view),
        str(pointer.digest),
        base=str(view.base[0]) if view.base else None,
        pointer_committed=path not in uncommitted,
        partial=list(view.state.partial) if view.state.partial is not None else None,
        problems=view.scan.problems,
    )
    if not result.pointer_committed:
        result.states.append("pointer not committed")
    if len(result.states) > 1 and result.states[0] == "clean":
        del result.states[0]
    if view.standing in ("modified", "diverged"):
        _list_changes(repo, view, item, result)
    return result


def _states(repo: Repo, view: View) -> list[str]:
    states = ["checkout unfinished"] if view.state.checkout is not None else []
    states.append(view.standing)
    if view.state.partial is not None and view.standing != "missing":
        states.append("partial")
    if view.scan.problems:
        states.append("unreadable")
    if not _in_cache(repo, view):
        states.append("not in the cache")
    return states


def _in_cache(repo: Repo, view: View) -> bool:
    assert view.target is not None
    try:
        return repo.cache.root(view.target[0]) is not None
    except DatavcError:
        return False


def _list_changes(repo: Repo, view: View, item: Selected, result: DatasetStatus) -> None:
    """Against what the workspace was made from: that is what the user changed."""
    version = view.base or view.target
    assert version is not None
    try:
        from datavc.operations.steps.comparing.compare import changes

        found = changes(view, base_trees(repo, version))
    except ObjectNotFound:
        result.states.append("changes unknown")
        return
    for change in found:
        if item.parts is None or any(
            change.path == path + b"/" + part or change.path.startswith(path + b"/" + part + b"/")
            for path in (view.path,)
            for part in item.parts
        ):
            getattr(result, change.status).append(change)
