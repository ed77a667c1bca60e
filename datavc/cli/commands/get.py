"""``datavc get``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from datavc.cli.options import Endpoint, Json, Memory, Profile, Region
from datavc.cli.places import address_from_here, s3_settings
from datavc.cli.render import print_json, show_path
from datavc.cli.session import current
from datavc.cli.transfers import memory_bytes, print_traffic
from datavc.formats.amounts import files_and_bytes


def get(
    url: Annotated[str, typer.Argument(metavar="REMOTE_URL", show_default=False, help="Where the store is")],
    digest: Annotated[
        str, typer.Argument(metavar="DIGEST", show_default=False, help="Of the version; 8 hex digits may do")
    ],
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="DIR", show_default=False, help="Where to put it")
    ],
    repo: Annotated[
        str | None,
        typer.Option("--repo", metavar="ID", show_default=False, help="The key repo in its datavc.toml"),
    ] = None,
    endpoint: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="S3: without credentials")] = False,
    memory: Memory = "512MiB",
    json: Json = False,
) -> None:
    """Get one version out of a store, without any repository

    Every byte is verified against the digest. Interrupted, the same command goes on. From a web server, which cannot be
    listed, --repo and the whole digest are needed.

    Examples:
      datavc get s3://my-bucket/datasets xxh128:33119477 -o train
      datavc get /mnt/server/datasets xxh128:33119477ede5dcd5e9716427681d5860 -o train

    Exit codes: 0 done, 1 failed or not there, 2 usage, 12 damaged in the store.
    """
    from datavc.operations.get import get as get_version

    session = current()
    got = get_version(
        address_from_here(url),
        digest,
        Path(os.fsdecode(session.absolute(output))),
        settings=s3_settings(endpoint, region, profile, None, anonymous=anonymous),
        repo_id=repo,
        memory=memory_bytes(memory),
        jobs=session.workers,
        progress=session.progress,
    )
    if json:
        print_json(got)
        return
    print(
        f"{show_path(output)}: {files_and_bytes(got.files, got.size)}, {got.digest}, called {show_path(got.dataset)}"
    )
    print_traffic(got.traffic)
