"""``datavc whence``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.formats.amounts import count

if TYPE_CHECKING:
    from datavc.operations.whence import Held, Made

_SHOWN = 5


def whence(
    path: Annotated[
        str, typer.Argument(metavar="PATH", show_default=False, help="A file or folder, anywhere")
    ],
    json: Json = False,
) -> int:
    """Say where a file comes from, by its content

    Wherever it lies and whatever it is called: which run made it, else which dataset version has it. Outside of the
    repository too.

    Examples:
      datavc whence ~/Downloads/model.bin

    Exit codes: 0 known, 1 nobody here has seen it, 2 usage, 10 no repository.
    """
    from datavc.operations.whence import whence as find_origin
    from datavc.repo import Repo

    session = current()
    origin = find_origin(
        Repo.find(session.folder), session.absolute(path), jobs=session.workers, progress=session.progress
    )
    if json:
        print_json(origin)
        return 0 if origin.is_known else 1
    name = show_path(path)
    for made in origin.made[:_SHOWN]:
        print(f"{name} was made {_run(made)}, as {show_path(made.path)}")
    for held in origin.held[:_SHOWN]:
        print(f"{name} is {_place(held)}")
    for read in origin.read[:_SHOWN]:
        print(f"{name} was read {_run(read)}, as {show_path(read.path)}")
    if origin.is_known and not origin.made:
        print("no record says how it was made")
    if not origin.is_known:
        print(f"{name} is unknown, {origin.digest}: none of {count(origin.versions, 'version')} here has it")
    if origin.absent:
        talk(f"{count(origin.absent, 'version')} could not be searched: their trees are not here")
        next_command("datavc fetch --trees --all-branches --all-tags")
    elif origin.made:
        next_command(f"datavc show {origin.made[0].record.short}")
    return 0 if origin.is_known else 1


def _run(made: Made) -> str:
    name = show_path(made.stage or made.command)
    return f"by {name} ({made.status}, {made.start[:16].replace('T', ' ')}, record {made.record.short})"


def _place(held: Held) -> str:
    where = f" of commit {held.commit[:12]}" if held.commit else ""
    name = held.tags[-1] if held.tags else show_path(held.dataset)
    inner = f"{show_path(held.path)} in " if held.path else ""
    return f"{inner}the dataset {name}, version {held.version.short}{where}, {held.when[:10]}"
