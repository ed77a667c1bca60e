"""``datavc identify``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.formats.amounts import count
from datavc.formats.paths import show_some

if TYPE_CHECKING:
    from datavc.operations.identify import Identified


def identify(
    path: Annotated[str, typer.Argument(metavar="DIR", show_default=False, help="A folder, anywhere")],
    json: Json = False,
) -> int:
    """Say which dataset version a folder is nearest to

    By content, wherever it lies: and what was added, removed and changed since.

    Examples:
      datavc identify /mnt/share/images-final

    Exit codes: 0 it is near one, 1 nothing in it is known here, 2 usage, 10 no repository.
    """
    from datavc.operations.identify import identify as find_nearest
    from datavc.repo import Repo

    session = current()
    found = find_nearest(
        Repo.find(session.folder), session.absolute(path), jobs=session.workers, progress=session.progress
    )
    if json:
        print_json(found)
    elif found.version is None:
        print(f"{show_path(path)}: nothing in it is in any of {count(found.versions, 'version')} here")
    else:
        print(f"{show_path(path)}: {_sentence(found)}")
        for word in ("added", "removed", "changed", "moved"):
            paths = getattr(found, word)
            if paths:
                print(f"  {word}: {show_some(paths)}")
    if found.absent:
        talk(f"{count(found.absent, 'version')} could not be compared: their trees are not here")
        next_command("datavc fetch --trees --all-branches --all-tags")
    return 0 if found.version is not None else 1


def _sentence(found: Identified) -> str:
    assert found.version is not None and found.dataset is not None
    parts = [
        f"{sign} {count(len(paths), 'file')}{note}"
        for sign, paths, note in (
            ("minus", found.removed, ""),
            ("plus", found.added, ""),
            ("with", found.changed, " changed"),
            ("with", found.moved, " moved"),
        )
        if paths
    ]
    where = f" of commit {found.commit[:12]}" if found.commit else ""
    name = found.tags[-1] if found.tags else show_path(found.dataset)
    version = f"{name}, version {found.version.short}{where}"
    return f"{version}, {', '.join(parts) or 'exactly'}"
