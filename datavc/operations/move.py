"""``move``: give a dataset another path. Nothing is read or stored again.

The old pointer goes last: while it is there, the same command finishes what an interrupted one began.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from datavc.durable import fsync_folder, remove_durably, storage_errors, write_durably
from datavc.errors import ConflictError, NotFoundError
from datavc.formats.paths import show, to_text
from datavc.formats.pointer import Pointer, format_pointer
from datavc.git.ignorefile import ignore_file
from datavc.operations.steps.examining.sweeping import beside, sweep
from datavc.operations.steps.storing.refusing import refuse_hopeless
from datavc.repo import POINTER_SUFFIX, Repo


@dataclass(frozen=True, slots=True)
class MoveResult:
    """Where the dataset was and is, and the paths to give to ``git add``."""

    old: bytes
    new: bytes
    git_add: list[str]


def move(repo: Repo, old: bytes, new: bytes) -> MoveResult:
    """Move the dataset at the absolute path ``old``: data, pointer, ignore line and workspace state. As in ``mv``, a
    ``new`` that is a folder (and no dataset) takes it in.

    Raises:
        NotFoundError: there is no such dataset. ConflictError: something stands at the new place.
    """
    with repo.lock("move"):
        source = repo.relative(old)
        pointer = repo.read_pointer(source)
        if pointer is None:
            raise NotFoundError(f"{show(source)} is no dataset", "datavc status")
        target = repo.relative(new)
        if repo.absolute(target).is_dir() and repo.read_pointer(target) is None:
            target = (target + b"/" if target else b"") + source.rpartition(b"/")[2]
        begun = _was_begun(repo, source, target, pointer)
        _refuse(repo, source, target, begun=begun)
        folder = target.rpartition(b"/")[0]
        with storage_errors(repo.absolute(folder)):
            repo.absolute(folder).mkdir(parents=True, exist_ok=True)
        repo.ignore(target)
        if not begun:
            state = repo.read_state(source)
            repo.write_state(replace(state, path=target))
            write_durably(repo.absolute(target + POINTER_SUFFIX), format_pointer(pointer))
        _move_data(repo, source, target)
        sweep(repo, beside(repo, [source, target]))
        changed = _git_paths(repo, source, target)
        repo.drop_state(source)
        remove_durably(repo.absolute(source + POINTER_SUFFIX))
        return MoveResult(source, target, changed)


def _was_begun(repo: Repo, source: bytes, target: bytes, pointer: Pointer) -> bool:
    """Whether this move was interrupted: both pointers say the same, and the data is in one of the places at most."""
    both = os.path.lexists(repo.absolute(source)) and os.path.lexists(repo.absolute(target))
    return source != target and not both and repo.read_pointer(target) == pointer


def _refuse(repo: Repo, source: bytes, target: bytes, *, begun: bool) -> None:
    for path in () if begun else (target, target + POINTER_SUFFIX):
        if os.path.lexists(repo.absolute(path)):
            raise ConflictError(f"{show(path)} exists already", "move it away first, or choose another name")
    if target.startswith(source + b"/"):
        raise ConflictError(f"{show(source)} cannot be moved into itself")
    owner = repo.owner(target, repo.datasets())
    if owner is not None and owner.path != target:
        raise ConflictError(
            f"{show(target)} lies in the dataset {show(owner.path)}", "choose a place outside of it"
        )
    refuse_hopeless(repo, target, has_pointer=True)


def _move_data(repo: Repo, source: bytes, target: bytes) -> None:
    place = repo.absolute(target)
    with storage_errors(place):
        if os.path.lexists(repo.absolute(source)):
            os.rename(repo.absolute(source), place)
            fsync_folder(place.parent)
            fsync_folder(repo.absolute(source).parent)


def _git_paths(repo: Repo, source: bytes, target: bytes) -> list[str]:
    if repo.git is None:
        return []
    repo.unignore(source)
    paths = []
    for path in (source, target):
        paths += [path + POINTER_SUFFIX, ignore_file(path)]
    return list(dict.fromkeys(map(to_text, paths)))
