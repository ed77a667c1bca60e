"""``datavc fsck``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.errors import UsageError
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.fsck import FsckResult
    from datavc.repo import Repo

_CORRUPT = 12


Remote = Annotated[
    str | None,
    typer.Option("-r", "--remote", metavar="NAME", show_default=False, help="A remote, not the cache"),
]
Full = Annotated[bool, typer.Option("--full", help="Of a remote, read every byte")]
Sample = Annotated[
    str | None,
    typer.Option("--sample", metavar="PERCENT", show_default=False, help="Of a remote, read so many packs"),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Put aside what is damaged, and get it from elsewhere")
]


def fsck(
    remote: Remote = None,
    full: Full = False,
    sample: Sample = None,
    repair: Repair = False,
    json: Json = False,
) -> int | None:
    """Check the cache or a remote, or repair the cache

    Reads and hashes every pack, index, root and blob, then walks every version that this repository's roots and pointers
    name. What is damaged or missing is named with the datasets and paths that it affects. Of a remote, listings and pack
    indexes are compared with the roots; --full reads all of it, --sample some packs, others each time.

    --repair moves what is damaged in the cache into quarantine/, and takes what is missing then from the workspace and from
    remotes. Nothing is deleted. Without it nothing is changed.

    Examples:
      datavc fsck
      datavc fsck --repair
      datavc fsck -r origin
      datavc fsck -r origin --sample 5%
      datavc fsck -r origin --full
      datavc fsck --json

    Exit codes: 0 all is well, 12 something is damaged or missing, 10 no repository.
    """
    from datavc.operations.fsck import fsck as check
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    if remote is None:
        if full or sample is not None:
            raise UsageError("the cache is always read wholly", "datavc fsck, or datavc fsck -r NAME --full")
        if repair:
            return _repair(repo, json=json)
        result = check(repo, progress=session.progress)
    elif repair:
        raise UsageError(
            "a remote is repaired from a clone that has the data",
            f"datavc push --check --read -r {remote} --all-branches --all-tags",
        )
    else:
        from datavc.operations.fsck_remote import fsck_remote

        result = fsck_remote(repo, remote, full=full, sample=_share(sample), progress=session.progress)
    if json:
        print_json(result)
    else:
        _print(repo, result, remote)
        if result.problems and remote is None:
            next_command("datavc fsck --repair")
    return _CORRUPT if result.problems else None


def _repair(repo: Repo, *, json: bool) -> int | None:
    from datavc.operations.repair import repair

    session = current()
    result = repair(repo, jobs=session.workers, progress=session.progress)
    if json:
        print_json(result)
    else:
        for version in result.versions:
            became = f"not whole: {version.failed}" if version.failed else "whole again"
            print(f"{show_path(version.path)}: {version.digest.short} is {became}")
        _print(repo, result.after, None)
        if result.after.problems:
            named = {problem.dataset for problem in result.after.problems if problem.dataset}
            next_command(
                f"datavc add --rehash {repo.typed(*sorted(named)) or 'PATH'}, where the data is whole"
            )
    return _CORRUPT if result.after.problems else None


def _print(repo: Repo, result: FsckResult, remote: str | None) -> None:
    for problem in result.problems:
        where = f" (dataset {show_path(problem.dataset)})" if problem.dataset is not None else ""
        print(f"{problem.kind} {problem.object}: {problem.message}{where}")
    how = f"{count(result.objects, 'object')}, " if result.objects else ""
    talk(
        f"{count(result.packs, 'pack')}, {how}{human_size(result.size)} and "
        f"{count(result.versions, 'version')} checked{'' if how or not result.packs else ' by listing alone'}: "
        + (count(len(result.problems), "problem") if result.problems else "nothing is wrong")
    )
    if result.elsewhere:
        names = ", ".join(show_path(path) for path in result.elsewhere)
        talk(f"not, or not wholly, in this cache: {names}; datavc fetch gets the rest from a remote")
    if result.problems and remote is not None:
        datasets = sorted({problem.dataset for problem in result.problems if problem.dataset})
        next_command(f"datavc push --check --read -r {remote} {repo.typed(*datasets)}".rstrip())


def _share(text: str | None) -> float:
    """``5%`` as 0.05."""
    if text is None:
        return 0.0
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%?", text)
    if found is None or not 0 < float(found[1]) <= 100:
        raise UsageError(f"--sample takes a share such as 5%, not {text!r}")
    return float(found[1]) / 100
