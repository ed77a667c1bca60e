"""``datavc gc``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.consent import agrees, let_write
from datavc.cli.options import DryRun, Json, Yes
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.gc import GcResult, GcVersion

_UNITS = {"d": 86_400.0, "h": 3_600.0}
_SHOWN = 50


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
        help="On a remote: what other clones stored and nothing here knows, too, from this age on",
    ),
]
Most = Annotated[bool, typer.Option("--most", help="Go on where more than half would go")]
Restore = Annotated[bool, typer.Option("--restore", help="Bring back what was removed")]


def gc(
    remote: Remote = None,
    grace: Grace = "14",
    older_than: OlderThan = None,
    most: Most = False,
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

    Exit codes: 0 done, 1 refused or failed, 2 usage, 10 no repository, 11 locked, 12 the store is damaged.
    """
    from datavc.operations.gc import gc as collect
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if remote is not None and not dry_run:
        let_write(repo, remote, yes=yes)

    def confirm(plan: GcResult) -> bool:
        if not json:
            _print_plan(plan, would="")
        if yes or agrees("Go on?"):
            return True
        raise UsageError(
            "nothing was deleted: nobody agreed", "datavc gc --yes, or look: datavc gc --dry-run"
        )

    result = collect(
        repo,
        remote=remote,
        grace=_seconds("--grace", grace),
        older_than=None if older_than is None else _seconds("--older-than", older_than),
        most=most,
        restore=restore,
        dry_run=dry_run,
        confirm=confirm,
        progress=session.progress,
    )
    if json:
        print_json(result)
    elif restore:
        _print_restored(result, dry_run=dry_run)
    else:
        _print_result(result, dry_run=dry_run)


def _seconds(option: str, text: str) -> float:
    """``14``, ``14d`` or ``36h`` in seconds. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([dh]?)", text)
    if found is None:
        raise UsageError(f"{option} takes days such as 14, or hours such as 36h, not {text!r}")
    return int(found[1]) * _UNITS[found[2] or "d"]


def _print_plan(plan: GcResult, would: str) -> None:
    _print_versions(plan.removed, f"{would}removed: nothing needs")
    if plan.unknown:
        why = (
            f"what these clones need cannot be known: {', '.join(plan.clones)}"
            if plan.clones
            else "other clones stored them (--older-than DAYS removes them)"
        )
        _print_versions(plan.unknown, f"kept: nothing here knows, and {why}:")
    if plan.doomed_bytes or plan.freed_bytes:
        later = f", {human_size(plan.doomed_bytes)} from {plan.next} on" if plan.doomed_bytes else ""
        print(f"{human_size(plan.freed_bytes)} {would}deleted now{later}, in {plan.place}")


def _print_versions(versions: list[GcVersion], heading: str) -> None:
    if not versions:
        return
    print(f"{heading} {count(len(versions), 'version')}")
    for version in versions[:_SHOWN]:
        name = show_path(version.path) if version.path else "(no dataset)"
        what = "unsaved work put away by --force" if version.saved else count(version.files, "file")
        print(
            f"  {name}  {version.when[:10]}  {what}, {human_size(version.size)}  {version.who}  {version.digest.short}"
        )
    if len(versions) > _SHOWN:
        print(f"  and {count(len(versions) - _SHOWN, 'other')}")


def _print_result(result: GcResult, *, dry_run: bool) -> None:
    if not result.done:
        _print_plan(result, "would be " if dry_run else "")
    for version in result.restored:
        print(f"{show_path(version.path)}: {version.digest.short} is needed again, and was brought back")
    if result.recent:
        talk(f"{count(result.recent, 'version')} that nothing needs stay: they are not old enough")
    if result.waiting_bytes:
        talk(f"{human_size(result.waiting_bytes)} wait to be deleted, from {result.next} on")
    if result.done:
        talk(f"{human_size(result.freed_bytes)} freed in {result.place}")
        if result.doomed_bytes:
            next_command("datavc gc --restore brings it back until then")
    elif not (result.removed or result.freed_bytes or result.doomed_bytes):
        talk(f"there is nothing to delete in {result.place}")


def _print_restored(result: GcResult, *, dry_run: bool) -> None:
    would = "would be brought back" if dry_run else "brought back"
    for version in result.restored:
        print(f"{show_path(version.path)}: {version.digest.short} of {version.when[:10]} {would}")
    talk(f"{count(len(result.restored), 'version')} {would}")
