"""``datavc fsck``."""

from __future__ import annotations

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.formats.amounts import count, human_size

_CORRUPT = 12


def fsck(json: Json = False) -> int | None:
    """Check everything in the cache, changing nothing

    Reads and hashes every pack, index, root and blob, then walks every version that this repository's roots and pointers
    name. What is damaged or missing is named with the datasets and paths that it affects.

    Examples:
      datavc fsck
      datavc fsck --json

    Exit codes: 0 all is well, 12 something is damaged or missing, 10 no repository.
    """
    from datavc.operations.fsck import fsck as check
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    result = check(repo, progress=session.progress)
    if json:
        print_json(result)
    else:
        for problem in result.problems:
            where = f" (dataset {show_path(problem.dataset)})" if problem.dataset is not None else ""
            print(f"{problem.kind} {problem.object}: {problem.message}{where}")
        talk(
            f"{count(result.packs, 'pack')}, {count(result.objects, 'object')}, {human_size(result.size)} and "
            f"{count(result.versions, 'version')} checked: "
            + (count(len(result.problems), "problem") if result.problems else "nothing is wrong")
        )
        if result.elsewhere:
            names = ", ".join(show_path(path) for path in result.elsewhere)
            talk(f"not, or not wholly, in this cache: {names}; datavc fetch gets the rest from a remote")
        if result.problems:
            datasets = sorted({problem.dataset for problem in result.problems if problem.dataset is not None})
            next_command(f"datavc add --rehash {repo.typed(*datasets) or 'PATH'}, where the data is whole")
    return _CORRUPT if result.problems else None
