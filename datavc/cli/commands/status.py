"""``datavc status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from datavc.cli.options import ExitCode, Json, Offline, Paths
from datavc.cli.render import next_command, print_json, show_from_here, show_path, styled, talk
from datavc.cli.session import current
from datavc.errors import ConflictError, MalformedError
from datavc.formats.amounts import human_size

if TYPE_CHECKING:
    from datavc.operations.status import DatasetStatus
    from datavc.operations.steps.comparing.compare import Change
    from datavc.repo import Repo

_LETTERS = {"added": "A", "changed": "M", "removed": "D", "renamed": "R"}
_NEXT = {
    "modified": "datavc add {path}",
    "behind": "datavc checkout {path}",
    "missing": "datavc checkout {path}",
    "diverged": "datavc checkout --force {path}, or datavc add --force {path}",
    "checkout unfinished": "datavc checkout {path}",
    "pointer not committed": "git add {pointer} && git commit",
    "not in the cache": "datavc add --rehash {path}, where the data is whole",
}

# Where there is a remote, and the cache lacks the version.
_FROM_REMOTE = {
    "behind": "datavc pull {path}",
    "missing": "datavc pull {path}",
    "checkout unfinished": "datavc pull {path}",
    "not in the cache": "datavc fetch {path}",
    # Of a part that was pulled the rest is elsewhere, as it should be.
    "partial": None,
}


def status(
    paths: Paths = None, json: Json = False, exit_code: ExitCode = False, offline: Offline = False
) -> int | None:
    """Say what state each dataset is in

    clean: as the pointer says. modified: you changed it (datavc add). behind: the pointer changed (datavc checkout).
    diverged: both did. missing: nothing is there. partial: only parts were checked out. in conflict: a merge left both
    versions of the pointer (datavc resolve). -v lists the paths.

    Examples:
      datavc status
      datavc status -v data/train
      datavc status --json --exit-code

    Exit codes: 0 done, with --exit-code 1 where anything is not clean and 4 on errors, 1 where a pointer is in conflict,
    2 usage, 10 no repository, 12 where a pointer cannot be read.
    """
    from datavc.operations.status import status as look
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    jobs = session.workers
    rows = look(repo, session.absolutes(paths), jobs=jobs, offline=offline, progress=session.progress)
    if json:
        print_json(rows)
    else:
        for row in rows:
            _print(repo, row)
        if not rows:
            talk("no datasets yet")
            next_command("datavc add PATH")
    _raise_unreadable(rows)
    return 1 if exit_code and not all(row.is_clean for row in rows) else None


def _raise_unreadable(rows: list[DatasetStatus]) -> None:
    """End with an error that names the pointers that cannot be read, after the state of every dataset was printed."""
    from datavc.operations.status import UNREADABLE_POINTER

    rows = [row for row in rows if row.pointer_digest is None]
    if rows:
        kind = MalformedError if any(UNREADABLE_POINTER in row.states for row in rows) else ConflictError
        hints = dict.fromkeys(row.hint for row in rows if row.hint)
        raise kind(
            "; ".join(message for row in rows for _, message in row.problems), "\n".join(hints) or None
        )


def _print(repo: Repo, row: DatasetStatus) -> None:
    style = "green" if row.is_clean else "yellow" if row.pointer_digest else "red"
    counts = ", ".join(f"{len(getattr(row, name)):,} {name}" for name in _LETTERS if getattr(row, name))
    path = show_from_here(repo.root, row.path)
    print(f"{path}: {styled(', '.join(row.states), style)}" + (f" ({counts})" if counts else ""))
    if row.partial is not None and current().verbose:
        print("  checked out: " + ", ".join(show_path(part) for part in row.partial))
    if current().verbose:
        for change in sorted(
            [*row.added, *row.changed, *row.removed, *row.renamed], key=lambda item: item.path
        ):
            print("  " + describe(repo, change))
    for problem, reason in row.problems if row.pointer_digest else ():
        talk(f"  {show_from_here(repo.root, problem)} {reason}")
    hints = (_NEXT[state] for state in row.states if state in _NEXT)
    hint = next(hints, None)
    if "not in the cache" in row.states and repo.config.tables_in("remote", "url"):
        hint = _FROM_REMOTE.get(row.states[0], hint)
    if hint is not None:
        next_command(hint.format(path=repo.typed(row.path), pointer=repo.typed(row.path + b".datavc")))


def describe(repo: Repo, change: Change) -> str:
    """One changed path as a line: letter, path, sizes."""
    path = show_from_here(repo.root, change.path)
    letter = _LETTERS[change.status]
    if change.status == "renamed" and change.old_path is not None:
        return f"{letter} {show_from_here(repo.root, change.old_path)} -> {path}  {human_size(change.size)}"
    if change.status == "added":
        return f"{letter} {path}  {human_size(change.size)}"
    if change.status == "removed":
        return f"{letter} {path}  {human_size(change.old_size or 0)}"
    kinds = "" if change.kind == change.old_kind else f", {change.old_kind} -> {change.kind}"
    old = "?" if change.old_size is None else human_size(change.old_size)
    return f"{letter} {path}  {old} -> {human_size(change.size)}{kinds}"
