"""``datavc compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import ExitCode, Json, Offline
from datavc.cli.render import print_json, show_path, styled, talk
from datavc.cli.session import current


def compare(
    old: Annotated[
        str,
        typer.Argument(
            metavar="RECORD|[REV:]PATH|REV",
            show_default=False,
            help="A run, a dataset that one made, or a revision",
        ),
    ],
    new: Annotated[
        str, typer.Argument(metavar="RECORD|[REV:]PATH|REV", show_default=False, help="The other")
    ],
    offline: Offline = False,
    json: Json = False,
    exit_code: ExitCode = False,
) -> int:
    """Lay two runs or revisions side by side, show what differs

    Command, data file by file, code, environment, parameters, metrics. Times and hosts are no differences. A dataset stands
    for the run that made it; of revisions, the runs that made the same dataset are compared.

    Examples:
      datavc compare xxh128:99aa06d3 xxh128:33119477
      datavc compare model-a model-b
      datavc compare v1.0:model model
      datavc compare v1.0 HEAD

    Exit codes: 0 done, 1 with --exit-code: they differ, else an error, 2 usage, 4 with --exit-code: an error.
    """
    from datavc.cli.revisions import past_path
    from datavc.operations.compare import SECTIONS, side_of
    from datavc.operations.compare import compare as find_differences
    from datavc.operations.steps.runs.recordstore import find_record
    from datavc.operations.steps.transfers.afar import looking_afar
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    with looking_afar(repo, offline=offline, progress=session.progress):
        sides = []
        for word in (old, new):
            is_record = find_record(repo, word) is not None
            revision, path = (None, repo.root_bytes) if is_record else past_path(repo, word, "compare")
            sides.append(side_of(repo, word, revision, path))
        rows = find_differences(repo, *sides)
    if json:
        names = [str(side.record or word) for side, word in zip(sides, (old, new), strict=True)]
        print_json({"old": names[0], "new": names[1], "differences": rows})
    else:
        for section in SECTIONS:
            inner = [row for row in rows if row.section == section]
            if inner:
                print(styled(section, "bold"))
            for row in inner:
                print(f"  {show_path(row.name)}: {_side(row.old)} -> {_side(row.new)}")
        if not rows:
            talk("the two differ in nothing that is known of them")
    return 1 if exit_code and rows else 0


def _side(text: str | None) -> str:
    return show_path(text)[:200] if text is not None else "-"
