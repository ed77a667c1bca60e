"""``datavc gc``."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.consent import agrees, let_write
from datavc.cli.gcview import print_plan, print_restored, print_result
from datavc.cli.options import DryRun, Json, Yes
from datavc.cli.render import print_json
from datavc.cli.session import current
from datavc.errors import UsageError

if TYPE_CHECKING:
    from datavc.operations.steps.cleaning.outcome import GcResult

_UNITS = {"d": 86_400.0, "h": 3_600.0}


Remote = Annotated[
    str | None,
    typer.Option("-r", "--remote", metavar="NAME", show_default=False, help="Of a remote, not the cache"),
]
Grace = Annotated[
    str, typer.Option("--grace", metavar="DAYS", help="How long things stay; 0 deletes at once")
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="DAYS",
        show_default=False,
        help="On a remote: what other clones stored and nothing here knows, too; with --expire: how old",
    ),
]
Expire = Annotated[
    str | None,
    typer.Option(
        "--expire", metavar="PATH", show_default=False, help="Drop old versions of a dataset from history"
    ),
]
Repack = Annotated[bool, typer.Option("--repack", help="Rewrite packs that are half dead, or tiny and many")]
Most = Annotated[bool, typer.Option("--most", help="Go on where more than half would go")]
Restore = Annotated[bool, typer.Option("--restore", help="Bring back what was removed")]


def gc(
    remote: Remote = None,
    grace: Grace = "14",
    older_than: OlderThan = None,
    expire: Expire = None,
    most: Most = False,
    repack: Repack = False,
    restore: Restore = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Delete what no version needs any more

    Everything stays that a branch, tag, reflog, stash, git's index, a worktree or a record leads to. What goes is shown
    first, and asked for. It is removed in two steps: versions that nothing needed for 14 days are removed, and can be
    brought back; a run 14 days later deletes their bytes. --grace 0 does both at once: nobody may use the store meanwhile.

    Examples:
      datavc gc --dry-run
      datavc gc
      datavc gc -r origin --yes
      datavc gc --restore
      datavc gc --grace 0
      datavc gc --repack
      datavc gc --expire train --older-than 180

    Exit codes: 0 done, 1 refused or failed, 2 usage, 10 no repository, 11 locked, 12 the store is damaged.
    """
    from datavc.operations.gc import gc as collect
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if remote is not None and not dry_run:
        let_write(repo, remote, yes=yes)

    result = collect(
        repo,
        remote=remote,
        grace=_seconds("--grace", grace),
        older_than=None if older_than is None else _seconds("--older-than", older_than),
        expire=None if expire is None else session.absolute(expire),
        most=most,
        repack=repack,
        restore=restore,
        dry_run=dry_run,
        confirm=partial(_confirm, yes=yes, json=json),
        progress=session.progress,
    )
    if json:
        print_json(result)
    else:
        (print_restored if restore else print_result)(result, dry_run=dry_run)


def _confirm(plan: GcResult, *, yes: bool, json: bool) -> bool:
    if not json:
        print_plan(plan, "to be ")
    if yes or agrees("Go on?"):
        return True
    raise UsageError("nothing was deleted: nobody agreed", "datavc gc --yes, or look: datavc gc --dry-run")


def _seconds(option: str, text: str) -> float:
    """``14``, ``14d`` or ``36h`` in seconds. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([dh]?)", text)
    if found is None:
        raise UsageError(f"{option} takes days such as 14, or hours such as 36h, not {text!r}")
    return int(found[1]) * _UNITS[found[2] or "d"]
