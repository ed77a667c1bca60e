"""``install``: have git call datavc, by hooks and drivers of this clone; and take all of it away again.

What was there before is noted before it is changed, so that it can be put back as it was.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from datavc.durable import remove_durably, storage_errors, write_durably
from datavc.errors import UsageError
from datavc.git.attributes import ATTRIBUTES_FILE, set_attributes
from datavc.git.drivers import driver_settings, read_local, write_local
from datavc.git.hooks import HOOKS, hook_script, hooks_folder, install_hook, standing, uninstall_hook
from datavc.git.program import Git
from datavc.repo import Repo


@dataclass(slots=True)
class Installed:
    """What git calls now: ``hooks`` by name, in ``folder``; ``chained`` are those that run another one first.

    ``removed`` are hooks of ours that are gone. ``git_add`` are files to be committed. ``is_shared`` where the folder is
    that of other repositories too, ``is_tracked`` where it lies in the work tree.
    """

    folder: str
    hooks: list[str] = field(default_factory=list)
    chained: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    git_add: list[str] = field(default_factory=list)
    is_shared: bool = False
    is_tracked: bool = False


@dataclass(slots=True)
class _Note:
    """What ``install`` found: the ``folder`` of hooks and whether it ``made`` it, and the ``settings`` it replaced."""

    folder: str
    made: bool
    settings: dict[str, list[str]]


def install(repo: Repo, hooks: list[str] | None = None) -> Installed:
    """Set up the drivers, and exactly these ``hooks`` (all without a list); safe to run again.

    Raises:
        UsageError: there is no git, or no such hook. ConflictError: hooks of other programs are in the way.
        Locked: another command is at work. StorageError: something cannot be written.
    """
    git = _git_of(repo)
    wanted = list(HOOKS) if hooks is None else hooks
    unknown = [name for name in wanted if name not in HOOKS]
    if unknown:
        raise UsageError(f"datavc has no hook {unknown[0]!r}", f"choose among {', '.join(HOOKS)}")
    with repo.lock("install"):
        folder = hooks_folder(git)
        note = _read_note(repo)
        if note is not None and note.folder != os.fspath(folder):
            _take_away_hooks(note)
            note.folder, note.made = os.fspath(folder), not folder.is_dir()
        settings = driver_settings(sys.executable)
        if note is None:
            found = {key: read_local(git, key) for key in settings}
            note = _Note(os.fspath(folder), not folder.is_dir(), found)
        _write_note(repo, note)
        for key, value in settings.items():
            write_local(git, key, [value])
        with storage_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        result = _described(repo, folder)
        for name in HOOKS:
            if name in wanted:
                install_hook(folder, name, hook_script(name, sys.executable))
                result.hooks.append(name)
            elif standing(folder, name) == "ours" and uninstall_hook(folder, name):
                result.removed.append(name)
        result.chained = [name for name in result.hooks if os.path.lexists(folder / f"{name}.before-datavc")]
        if set_attributes(repo.root):
            result.git_add.append(ATTRIBUTES_FILE)
    return result


def uninstall(repo: Repo) -> Installed:
    """Take the hooks and drivers away, and put back what was there before; safe to run again.

    Raises:
        As :func:`install`.
    """
    git = _git_of(repo)
    with repo.lock("install"):
        note = _read_note(repo) or _Note(os.fspath(hooks_folder(git)), False, {})
        result = _described(repo, Path(note.folder))
        result.removed = _take_away_hooks(note)
        for key, value in driver_settings(sys.executable).items():
            found = read_local(git, key)
            if found == [value] or all(_is_ours(text) for text in found):
                write_local(git, key, note.settings.get(key, []))
        remove_durably(_note_file(repo))
    return result


def _git_of(repo: Repo) -> Git:
    if repo.git is None:
        raise UsageError("there is no git here that could call datavc", "git init, then datavc init")
    return repo.git


def _is_ours(text: str) -> bool:
    """Whether a value of git's configuration is one that some installation of datavc wrote."""
    return " -P -m datavc git " in text or text.startswith("datavc: ") or text == "datavc-virtual"


def _described(repo: Repo, folder: Path) -> Installed:
    real, common = os.path.realpath(folder), os.path.realpath(repo.shared.parent)
    in_work_tree = real.startswith(os.path.realpath(repo.root) + "/")
    in_git = real.startswith(common + "/")
    return Installed(
        os.fspath(folder),
        is_shared=not in_work_tree and not in_git,
        is_tracked=in_work_tree and not in_git,
    )


def _take_away_hooks(note: _Note) -> list[str]:
    folder = Path(note.folder)
    removed = [name for name in HOOKS if uninstall_hook(folder, name)]
    if note.made and folder.is_dir() and not any(folder.iterdir()):
        with storage_errors(folder):
            folder.rmdir()
    return removed


# The note


def _note_file(repo: Repo) -> Path:
    return repo.shared / "installed.json"


def _read_note(repo: Repo) -> _Note | None:
    try:
        values: Any = json.loads(_note_file(repo).read_bytes())
        settings = {str(key): [str(value) for value in found] for key, found in values["settings"].items()}
        return _Note(str(values["folder"]), bool(values["made"]), settings)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_note(repo: Repo, note: _Note) -> None:
    with storage_errors(_note_file(repo)):
        repo.shared.mkdir(parents=True, exist_ok=True)
    write_durably(
        _note_file(repo), json.dumps(asdict(note), sort_keys=True).encode("utf-8", "surrogateescape") + b"\n"
    )
