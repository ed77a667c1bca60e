"""The merge and diff drivers in a clone's own git configuration: what a committed file names, git calls only if set there."""

from __future__ import annotations

import os
import shlex

from datavc.git.program import Git

_VIRTUAL = "datavc-virtual"


def driver_settings(python: str) -> dict[str, str]:
    """The keys of git's configuration and their values, for datavc run by the interpreter ``python``."""
    call = f"{shlex.quote(python)} -P -m datavc git"
    # In the command of a merge driver, and there alone, git replaces what begins with %.
    merge = call.replace("%", "%%") + " merge"
    return {
        "merge.datavc.name": "datavc: datasets are merged file by file",
        "merge.datavc.driver": f"{merge} %O %A %B %L %P",
        "merge.datavc.recursive": _VIRTUAL,
        f"merge.{_VIRTUAL}.name": "datavc: a common origin out of several",
        f"merge.{_VIRTUAL}.driver": f"{merge} --virtual %O %A %B %L %P",
        "diff.datavc.command": f"{call} diff",
    }


def read_local(git: Git, key: str) -> list[str]:
    """The values of ``key`` in the clone's own configuration."""
    found = git.run("config", "--local", "--null", "--get-all", key, accept=(0, 1))
    return [os.fsdecode(value) for value in found.split(b"\0")[:-1]]


def write_local(git: Git, key: str, values: list[str]) -> None:
    """Give ``key`` exactly these values in the clone's own configuration; none takes it away.

    Raises:
        Locked: another git command is changing the configuration. DatavcError: git refuses.
    """
    before = read_local(git, key)
    if before == values:
        return
    if len(values) == 1 and len(before) <= 1:
        git.run("config", "--local", key, values[0])
        return
    if before:
        git.run("config", "--local", "--unset-all", key)
    for value in values:
        git.run("config", "--local", "--add", key, value)
