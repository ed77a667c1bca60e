"""``datavc du``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json, Offline
from datavc.cli.render import print_json, print_table, show_from_here, show_path
from datavc.cli.revisions import past_path
from datavc.cli.session import current
from datavc.formats.amounts import human_size

if TYPE_CHECKING:
    from datavc.operations.steps.naming.revisions import Revision
    from datavc.repo import Repo

_Named = tuple["Revision | None", bytes]


def du(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[[REV:]PATH]...",
            show_default=False,
            help="Datasets or folders in them, now or in a revision",
        ),
    ] = None,
    depth: Annotated[int, typer.Option("-d", "--depth", min=0, help="Folders this many levels deep too")] = 0,
    offline: Offline = False,
    json: Json = False,
) -> None:
    """Add up how much is in datasets and their folders

    From the pointers and trees alone. Trees that are not in the cache are fetched.

    Examples:
      datavc du
      datavc du -d 1 data/train
      datavc du v1.0: HEAD:

    Exit codes: 0 done, 1 no such path, 2 usage, 10 no repository.
    """
    from datavc.operations.du import du as add_up
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    rows, names = [], []
    for revision, places in _grouped([past_path(repo, path, "du") for path in paths or ()]):
        among = revision.datasets if revision is not None else None
        found = add_up(repo, places, depth=depth, among=among, offline=offline, progress=session.progress)
        rows += found
        names += [_name(repo, revision, row.path) for row in found]
    if json:
        print_json(rows)
    else:
        print_table(
            [[human_size(row.size), f"{row.files:,}", name] for row, name in zip(rows, names, strict=True)],
            right=(0, 1),
        )


def _name(repo: Repo, revision: Revision | None, path: bytes) -> str:
    """The path as it may be typed: after a revision, it is seen from the root."""
    return show_from_here(repo.root, path) if revision is None else f"{revision.text}:{show_path(path)}"


def _grouped(named: list[_Named]) -> Iterator[tuple[Revision | None, list[bytes]]]:
    """Paths of the workspace together, each of a revision alone, in the order in which they were typed."""
    if all(revision is None for revision, _ in named):
        yield None, [path for _, path in named]
        return
    for revision, path in named:
        yield revision, [path]
