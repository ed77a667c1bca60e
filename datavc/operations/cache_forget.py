"""``cache forget``: a clone that is gone for good needs nothing of the cache any more."""

from __future__ import annotations

from collections.abc import Callable

from datavc.errors import ConflictError, NotFoundError, UsageError
from datavc.operations.steps.cleaning.clones import Clone, clones_of
from datavc.repo import Repo
from datavc.store import layout

_SHORTEST_ID = 8

Confirm = Callable[[list[Clone]], bool]


def cache_forget(
    repo: Repo, names: list[str], *, gone: bool = False, confirm: Confirm | None = None
) -> list[Clone]:
    """Delete the notes of clones, by absolute path or by eight digits of their id; with ``gone``, of all that are gone.

    ``confirm`` is asked before: a clone on another machine, or on a disk that is not mounted, may be there. Returns the
    clones that are forgotten; none where nobody agreed.

    Raises:
        UsageError: no clone is named. NotFoundError: there is no such clone. ConflictError: it is there. StorageError.
    """
    if not (names or gone):
        raise UsageError("nothing says which clone is to be forgotten", "datavc cache list")
    known = clones_of(repo)
    chosen = {clone.id: clone for clone in known if gone and clone.standing == "gone"}
    for name in names:
        clone = _find(known, name)
        if clone.standing in ("this", "there"):
            which = "is this clone" if clone.standing == "this" else "is there, and uses the cache"
            raise ConflictError(f"{clone} {which}", "delete the clone first, if it is not needed any more")
        chosen[clone.id] = clone
    clones = list(chosen.values())
    if not clones or not (confirm is None or confirm(clones)):
        return []
    for clone in clones:
        repo.cache.backend.delete(layout.CLONES + clone.id)
    repo.cache.backend.close()
    return clones


def _find(known: list[Clone], name: str) -> Clone:
    is_id = len(name) >= _SHORTEST_ID and set(name) <= set("0123456789abcdef")
    found = [
        clone
        for clone in known
        if (clone.place and name in (clone.place, clone.folder)) or (is_id and clone.id.startswith(name))
    ]
    if len(found) > 1:
        raise UsageError(
            f"{name} are several clones: {', '.join(clone.id for clone in found)}", "datavc cache forget ID"
        )
    if not found:
        raise NotFoundError(f"no clone at {name} uses the cache", "datavc cache list")
    return found[0]
