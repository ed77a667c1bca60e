"""Parameters that several commands share, so that they are spelled and explained once."""

from __future__ import annotations

from typing import Annotated

import typer

Paths = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATH]...", show_default=False, help="Datasets, or files and folders in them"),
]
SomePaths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", show_default=False, help="Datasets, or files and folders in them"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts")]
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="Exit with 1 if there are differences, 4 on errors")
]
DryRun = Annotated[bool, typer.Option("-n", "--dry-run", help="Say what would be done and do nothing")]
