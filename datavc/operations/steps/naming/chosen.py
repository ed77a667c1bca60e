"""Which versions a transfer is about: those of the pointers in the workspace, or of the pointers at other revisions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from datavc.errors import DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, show
from datavc.formats.pointer import Pointer, parse_pointer
from datavc.formats.root import Root
from datavc.operations.selection import select
from datavc.operations.steps.naming.notes import current_commit
from datavc.operations.steps.naming.revisions import Revision, resolve_revision, revision_at
from datavc.repo import POINTER_SUFFIX, Repo

# So many earlier versions of a dataset are looked at, newest first, for one that a remote has.
_HISTORY = 50
_UNDER_WAY = ("MERGE_HEAD", "CHERRY_PICK_HEAD", "REBASE_HEAD")


@dataclass(frozen=True, slots=True)
class Version:
    """A version of the dataset at ``path``: what its pointer says, in which ``commit``, and the sub-paths that are meant.

    ``record`` is the one that made it, where the pointer names one. A record itself is a version too, without a path.
    """

    path: bytes
    digest: Digest
    kind: str
    size: int
    files: int
    commit: str | None
    parts: tuple[bytes, ...] | None = None
    record: Digest | None = None

    @classmethod
    def of_root(cls, root: Root) -> Version:
        """All of the version, or the record, that a root stands for."""
        return cls(root.path, root.digest, root.kind, root.size, root.files, root.commit)

    @classmethod
    def of_pointer(cls, path: bytes, pointer: Pointer, commit: str | None = None) -> Version:
        """All of the version that a pointer stands for, without its record."""
        return cls(path, pointer.digest, pointer.kind, pointer.size, pointer.files, commit)


@dataclass(frozen=True, slots=True)
class Revisions:
    """At which revisions: those named, the tips of all branches, of all tags; none of these is the workspace."""

    named: tuple[str, ...] = ()
    branches: bool = False
    tags: bool = False

    def __bool__(self) -> bool:
        return bool(self.named) or self.branches or self.tags


WORKSPACE = Revisions()


def chosen_versions(repo: Repo, paths: list[bytes], revisions: Revisions) -> list[Version]:
    """The versions of the datasets that absolute ``paths`` name, hold or lie in; at git revisions each digest once.

    Raises:
        NotFoundError: a path has nothing to do with any dataset.
        UsageError: a revision is none, or there is no git; a path is outside of the repository.
        MalformedError: a pointer is malformed.
    """
    if not revisions:
        commit = current_commit(repo)
        return [
            _version(item.dataset.path, item.dataset.pointer, commit, item.parts)
            for item in select(repo, paths)
        ]
    wanted = [repo.relative(path).removesuffix(POINTER_SUFFIX) for path in paths]
    found: dict[tuple[bytes, Digest], Version] = {}
    for revision in _resolved(repo, revisions):
        for path, pointer in ((dataset.path, dataset.pointer) for dataset in revision.meant):
            inner = [name[len(path) + 1 :] for name in wanted if is_inside(name, path)]
            if not wanted or any(is_inside(path, name) for name in wanted):
                inner = [b""]
            if inner:
                parts = None if b"" in inner else tuple(sorted(inner))
                found.setdefault((path, pointer.digest), _version(path, pointer, revision.commit, parts))
    for name in wanted:
        if not any(is_inside(path, name) or is_inside(name, path) for path, _ in found):
            raise NotFoundError(f"{show(name)} is no dataset at these revisions, and none lies in it")
    return list(found.values())


def earlier_versions(repo: Repo, version: Version) -> Iterator[Digest]:
    """What the dataset was before: what the workspace was made from, then what its pointer was, newest first."""
    seen = {version.digest}
    for digest in _earlier(repo, version.path) if version.path else ():
        if digest not in seen:
            seen.add(digest)
            yield digest


def _earlier(repo: Repo, path: bytes) -> Iterator[Digest]:
    base = repo.read_state(path).base
    if base is not None:
        yield base
    if repo.git is None:
        return
    from datavc.git.history import pointer_history

    # What is being merged is history too, before it is committed.
    others = [head for head in _UNDER_WAY if (repo.private.parent / head).is_file()]
    for content in pointer_history(repo.git, path + POINTER_SUFFIX, _HISTORY, others):
        try:
            digest = parse_pointer(content, show(path)).digest
        except DatavcError:
            # An old pointer that nobody can read is no help, and no harm.
            continue
        if digest.algorithm == repo.algorithm:
            yield digest


def _version(path: bytes, pointer: Pointer, commit: str | None, parts: tuple[bytes, ...] | None) -> Version:
    named = pointer.run
    record = Digest.parse(str(named["record"])) if named is not None else None
    return replace(Version.of_pointer(path, pointer, commit), parts=parts, record=record)


def _resolved(repo: Repo, revisions: Revisions) -> Iterator[Revision]:
    if revisions.branches or revisions.tags:
        if repo.git is None:
            raise UsageError("there are no revisions without git")
        from datavc.git.history import tips

        for commit in tips(repo.git, branches=revisions.branches, tags=revisions.tags):
            yield revision_at(repo, commit)
    for text in revisions.named:
        yield resolve_revision(repo, text)
