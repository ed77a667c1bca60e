"""``datavc log``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json, Offline
from datavc.cli.render import print_json, show_path, styled, talk
from datavc.cli.revisions import split_revisions
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.log import LoggedVersion

_Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[REV] [--] [PATH]",
        show_default=False,
        help="Where to begin, if not at HEAD; a dataset or a folder",
    ),
]


def log(
    words: _Words = None,
    number: Annotated[
        int | None,
        typer.Option("-n", "--number", min=1, metavar="N", show_default=False, help="So many versions"),
    ] = None,
    stat: Annotated[
        bool, typer.Option("--stat", help="Count added, changed, removed and renamed files, from the trees")
    ] = False,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """List the versions of datasets in git's history

    The newest first: commit, date, author and message; files and bytes, and by how much they differ from the version
    before. One dataset is followed to the paths that it had before it was moved. Of a path inside a dataset, the
    versions that changed it are listed.

    Examples:
      datavc log
      datavc log data/train
      datavc log -n 5 --stat data/train
      datavc log v1.0 -- data/train

    Exit codes: 0 done, 1 no such dataset, 2 usage, 10 no repository.
    """
    from datavc.operations.log import log as read_log
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    revisions, paths = split_revisions(repo, words or (), "log", 1, past=True)
    if len(paths) > 1:
        raise UsageError("datavc log takes one path", "datavc log --help")
    result = read_log(
        repo,
        session.absolute(paths[0]) if paths else None,
        revision=revisions[0] if revisions else None,
        limit=number,
        stat=stat,
        offline=offline,
        progress=session.progress,
    )
    if json:
        print_json(result.versions)
        return
    commit = None
    for version in result.versions:
        if version.commit != commit:
            commit = version.commit
            date = version.date[:16].replace("T", " ")
            message = show_path(version.message)
            print(f"{styled(commit[:12], 'yellow')}  {date}  {show_path(version.author)}  {message}")
        print("    " + _sentence(version))
    if result.shallow:
        talk(
            "this clone is shallow: what is older than its first commits is not listed: git fetch --unshallow"
        )
    elif not result.versions:
        talk("no commit has a dataset yet")


def _sentence(version: LoggedVersion) -> str:
    name = show_path(version.path)
    if version.problem is not None:
        return f"{name}: unreadable: {version.problem}"
    if version.status == "removed":
        return f"{name}: removed"
    origin = f" from {show_path(version.old_path)}" if version.old_path is not None else ""
    amount = f"{count(version.files, 'file')}, {human_size(version.size)}"
    short = version.digest.short if version.digest is not None else ""
    return f"{name}: {version.status}{origin}, {amount}{_difference(version)}  {short}{_made(version)}"


def _difference(version: LoggedVersion) -> str:
    parts = []
    if version.numbers is not None:
        words = ("added", "changed", "removed", "renamed")
        parts += [f"{amount:,} {word}" for word in words if (amount := getattr(version.numbers, word))]
    elif version.files_change:
        parts.append(f"{version.files_change:+,} {'file' if abs(version.files_change) == 1 else 'files'}")
    if version.size_change:
        parts.append(f"{'+' if version.size_change > 0 else '-'}{human_size(abs(version.size_change))}")
    return f" ({', '.join(parts)})" if parts and (version.status == "changed" or version.numbers) else ""


def _made(version: LoggedVersion) -> str:
    if version.run is None:
        return ""
    stage = f"stage {version.run['stage']}" if version.run.get("stage") else "run"
    return f"  by {stage}: {show_path(version.run.get('command', ''))}"
