"""``datavc fsck``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.fsck import FsckResult, Problem
    from datavc.operations.repair import RepairResult
    from datavc.operations.steps.health.reading import ReadNow
    from datavc.repo import Repo
    from datavc.store.checklog import Rule

_CORRUPT = 12
_SHOWN_COMMITS = 3


Remote = Annotated[
    str | None,
    typer.Option("-r", "--remote", metavar="NAME", show_default=False, help="A remote, not the cache"),
]
Full = Annotated[bool, typer.Option("--full", help="Of a remote, read every byte")]
Sample = Annotated[
    str | None,
    typer.Option(
        "--sample", metavar="PERCENT", show_default=False, help="Read so much, the longest unread first"
    ),
]
OlderThan = Annotated[
    str | None,
    typer.Option(
        "--older-than",
        metavar="DAYS",
        show_default=False,
        help="Read what was not read for so long; 0 reads all",
    ),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Put aside what is damaged, and get it from elsewhere")
]


From = Annotated[
    list[str] | None,
    typer.Option("--from", metavar="DIR", show_default=False, help="Repair from another clone's cache, too"),
]


def fsck(
    remote: Remote = None,
    full: Full = False,
    sample: Sample = None,
    older_than: OlderThan = None,
    repair: Repair = False,
    others: From = None,
    json: Json = False,
) -> int | None:
    """Check the cache or a remote, or repair it

    Reads and hashes every pack, index, root and blob, then walks every version and record that this repository's roots name,
    and the pointers of all commits. What is damaged or missing is named with the datasets, paths and commits that it affects.

    Of a remote, listings and pack indexes are compared with the roots, and each pack with the checksum that the server keeps,
    if it does (XXHASH128 on S3): a HEAD for each, and no byte is read. --full reads all of it.

    What was read is remembered: a check that was interrupted goes on where it was when it is run again within a week, unless
    --older-than 0 begins anew. --sample 5% reads that share of the bytes, what was not read for the longest time first, so
    that a nightly run comes round in twenty nights; --older-than 30 reads what was not read for 30 days.

    --repair moves what is damaged in the cache into quarantine/, and takes what is missing then from the workspace, from the
    caches of other clones (--from names one) and from remotes. With -r the pack indexes of the remote are made again from its
    packs, and it is sent again what it lost or has damaged, as far as this cache has it; what is damaged there is copied into
    quarantine/ before. Nothing is deleted.

    Examples:
      datavc fsck
      datavc fsck --repair
      datavc fsck --repair --from ../other-clone
      datavc fsck -r origin
      datavc fsck --sample 5%
      datavc fsck -r origin --sample 5%
      datavc fsck -r origin --full
      datavc fsck -r origin --full --repair
      datavc fsck --json

    Exit codes: 0 all is well, 1 failed, 2 usage, 10 no repository, 11 locked, 12 something is damaged or missing.
    """
    from datavc.repo import Repo

    repo = Repo.find(current().folder)
    rule = _rule(sample, older_than)
    if repair:
        if rule is not None:
            raise UsageError("a repair reads everything", "datavc fsck --repair")
        if remote is not None and not others:
            return _repair_remote(repo, remote, full=full, json=json)
        if remote is None and not full:
            return _repair(repo, others or [], json=json)
    if others:
        raise UsageError("--from is for a repair of the cache", "datavc fsck --repair --from DIR")
    if full and remote is None:
        raise UsageError("--full is for a remote; the cache is always read", "datavc fsck --older-than 0")
    result = _check(repo, remote, rule, full=full)
    return _show(repo, result, remote, json=json)


def _show(repo: Repo, result: FsckResult, remote: str | None, *, json: bool) -> int | None:
    if json:
        print_json(result)
    else:
        _print(repo, result, remote)
        if result.problems and remote is None:
            next_command("datavc fsck --repair")
    return _CORRUPT if result.problems else None


def _check(repo: Repo, remote: str | None, rule: Rule | None, *, full: bool) -> FsckResult:
    from datavc.store.checklog import EVERYTHING

    session = current()
    if remote is None:
        from datavc.operations.fsck import fsck as check

        return check(repo, rule=rule or EVERYTHING, jobs=session.workers, progress=session.progress)
    from datavc.operations.fsck_remote import fsck_remote

    full = full or rule is not None
    return fsck_remote(repo, remote, full=full, rule=rule or EVERYTHING, progress=session.progress)


def _repair(repo: Repo, others: list[str], *, json: bool) -> int | None:
    from datavc.operations.repair import repair

    session = current()
    folders = [Path(os.fsdecode(session.absolute(other))) for other in others]
    result = repair(repo, others=folders, jobs=session.workers, progress=session.progress)
    if not json:
        _print_repaired(repo, result, None)
        if result.after.problems:
            named = {problem.dataset for problem in result.after.problems if problem.dataset}
            next_command(
                f"datavc add --rehash {repo.typed(*sorted(named)) or 'PATH'}, where the data is whole"
            )
    else:
        print_json(result)
    return _CORRUPT if result.after.problems else None


def _repair_remote(repo: Repo, remote: str, *, full: bool, json: bool) -> int | None:
    from datavc.operations.repair_remote import repair_remote

    result = repair_remote(repo, remote, full=full, progress=current().progress)
    if json:
        print_json(result)
    else:
        _print_repaired(repo, result, remote)
    return _CORRUPT if result.after.problems else None


def _print_repaired(repo: Repo, result: RepairResult, remote: str | None) -> None:
    for version in result.versions:
        became = f"not whole: {version.failed}" if version.failed else "whole again"
        print(f"{show_path(version.path) or 'a record'}: {version.digest.short} is {became}")
    _print(repo, result.after, remote)


def _print(repo: Repo, result: FsckResult, remote: str | None) -> None:
    from datavc.store.note import STORE_FORMAT

    for problem in result.problems:
        print(f"{problem.kind} {problem.object}: {problem.message}{_affects(problem)}")
    how = f"{count(result.objects, 'object')}, " if result.objects else ""
    talk(
        f"{count(result.packs, 'pack')}, {how}{human_size(result.size)} and "
        f"{count(result.versions, 'version')} checked{_means(result)}: "
        + (count(len(result.problems), "problem") if result.problems else "nothing is wrong")
    )
    if result.format < STORE_FORMAT:
        talk(
            f"it is of format {result.format}, which is read for ever; --repair writes it anew in format {STORE_FORMAT}"
        )
    _print_before(result.read)
    if result.purged:
        talk(f"{count(len(result.purged), 'object')} of them purged, which is no damage")
    if result.expired:
        names = ", ".join(show_path(path) for path in result.expired)
        talk(f"expired, and not here any more: {names}")
    if result.elsewhere:
        names = ", ".join(show_path(path) for path in result.elsewhere)
        talk(f"not, or not wholly, in this cache: {names}; datavc fetch gets the rest from a remote")
    if result.problems and remote is not None:
        datasets = sorted({problem.dataset for problem in result.problems if problem.dataset})
        names = ", ".join(map(show_path, datasets)) or "the data"
        full = " --full" if result.read.files or result.read.before else ""
        next_command(f"datavc fsck -r {remote}{full} --repair, in a clone that has {names}")


def _affects(problem: Problem) -> str:
    """The dataset, and the commits that have the version in question."""
    if problem.dataset is None:
        return ""
    commits = [commit[:12] for commit in problem.revisions]
    if len(commits) > _SHOWN_COMMITS:
        commits[_SHOWN_COMMITS:] = [f"{len(commits) - _SHOWN_COMMITS:,} more"]
    at = f" at {', '.join(commits)}" if commits else ""
    return f" (dataset {show_path(problem.dataset)}{at})"


def _means(result: FsckResult) -> str:
    """How the packs of a remote were checked, where they were not read."""
    if not result.by_head:
        return " by listing alone" if result.by_listing else ""
    rest = f", {result.by_listing:,} of them by listing alone" if result.by_listing else ""
    return f" by the checksums that the server keeps{rest}"


def _print_before(read: ReadNow) -> None:
    if not read.before and not read.never:
        return
    said = [f"{count(read.files, 'file')} read now"]
    if read.before:
        when = f"at {read.first}" if read.first == read.last else f"between {read.first} and {read.last}"
        said.append(f"{read.before:,} before, {when}")
    if read.never:
        said.append(f"{read.never:,} never yet")
    talk("; ".join(said))


def _rule(sample: str | None, older_than: str | None) -> Rule | None:
    """What was asked to be read, where that is not all. Raises UsageError."""
    if sample is not None and older_than is not None:
        raise UsageError("--sample and --older-than cannot both be")
    if sample is None and older_than is None:
        return None
    from datavc.store.checklog import Rule

    if sample is not None:
        return Rule(share=_share(sample))
    return Rule(older_than=_seconds(older_than or ""))


def _seconds(text: str) -> float:
    """``30``, ``30d`` or ``12h`` in seconds. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,6})([dh]?)", text)
    if found is None:
        raise UsageError(f"--older-than takes days such as 30, or hours such as 12h, not {text!r}")
    return int(found[1]) * (3600.0 if found[2] == "h" else 86_400.0)


def _share(text: str) -> float:
    """``5%`` as 0.05. Raises UsageError."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%?", text)
    if found is None or not 0 < float(found[1]) <= 100:
        raise UsageError(f"--sample takes a share such as 5%, not {text!r}")
    return float(found[1]) / 100
