"""Which old versions of a dataset expire: those that history alone leads to, and that nobody has picked out.

What stays: whatever a branch, tag or other ref has at its tip, an index, a workspace, a stash or an operation under way;
and what the records of runs read.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime

from datavc.backends.base import Backend
from datavc.errors import ConflictError, DatavcError, NotFoundError, ObjectNotFound
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.record import MAX_RECORD_BYTES, Data, decode_record
from datavc.formats.root import Root
from datavc.operations.steps.cleaning.marking import Marks, mark_tips
from datavc.operations.steps.trees.trees import TreeSource
from datavc.repo import Repo
from datavc.store.census import StoredRoot
from datavc.store.index import ObjectIndex
from datavc.store.reader import ObjectReader
from datavc.store.roots import list_roots


@dataclass(frozen=True, slots=True)
class Expire:
    """Versions of the dataset at ``path`` that were stored more than ``older_than`` seconds ago."""

    path: bytes
    older_than: float


def expiring(
    repo: Repo,
    backend: Backend,
    executor: Executor,
    roots: list[StoredRoot],
    marks: Marks,
    rule: Expire,
    now: float,
) -> list[StoredRoot]:
    """Those of ``roots`` that expire by the ``rule``.

    Raises:
        ConflictError: what somebody needs cannot be known. NotFoundError: no version of such a dataset is there.
        IntegrityError, ObjectNotFound: a record cannot be read, so nobody knows what its run has read.
    """
    if marks.unknown:
        raise ConflictError(
            f"nothing of {show(rule.path)} may expire: what these clones need cannot be known: {', '.join(marks.unknown)}",
            "datavc cache list",
        )
    own = [one for one in roots if one.root.repo == repo.config.repo_id]
    found = [one for one in own if one.root.kind != "record" and one.root.path == rule.path]
    if not found:
        raise NotFoundError(f"{backend.describe()} has no version of {show(rule.path)}", "datavc ls")
    picked = mark_tips(repo, shared=backend is repo.cache.backend)
    old = [
        one
        for one in found
        # Others are none that history leads to: these go, or stay, by the rules of every gc.
        if one.root.digest in marks.digests - picked and now - _stored(one.root) >= rule.older_than
    ]
    if not old:
        return []
    read = _read_by_runs(repo, backend, executor, [one.root for one in own])
    whole = {data.digest for data in read}
    parts = [data for data in read if is_inside(data.path, rule.path) and data.path != rule.path]
    return [one for one in old if one.root.digest not in whole and not _has_one_of(backend, one.root, parts)]


def _stored(root: Root) -> float:
    """When the version was stored, in seconds since 1970: not when its root was last written, which repacking does too."""
    return datetime.fromisoformat(root.when).timestamp()


def _read_by_runs(repo: Repo, backend: Backend, executor: Executor, roots: Iterable[Root]) -> list[Data]:
    """What the runs read whose records are in ``backend``, or here."""
    asked = {(root.digest, backend): root for root in roots if root.kind == "record"}
    if backend is not repo.cache.backend:
        for _, root in list_roots(repo.cache.backend, repo.config.repo_id):
            if root is not None and root.kind == "record" and (root.digest, backend) not in asked:
                asked[root.digest, repo.cache.backend] = root
    pairs = [(place, root) for (_, place), root in asked.items()]
    return [data for read in executor.map(_inputs, pairs) for data in read]


def _inputs(pair: tuple[Backend, Root]) -> tuple[Data, ...]:
    backend, root = pair
    try:
        encoded = _reader(backend, root).read(root.digest.raw, limit=MAX_RECORD_BYTES)
    except ObjectNotFound:
        if root.complete:
            raise
        # It never came.
        return ()
    return decode_record(encoded, f"the record {root.digest.short}").inputs


def _has_one_of(backend: Backend, root: Root, parts: list[Data]) -> bool:
    """Whether a run read a file or folder of this version; where that cannot be known, yes."""
    source = _Version(backend, root)
    for data in parts:
        name = data.path[len(root.path) + 1 :]
        try:
            entry = source.entry_at(name, name.rpartition(b"/")[2])
        except DatavcError:
            return True
        if entry is not None and data.digest == Digest(root.digest.algorithm, entry.digest):
            return True
    return False


class _Version(TreeSource):
    """The trees of a version, out of the packs that its root names."""

    def __init__(self, backend: Backend, root: Root) -> None:
        super().__init__(None, None, root.digest, root.kind)
        self._reader = _reader(backend, root)


def _reader(backend: Backend, root: Root) -> ObjectReader:
    algorithm = root.digest.algorithm
    return ObjectReader(backend, algorithm, ObjectIndex(backend, algorithm, root.indexes, look=False).find)
