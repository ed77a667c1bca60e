"""``datavc install``."""

from __future__ import annotations

from typing import Annotated

import typer

from datavc.cli.options import Json
from datavc.cli.render import next_command, print_json, show_path, talk
from datavc.cli.session import current
from datavc.errors import UsageError


def install(
    uninstall: Annotated[
        bool, typer.Option("--uninstall", help="Take hooks and drivers away, and put back what was there")
    ] = False,
    hooks: Annotated[
        str | None,
        typer.Option("--hooks", metavar="NAME,...", show_default=False, help="Only these hooks, or none"),
    ] = None,
    json: Json = False,
) -> None:
    """Have git call datavc: data follows checkouts, datasets merge

    post-checkout, post-merge, post-rewrite, post-commit, post-index-change: data follows its pointer, unless unsaved
    work is in the way. pre-commit: warns of data that was changed and not added. pre-push: no pointer leaves whose data
    is not on the remote; with datavc config git.push push, the data is sent first. And the drivers: git merges datasets
    file by file, and git diff lists files. Hooks that are there already are run first. All of it is in this clone alone.

    Examples:
      datavc install
      datavc install --hooks pre-push,pre-commit
      datavc install --hooks none
      datavc install --uninstall

    Exit codes: 0 done, 1 failed, 2 usage, 10 no repository, 11 locked.
    """
    from datavc.operations.install import install as set_up
    from datavc.operations.install import uninstall as take_away
    from datavc.repo import Repo

    if uninstall and hooks is not None:
        raise UsageError("--uninstall takes all of it away", "to keep some: datavc install --hooks NAME,...")
    repo = Repo.find(current().folder)
    if uninstall:
        result = take_away(repo)
    else:
        names = None if hooks is None else [name for name in hooks.split(",") if name not in ("", "none")]
        result = set_up(repo, names)
    if json:
        print_json(result)
        return
    for name in result.hooks:
        print(
            f"{name}: installed" + (", runs the hook that was here first" if name in result.chained else "")
        )
    for name in result.removed:
        print(f"{name}: taken away")
    print("merge and diff drivers: " + ("taken away" if uninstall else "installed"))
    if result.is_shared and (result.hooks or result.removed):
        talk(
            f"{show_path(result.folder)} (core.hooksPath) is not this clone's alone: so it is for all that use it"
        )
    if result.is_tracked and result.hooks:
        talk(f"{show_path(result.folder)} (core.hooksPath) is in the work tree: git would commit these hooks")
    if result.git_add:
        next_command(f"git add {repo.typed(*result.git_add)} && git commit")
