"""``show``: what is known of a dataset, or of one thing in it, in the workspace's version or in that of a revision."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.errors import DatavcError, NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.tree import KIND_NAMES
from datavc.operations.listing import datasets_in, find_entry
from datavc.operations.log import LoggedVersion, log
from datavc.operations.steps.naming.revisions import Revision
from datavc.operations.steps.transfers.afar import looking_afar
from datavc.progress import SILENT, Progress
from datavc.repo import Dataset, Repo


@dataclass(frozen=True, slots=True)
class Shown:
    """A dataset, or a thing in it (``path``): ``size`` in bytes and ``files`` of all below.

    ``version`` is the digest of the ``dataset``; ``in_cache`` says whether the cache has all of it. ``made`` is the commit
    that made this version; None where no commit did, or the revision is a digest. ``tags`` are the names of the dataset's
    own tags for this version, ``run`` and ``imported`` what its pointer says of its origin.
    """

    path: bytes
    kind: str
    digest: Digest
    size: int
    files: int
    dataset: bytes
    version: Digest
    in_cache: bool
    made: LoggedVersion | None = None
    tags: list[str] = field(default_factory=list)
    run: dict[str, str] | None = None
    imported: dict[str, str] | None = None


def show(
    repo: Repo,
    path: bytes,
    *,
    revision: Revision | None = None,
    offline: bool = False,
    progress: Progress = SILENT,
) -> list[Shown]:
    """What is at the absolute ``path``: a dataset, a thing in one, or the datasets in a folder.

    Raises:
        NotFoundError: nothing is there. ObjectNotFound: a tree is missing.
    """
    among = revision.meant if revision is not None else None
    inside = datasets_in(repo, path, among)
    places = [repo.root_bytes + b"/" + dataset.path for dataset in inside] or [path]
    tags = _tags(repo)
    with looking_afar(repo, offline=offline, progress=progress):
        return [_show(repo, place, revision, among, tags) for place in places]


def _show(
    repo: Repo,
    path: bytes,
    revision: Revision | None,
    among: list[Dataset] | None,
    tags: dict[tuple[bytes, Digest], list[str]],
) -> Shown:
    dataset, _, inner, entry = find_entry(repo, path, among)
    pointer = dataset.pointer
    return Shown(
        repo.relative(path),
        KIND_NAMES[entry.kind],
        Digest(repo.algorithm, entry.digest),
        entry.size,
        entry.count,
        dataset.path,
        dataset.digest,
        _is_in_cache(repo, dataset.digest),
        _made(repo, dataset, revision),
        tags.get((dataset.path, dataset.digest), []),
        _texts(pointer.run) if not inner else None,
        _texts(pointer.imported) if not inner else None,
    )


def _is_in_cache(repo: Repo, digest: Digest) -> bool:
    try:
        return repo.cache.root(digest) is not None
    except DatavcError:
        return False


def _made(repo: Repo, dataset: Dataset, revision: Revision | None) -> LoggedVersion | None:
    """The commit that made the version, if that is what the newest version of the dataset there is."""
    if repo.git is None or (revision is not None and revision.commit is None):
        return None
    start = revision.commit if revision is not None else None
    try:
        found = log(repo, repo.root_bytes + b"/" + dataset.path, revision=start, limit=1).versions
    except NotFoundError:
        return None
    return found[0] if found and found[0].digest == dataset.digest else None


def _tags(repo: Repo) -> dict[tuple[bytes, Digest], list[str]]:
    if repo.git is None:
        return {}
    from datavc.operations.tag import tags

    found: dict[tuple[bytes, Digest], list[str]] = {}
    for tag in tags(repo):
        if tag.digest is not None:
            found.setdefault((tag.path, tag.digest), []).append(tag.name)
    return found


def _texts(table: object) -> dict[str, str] | None:
    return {str(key): str(value) for key, value in table.items()} if isinstance(table, dict) else None
