"""``datavc remote probe``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.findings import tell_findings
from datavc.cli.options import Json
from datavc.cli.render import print_json
from datavc.cli.session import current


def remote_probe(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", show_default=False, help="The remote, if not the default one"),
    ] = None,
    json: Json = False,
) -> int | None:
    """Find out what a remote can be relied on for

    Writes some forty small files there, reads, overwrites, damages and lists them, and deletes them again. What is found
    decides how uploads are checked; it is kept on this machine, and believed for 30 days.

    Examples:
      datavc remote probe
      datavc remote probe backup

    Exit codes: 0 it can be used, 1 it cannot, 2 usage, 10 no repository.
    """
    from datavc.operations.remote_probe import remote_probe as probe
    from datavc.repo import Repo

    result = probe(Repo.find(current().folder), name)
    if json:
        print_json(result)
    else:
        verdict = "cannot be relied on" if result.refused else "can be used"
        print(f"{result.name}: {result.findings.place} {verdict}")
        tell_findings(result.findings)
    return 1 if result.refused else None
