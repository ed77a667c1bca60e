"""What ``doctor`` looks at in what git calls: the drivers and hooks of this clone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from datavc.formats.paths import shell_word
from datavc.git.program import Git
from datavc.operations.steps.health.checkup import Finding, note, ok, problem


def check_hooks(git: Git) -> Iterator[Finding]:
    """They are there, run, and call this datavc rather than one that is gone."""
    yield from _check_drivers(git)
    yield from _check_hooks(git)


def _check_drivers(git: Git) -> Iterator[Finding]:
    from datavc.git.drivers import driver_settings, read_local

    wanted = driver_settings(sys.executable)
    found = {key: read_local(git, key) for key in wanted}
    if not any(found.values()):
        yield note("hooks", "git merges and shows pointers as text, not as datasets", "datavc install")
    elif any(found[key] != [value] for key, value in wanted.items()):
        yield problem(
            "hooks", "git's drivers for pointers call another datavc than this one", "datavc install"
        )
    else:
        yield ok("hooks", "git merges and shows datasets file by file")


def _check_hooks(git: Git) -> Iterator[Finding]:
    from datavc.git.hooks import HOOKS, hook_script, hooks_folder

    folder = hooks_folder(git)
    ours: list[str] = []
    others: list[str] = []
    for name in HOOKS:
        try:
            text = (folder / name).read_bytes()
        except OSError:
            continue
        if text == hook_script(name, sys.executable):
            ours.append(name)
        elif b"Installed by datavc" in text:
            yield problem("hooks", f"the hook {name} calls another datavc than this one", "datavc install")
            ours.append(name)
        elif not _calls_ours(folder, name, text):
            others.append(name)
        if name in ours and not os.access(folder / name, os.X_OK):
            yield problem(
                "hooks",
                f"git does not run the hook {name}, because it may not be executed",
                f"chmod +x {shell_word(os.fsencode(Path(folder) / name))}",
            )
    if ours and others:
        yield note(
            "hooks",
            f"{', '.join(others)}: hooks of other programs, which do not call datavc",
            "datavc install",
        )
    if ours:
        yield ok("hooks", f"datavc is called by {', '.join(ours)}")
    else:
        yield note(
            "hooks", "data does not follow git by itself, since no hook calls datavc", "datavc install"
        )


def _calls_ours(folder: Path, name: str, text: bytes) -> bool:
    """Whether another program's hook calls datavc: by name, or as what was there before, as the pre-commit framework does."""
    if b"datavc" in text:
        return True
    try:
        return b"Installed by datavc" in (folder / f"{name}.legacy").read_bytes()
    except OSError:
        return b".pre-commit-config" in text
