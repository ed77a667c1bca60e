"""``resolve``: settle pointers that a merge has left in conflict, from the stages in git's index.

The order is that of ``add``: merged trees and root are in the cache, then the pointer is written, then git is told. Killed
anywhere, the stages are still there, and the same command finishes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from datavc.durable import remove_durably, storage_errors, write_durably
from datavc.errors import ConflictError, DatavcError, NotFoundError, UsageError
from datavc.formats.decisions import Decisions, decode_decisions, encode_decisions
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer, format_pointer, has_markers, parse_pointer
from datavc.formats.pointerconflict import conflict_sides
from datavc.operations.follow import Followed, check_out_again, drop_again
from datavc.operations.merge import Merged, merge
from datavc.operations.steps.trees.treemerge import OURS, Conflict
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo


@dataclass(slots=True)
class Resolved:
    """One dataset: its ``pointer`` where it is settled (None where it was ``removed``), or the ``conflicts`` that are left.

    ``complete`` is false where some of its bytes are not in the cache. ``followed`` says what became of the data, None where
    it was not in the workspace.
    """

    path: bytes
    pointer: Pointer | None = None
    removed: bool = False
    conflicts: list[Conflict] = field(default_factory=list)
    complete: bool = True
    followed: Followed | None = None


@dataclass(slots=True)
class _Unsettled:
    """A pointer in conflict: its bytes on each side. Without ``has_stages`` they are what its conflict markers say."""

    path: bytes
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None
    has_stages: bool = True


def resolve(
    repo: Repo,
    paths: list[bytes],
    *,
    side: str | None = None,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> list[Resolved]:
    """Settle the conflicts of the datasets that absolute ``paths`` name or hold; all of them without paths.

    ``side`` (``ours``, ``theirs``) takes that version as it is; of a path inside a dataset, it decides that path, which is
    remembered. Without, both versions are merged as far as they can be. What is settled is staged in git, and checked out
    unless that would overwrite unsaved work, or bytes are missing.

    Raises:
        UsageError: a path in a dataset and no side. NotFoundError: a path has no conflict.
        ConflictError: git has forgotten the versions that were merged, and no side was chosen.
        ObjectNotFound: a tree is neither here nor on a remote; and as writing does.
    """
    with repo.lock("resolve"):
        found = {item.path: item for item in _unsettled(repo)}
        chosen = _chosen(repo, found, paths)
        rows = [_resolve(repo, found[path], parts, side, progress) for path, parts in chosen.items()]
    for row in rows:
        row.followed = _follow(repo, found[row.path], row, jobs=jobs, progress=progress)
    return rows


def _follow(repo: Repo, item: _Unsettled, row: Resolved, *, jobs: int, progress: Progress) -> Followed | None:
    if row.removed:
        content = item.ours or item.theirs
        return drop_again(repo, item.path, content, jobs=jobs, progress=progress) if content else None
    is_here = item.ours is None or os.path.lexists(repo.absolute(item.path))
    if row.pointer is None or not is_here:
        return None
    return check_out_again(repo, item.path, jobs=jobs, progress=progress)


def _unsettled(repo: Repo) -> Iterator[_Unsettled]:
    staged = set()
    if repo.git is not None:
        from datavc.git.unmerged import unmerged_pointers

        for row in unmerged_pointers(repo.git):
            staged.add(row.path)
            yield _Unsettled(row.path.removesuffix(POINTER_SUFFIX), row.base, row.ours, row.theirs)
    for name in repo.pointer_paths():
        file = repo.absolute(name)
        if name in staged or not file.is_file():
            continue
        with storage_errors(file):
            text = file.read_bytes()
        sides = conflict_sides(text)
        if sides is None and has_markers(text):
            raise ConflictError(
                f"{show(name)} has some of the markers of a merge conflict, and lacks others",
                f"git checkout HEAD -- {repo.typed(name)}",
            )
        if sides is not None:
            yield _Unsettled(name.removesuffix(POINTER_SUFFIX), None, *sides, has_stages=False)


def _chosen(repo: Repo, found: dict[bytes, _Unsettled], paths: list[bytes]) -> dict[bytes, list[bytes]]:
    """The datasets that are meant, by path, each with the sub-paths that are; none is all of it."""
    if not paths:
        return {path: [] for path in found}
    chosen: dict[bytes, list[bytes]] = {}
    whole = set()
    for path in paths:
        relative = repo.relative(path)
        if relative.removesuffix(POINTER_SUFFIX) in found:
            relative = relative.removesuffix(POINTER_SUFFIX)
        matches = False
        for dataset in found:
            if is_inside(dataset, relative):
                whole.add(dataset)
            elif not is_inside(relative, dataset):
                continue
            matches = True
            chosen.setdefault(dataset, []).append(relative[len(dataset) + 1 :])
        if not matches:
            raise NotFoundError(f"{show(relative) or '.'} has no merge conflict", "datavc status")
    return {dataset: [] if dataset in whole else parts for dataset, parts in chosen.items()}


def _resolve(
    repo: Repo, item: _Unsettled, parts: list[bytes], side: str | None, progress: Progress
) -> Resolved:
    if item.has_stages and item.ours is None and item.theirs is None:
        # As where both sides gave it another name.
        return _settle(repo, item, None)
    if side is not None and not parts:
        content = item.ours if side == OURS else item.theirs
        return _settle(repo, item, content)
    if parts and side is None:
        path = repo.typed(item.path + b"/" + parts[0])
        raise UsageError(
            f"a part of {show(item.path)} is taken from one side",
            f"datavc resolve --ours {path}, or --theirs",
        )
    merged = _merged(repo, item, parts, side, progress)
    if merged.pointer is None:
        return Resolved(item.path, conflicts=merged.conflicts)
    settled = _settle(repo, item, format_pointer(merged.pointer))
    settled.complete = merged.complete
    return settled


def _merged(repo: Repo, item: _Unsettled, parts: list[bytes], side: str | None, progress: Progress) -> Merged:
    typed = repo.typed(item.path)
    hint = f"datavc resolve --ours {typed}, or datavc resolve --theirs {typed}"
    if not item.has_stages:
        raise ConflictError(
            f"git has forgotten which versions of {show(item.path)} were merged, so one of both is to be chosen",
            hint,
        )
    if item.ours is None or item.theirs is None:
        return Merged(None, [Conflict(item.path, _deletion(item))])
    name = show(item.path + POINTER_SUFFIX)
    ours = parse_pointer(item.ours, f"our version of {name}")
    theirs = parse_pointer(item.theirs, f"their version of {name}")
    base = parse_pointer(item.base, f"the common origin of {name}") if item.base else None
    decisions = _read_decisions(repo, item.path, ours, theirs)
    if side is not None:
        _check_parts(repo, item.path, parts, merge(repo, item.path, base, ours, theirs, progress=progress))
        sides = {path: chosen for path, chosen in decisions.sides.items() if not _is_in_any(path, parts)}
        sides |= dict.fromkeys(parts, side)
        decisions = Decisions(item.path, decisions.ours, decisions.theirs, sides)
        with storage_errors(_decisions_file(repo, item.path)):
            _decisions_file(repo, item.path).parent.mkdir(parents=True, exist_ok=True)
        write_durably(_decisions_file(repo, item.path), encode_decisions(decisions))
    return merge(repo, item.path, base, ours, theirs, decisions=decisions.sides, progress=progress)


def _check_parts(repo: Repo, path: bytes, parts: list[bytes], merged: Merged) -> None:
    """A path that decides nothing is a slip. Raises NotFoundError."""
    for part in parts:
        full = path + b"/" + part
        if not any(is_inside(conflict.path, full) for conflict in merged.conflicts):
            raise NotFoundError(f"{show(full)} has no merge conflict", f"datavc resolve {repo.typed(path)}")


def _is_in_any(path: bytes, parts: list[bytes]) -> bool:
    return any(is_inside(path, part) for part in parts)


def _deletion(item: _Unsettled) -> str:
    """Why a dataset that one side alone has is in conflict; git shows no origin where both sides renamed another."""
    if item.base is None:
        return f"renamed by both, to this name by {'them' if item.ours is None else 'us'}"
    return "deleted by us, changed by them" if item.ours is None else "changed by us, deleted by them"


def _settle(repo: Repo, item: _Unsettled, content: bytes | None) -> Resolved:
    """Write the pointer that was agreed on, or remove it, and tell git."""
    name = item.path + POINTER_SUFFIX
    file = repo.absolute(name)
    pointer = None
    if content is None:
        remove_durably(file)
    else:
        pointer = parse_pointer(content, show(name))
        with storage_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        if item.ours is None:
            # Where our side had no such dataset, it may have had no line that ignores its files either.
            repo.ignore(item.path)
        write_durably(file, content)
    if repo.git is not None:
        from datavc.git.pointers import stage

        stage(repo.git, [name])
    remove_durably(_decisions_file(repo, item.path))
    return Resolved(item.path, pointer, removed=content is None)


def _read_decisions(repo: Repo, path: bytes, ours: Pointer, theirs: Pointer) -> Decisions:
    """What was decided of this merge; nothing where it was of another one, or cannot be read."""
    none = Decisions(path, str(ours.digest), str(theirs.digest))
    file = _decisions_file(repo, path)
    try:
        found = decode_decisions(file.read_bytes(), str(file))
    except (OSError, DatavcError):
        return none
    return found if (found.path, found.ours, found.theirs) == (path, none.ours, none.theirs) else none


def _decisions_file(repo: Repo, path: bytes) -> Path:
    return repo.private / "resolve" / xxhash.xxh3_128_hexdigest(path)
