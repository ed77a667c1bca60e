"""``datavc show``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json, Offline
from datavc.cli.render import from_here, print_json, show_path, styled
from datavc.cli.revisions import past_path
from datavc.cli.session import current
from datavc.formats.amounts import count, human_size

if TYPE_CHECKING:
    from datavc.operations.show import Shown
    from datavc.repo import Repo


def show(
    path: Annotated[
        str,
        typer.Argument(
            metavar="[REV:]PATH", show_default=False, help="A dataset or a path in it, now or in a revision"
        ),
    ],
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Tell what is known of a dataset, or of one file in it

    Its digest and size, the commit that made this version, its tags, how it was made, and whether the cache has it.

    Examples:
      datavc show data/train
      datavc show v1.0:data/train/labels.csv
      datavc show HEAD~3:

    Exit codes: 0 done, 1 no such path, 10 no repository.
    """
    from datavc.operations.show import show as tell
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    revision, place = past_path(repo, path, "show")
    rows = tell(repo, place, revision=revision, offline=offline, progress=session.progress)
    if json:
        print_json(rows)
        return
    for row in rows:
        print(styled(show_path(from_here(repo.root, row.path)), "bold"))
        for label, value in _facts(repo, row):
            print(f"  {label:<10}{value}")


def _facts(repo: Repo, row: Shown) -> Iterator[tuple[str, str]]:
    yield "kind", row.kind
    yield "digest", str(row.digest)
    yield "size", f"{human_size(row.size)} ({row.size:,} bytes), {count(row.files, 'file')}"
    if row.path != row.dataset:
        yield "dataset", f"{show_path(from_here(repo.root, row.dataset))} {row.version}"
    if row.made is not None:
        made = row.made
        yield (
            "commit",
            f"{made.commit[:12]} {made.date[:10]} {show_path(made.author)}: {show_path(made.message)}",
        )
    if row.tags:
        yield "tags", ", ".join(map(show_path, row.tags))
    if row.run is not None:
        stage = f"stage {row.run['stage']}: " if row.run.get("stage") else ""
        yield "made by", stage + show_path(row.run.get("command", ""))
        yield "record", row.run["record"]
    if row.imported is not None:
        yield "from", " ".join(f"{key} {show_path(value)}" for key, value in row.imported.items())
    yield "cache", "complete" if row.in_cache else "not complete: datavc fetch"
