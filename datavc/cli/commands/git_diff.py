"""``datavc git diff``: the diff driver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from datavc.cli.render import show_path
from datavc.cli.session import current
from datavc.errors import DatavcError

# What git gives for two versions: NAME, then file, blob and mode of each, then, of a renamed one, its new name and why.
_BOTH = 7


def git_diff(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME [OLD HEX MODE NEW HEX MODE]...", show_default=False, help="What git gives"
        ),
    ],
) -> None:
    """Compare two pointers file by file, as git's diff driver

    datavc install has git diff call it. git diff --no-ext-diff compares the pointers as text; git log -p and git show do
    so without --ext-diff.

    Examples:
      datavc git diff data.datavc OLD HEX MODE NEW HEX MODE

    Exit codes: 0 always: for git any other is an accident.
    """
    names = [word.encode("utf-8", "surrogateescape") for word in (arguments[0], arguments[0])]
    if len(arguments) < _BOTH:
        print(f"* Unmerged path {show_path(names[0])}: datavc resolve")
        return
    if len(arguments) > _BOTH:
        names[1] = arguments[_BOTH].encode("utf-8", "surrogateescape")
    print(f"diff --datavc a/{show_path(names[0])} b/{show_path(names[1])}")
    files = [Path(arguments[1]), Path(arguments[4])]
    try:
        _print(names, files)
    except DatavcError as error:
        print(f"{error.message}; as text:")
        for sign, file in zip("-+", files, strict=True):
            for line in _lines(file):
                print(f"{sign}{show_path(line)}")


def _print(names: list[bytes], files: list[Path]) -> None:
    from datavc.cli.commands.status import describe
    from datavc.operations.gitdiff import gitdiff
    from datavc.repo import Repo

    session = current()
    repo = Repo.find(session.folder)
    old, new = zip(names, files, strict=True)
    changes = gitdiff(repo, old, new, progress=session.progress)
    for change in changes:
        print(describe(repo, change))
    if not changes:
        print("the same files; what else the pointer says differs: git diff --no-ext-diff")


def _lines(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError:
        return []
