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
RemoteName = Annotated[
    str | None,
    typer.Option(
        "-r", "--remote", metavar="NAME", show_default=False, help="The remote, if not the default one"
    ),
]
Revs = Annotated[
    list[str] | None,
    typer.Option("--rev", metavar="REV", show_default=False, help="Take the pointers at a git revision"),
]
AllBranches = Annotated[bool, typer.Option("--all-branches", help="Take the pointers of all branches")]
AllTags = Annotated[bool, typer.Option("--all-tags", help="Take the pointers of all tags")]
Memory = Annotated[str, typer.Option("--memory", metavar="SIZE", help="Hold at most so much at once")]
Offline = Annotated[bool, typer.Option("--offline", help="Ask no remote for what is not here")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask")]
OneRemote = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The remote")]
Endpoint = Annotated[
    str | None, typer.Option("--endpoint", metavar="URL", show_default=False, help="S3: the server")
]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", show_default=False, help="S3")]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", show_default=False, help="S3: whose credentials; kept local"),
]
