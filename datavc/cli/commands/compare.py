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
            metavar="RECORD|PATH", show_default=False, help="A record, or a dataset that one made"
        ),
    ],
    new: Annotated[str, typer.Argument(metavar="RECORD|PATH", show_default=False, help="The other")],
    offline: Offline = False,
    json: Json = False,
    exit_code: ExitCode = False,
) -> int:
    """Lay two runs side by side, and show what differs

    Command, inputs and outputs file by file, code, environment, parameters, metrics. Times and hosts are no differences.

    Examples:
      datavc compare xxh128:99aa06d3 xxh128:33119477
      datavc compare model-a model-b

    Exit codes: 0 done, 1 with --exit-code: they differ, else an error, 2 usage, 4 with --exit-code: an error.
    """
    from datavc.operations.compare import SECTIONS
    from datavc.operations.compare import compare as find_differences
    from datavc.operations.runs import the_record
    from datavc.operations.steps.naming.versions import is_digest
    from datavc.operations.steps.transfers.afar import looking_afar
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    first, second = (
        the_record(repo, word, None if is_digest(word) else session.absolute(word)) for word in (old, new)
    )
    with looking_afar(repo, offline=offline, progress=session.progress):
        rows = find_differences(repo, first, second)
    if json:
        print_json({"old": str(first[0]), "new": str(second[0]), "differences": rows})
    else:
        for section in SECTIONS:
            inner = [row for row in rows if row.section == section]
            if inner:
                print(styled(section, "bold"))
            for row in inner:
                print(f"  {show_path(row.name)}: {_side(row.old)} -> {_side(row.new)}")
        if not rows:
            talk("the two runs differ in nothing that is recorded")
    return 1 if exit_code and rows else 0


def _side(text: str | None) -> str:
    return show_path(text)[:200] if text is not None else "-"
