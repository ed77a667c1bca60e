"""``datavc push``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.consent import let_write
from datavc.cli.options import AllBranches, AllTags, DryRun, Json, Memory, Paths, RemoteName, Revs, Yes
from datavc.cli.render import print_json, show_from_here
from datavc.cli.session import current
from datavc.cli.transfers import PARTLY_DONE, memory_bytes, print_summary, revisions
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.push import PushedDataset


def push(
    paths: Paths = None,
    remote: RemoteName = None,
    rev: Revs = None,
    all_branches: AllBranches = False,
    all_tags: AllTags = False,
    check: Annotated[
        bool, typer.Option("--check", help="Ask for every pack, and send again what was lost")
    ] = False,
    read: Annotated[
        bool, typer.Option("--read", help="As --check, and read every pack: what is damaged is sent again")
    ] = False,
    dry_run: DryRun = False,
    memory: Memory = "512MiB",
    yes: Yes = False,
    json: Json = False,
) -> int | None:
    """Send datasets to a remote

    A version whose root is there is complete: that costs one request. Otherwise what is new since the nearest earlier
    version is sent in large packs, and the root last. Interrupted, the same command goes on. --check trusts no root.

    Examples:
      datavc push
      datavc push -r backup data/train
      datavc push --all-branches --all-tags
      datavc push --check
      datavc push --check --read -r backup

    Exit codes: 0 done, 1 failed, 2 usage, 3 some could not be pushed, 10 no repository, 12 the cache is damaged.
    """
    from datavc.operations.push import push as send
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if not dry_run:
        let_write(repo, remote, yes=yes)
    result = send(
        repo,
        session.absolutes(paths),
        remote=remote,
        revisions=revisions(rev, all_branches=all_branches, all_tags=all_tags),
        check=check,
        read=read,
        dry_run=dry_run,
        memory=memory_bytes(memory),
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        for row in result.datasets:
            name = show_from_here(repo.root, row.path)
            print(f"{name}: {_became(row, result.remote, check=check, read=read)}")
        print_summary(result)
    return PARTLY_DONE if result.failed else None


def _became(row: PushedDataset, remote: str, *, check: bool, read: bool) -> str:
    if row.outcome == "failed":
        return f"not pushed: {row.message}"
    if row.outcome == "complete":
        proof = ", every pack read" if read else ", every pack asked for" if check else ""
        return f"complete on {remote} since {row.since}{proof}"
    verb = "would be sent" if row.outcome == "to send" else "sent"
    return f"{count(row.objects, 'object')}, {human_size(row.size)} {verb} to {remote}"
