"""``datavc remote add``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.findings import tell_findings
from datavc.cli.options import Endpoint, Profile, Region
from datavc.cli.places import address, s3_settings, show_address
from datavc.cli.render import next_command, talk
from datavc.cli.session import current


def remote_add(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="What to call it")],
    url: Annotated[
        str,
        typer.Argument(metavar="URL", show_default=False, help="A folder, s3://BUCKET/FOLDER and the like"),
    ],
    default: Annotated[bool, typer.Option("--default", help="Use it where no remote is named")] = False,
    read_only: Annotated[bool, typer.Option("--read-only", help="Never write there")] = False,
    no_probe: Annotated[
        bool, typer.Option("--no-probe", help="Do not try whether it can be relied on")
    ] = False,
    local: Annotated[bool, typer.Option("--local", help="For this clone alone")] = False,
    endpoint: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
    path_style: Annotated[
        str | None,
        typer.Option("--path-style", metavar="WHETHER", show_default=False, help="S3: true or false"),
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="S3: without credentials")] = False,
) -> None:
    """Name a place to keep datasets in, and try it

    The address goes into datavc.toml, for everybody who clones the repository; a profile stays local. The first remote
    becomes the default. Some small files are written there and deleted again, to find out what the place can be relied
    on for.

    Examples:
      datavc remote add origin s3://my-bucket/datasets
      datavc remote add lab s3://data --endpoint https://s3.lab.example:9000
      datavc remote add backup /mnt/server/datasets
      datavc remote add --read-only public https://data.example.org/store

    Exit codes: 0 done, 1 it cannot be used, 2 usage, 10 no repository.
    """
    from datavc.operations.remote_add import remote_add as add
    from datavc.repo import Repo

    repo = Repo.find(current().folder)
    added = add(
        repo,
        name,
        address(repo, url),
        settings=s3_settings(endpoint, region, profile, path_style, anonymous=anonymous),
        default=default,
        read_only=read_only,
        probe=not no_probe,
        local=local,
    )
    print(f"{added.name}: {show_address(added.url)}" + (", the default remote" if added.is_default else ""))
    if added.findings is not None:
        tell_findings(added.findings)
    elif not read_only:
        talk(f"it was not tried; to do that: datavc remote probe {added.name}")
    if added.origin == "repo" and repo.git is not None:
        next_command(f"git add {repo.typed('datavc.toml')} && git commit -m 'Add the remote {added.name}'")
    elif not read_only:
        next_command(f"datavc push -r {added.name}")
