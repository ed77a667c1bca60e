"""``datavc purge``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.consent import agrees, let_write
from datavc.cli.options import DryRun, Json, Yes
from datavc.cli.purgeview import print_plan, print_result
from datavc.cli.render import print_json, talk
from datavc.cli.session import current
from datavc.errors import UsageError

if TYPE_CHECKING:
    from datavc.cli.session import Session
    from datavc.operations.purge import PurgeResult
    from datavc.repo import Repo

PathsOrDigests = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH|DIGEST]...", show_default=False, help="Files and folders in datasets, or digests"
    ),
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", metavar="TEXT", show_default=False, help="Why; kept, and told to everybody"),
]
FilesFrom = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="FILE",
        show_default=False,
        help="One path or digest on each line; - reads them",
    ),
]
Remote = Annotated[
    str | None,
    typer.Option(
        "-r", "--remote", metavar="NAME", show_default=False, help="This remote alone, and the cache"
    ),
]
Names = Annotated[bool, typer.Option("--names", help="File names, too: says why that cannot be")]


def purge(
    paths: PathsOrDigests = None,
    reason: Reason = None,
    files_from: FilesFrom = None,
    remote: Remote = None,
    names: Names = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete files for good, everywhere

    Of a path goes all that it ever was, in all revisions; a digest names one content. First it is shown where that is, and
    what was made of it. The bytes go from the cache and all remotes at once. Notes stay there that say what went and why:
    add, push, fetch and repair refuse those bytes from then on. Names stay, in folders and in git. Without arguments, what is
    noted as purged anywhere is purged everywhere.

    Examples:
      datavc purge data/patients/17.csv --reason "request of 3 May" --dry-run
      datavc purge data/patients/17.csv --reason "request of 3 May"
      datavc purge --files-from gone.txt --reason "contract ended" --yes
      datavc purge

    Exit codes: 0 done, 1 refused or failed, 2 usage, 3 a remote could not be reached, 10 no repository, 11 locked, 12 a store
    is damaged.
    """
    from datavc.operations.purge import purge as purge_files
    from datavc.repo import Repo

    _refuse_names(names)
    session = current()
    repo = Repo.find(session.folder)
    meant = [_word(session, word) for word in [*(paths or ()), *_lines(files_from)]]
    if files_from is not None and not meant:
        raise UsageError(f"{files_from} names nothing")
    if not dry_run:
        _let_write(repo, remote, yes=yes)

    def confirm(plan: PurgeResult) -> bool:
        if not json:
            print_plan(repo, plan, "to be ")
        if yes or agrees("All of that will be gone for good. Go on?"):
            return True
        raise UsageError("nothing was purged: nobody agreed", "add --yes, or look: --dry-run")

    result = purge_files(
        repo, meant, reason=reason, remote=remote, dry_run=dry_run, confirm=confirm, progress=session.progress
    )
    if json:
        print_json(result)
    elif not result.files:
        talk("nothing was ever purged here")
    else:
        print_result(repo, result, dry_run=dry_run)
    if result.unreached:
        raise typer.Exit(3)


def _refuse_names(names: bool) -> None:
    if names:
        raise UsageError(
            "names cannot be purged: a folder's digest is made of the names in it, and pointers in git name it by that",
            "what may be done about them: docs/how-to/purge.md, What stays",
        )


def _let_write(repo: Repo, remote: str | None, *, yes: bool) -> None:
    for known in [repo.remote(remote)] if remote is not None else repo.remotes():
        if not known.read_only:
            let_write(repo, known.name, yes=yes)


def _word(session: Session, word: str) -> bytes | str:
    from datavc.operations.steps.naming.versions import is_digest

    return word if is_digest(word) else session.absolute(word)


def _lines(files_from: str | None) -> list[str]:
    """The lines of a file, without empty ones. Raises StorageError."""
    import os
    import sys

    from datavc.durable import storage_errors

    if files_from is None:
        return []
    if files_from == "-":
        data = sys.stdin.buffer.read()
    else:
        path = current().absolute(files_from)
        with storage_errors(os.fsdecode(path)), open(path, "rb") as file:
            data = file.read()
    return [os.fsdecode(line) for line in data.split(b"\n") if line]
