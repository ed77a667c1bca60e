"""``datavc remote set-url``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Endpoint, OneRemote, Profile, Region
from datavc.cli.places import address, s3_settings, show_address
from datavc.cli.render import next_command
from datavc.cli.session import current


def remote_set_url(
    name: OneRemote,
    url: Annotated[str, typer.Argument(metavar="URL", show_default=False, help="Where it is from now on")],
    endpoint: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Give a remote another address

    What was pushed to the old one stays there. The new place is not tried: that is what 'datavc remote probe' is for.

    Examples:
      datavc remote set-url origin s3://other-bucket/datasets
      datavc remote set-url lab s3://data --endpoint https://s3.lab.example

    Exit codes: 0 done, 2 usage, 10 no repository.
    """
    from datavc.operations.remote_set_url import remote_set_url as set_url
    from datavc.repo import Repo

    repo = Repo.find(current().folder)
    moved = set_url(repo, name, address(repo, url), settings=s3_settings(endpoint, region, profile, None))
    print(f"{moved.name}: {show_address(moved.url)}")
    next_command(
        f"datavc remote {'status' if moved.read_only else 'probe'} {'-r ' * moved.read_only}{moved.name}"
    )
