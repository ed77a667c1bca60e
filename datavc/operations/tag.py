"""``tag``: a dataset's own tags, which are git tags called ``PATH@NAME``: making one, and listing them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from datavc.errors import ConflictError, DatavcError, NotFoundError, UsageError
from datavc.formats.digest import Digest
from datavc.formats.paths import is_inside, shell_word, show
from datavc.formats.times import utc_text
from datavc.git.program import Git
from datavc.operations.steps.naming.revisions import read_past_pointer, resolve_commit, revision_at
from datavc.repo import POINTER_SUFFIX, Repo


@dataclass(frozen=True, slots=True)
class DatasetTag:
    """The tag ``NAME`` of the dataset at ``path``: git's ``tag``, its ``commit``, and the version that this has.

    ``date`` is when the tag was made, or its commit. ``digest`` is None where the commit has no such dataset.
    """

    path: bytes
    name: str
    tag: bytes
    commit: str
    date: str | None = None
    digest: Digest | None = None
    kind: str | None = None
    size: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class TagResult:
    """The tag that was made, the command that sends it to others, and whether the pointer here ``differs`` from HEAD's."""

    made: DatasetTag
    push: str
    differs: bool = False


def tag(
    repo: Repo,
    path: bytes,
    name: str,
    *,
    revision: str = "HEAD",
    message: str | None = None,
    force: bool = False,
) -> TagResult:
    """Give the version that the dataset at the absolute ``path`` has in a revision a name of its own.

    With a ``message`` git's tag is an annotated one. ``force`` moves a tag that there is.

    Raises:
        UsageError: there is no git or no such revision, or ``name`` is none for a tag.
        NotFoundError: the revision has no such dataset. ConflictError: there is such a tag, for another commit.
    """
    git = _git(repo)
    from datavc.git.revisions import dataset_tag, make_tag, remote_for_tags, tagged_commit

    relative = repo.relative(path).removesuffix(POINTER_SUFFIX)
    short = dataset_tag(relative, name)
    commit, _ = resolve_commit(repo, revision)
    found = {dataset.path: dataset for dataset in revision_at(repo, commit).datasets}
    if relative not in found:
        raise NotFoundError(
            f"{revision} has no dataset {show(relative)}",
            f"commit its pointer first: git add {repo.typed(relative + POINTER_SUFFIX)} && git commit",
        )
    taken = tagged_commit(git, short)
    if taken is not None and taken != commit and not force:
        raise ConflictError(
            f"the tag {show(short)} is that of commit {taken[:12]}",
            f"choose another name, or move it: datavc tag --force {repo.typed(relative)} {name} {revision}",
        )
    if taken != commit or message is not None:
        make_tag(git, short, commit, message=message, force=taken is not None)
    pointer = found[relative].pointer
    here = repo.read_pointer(relative)
    made = DatasetTag(
        relative, name, short, commit, None, pointer.digest, pointer.kind, pointer.size, pointer.files
    )
    remote = remote_for_tags(git) or "REMOTE"
    push = f"git push {shell_word(remote.encode())} {shell_word(b'refs/tags/' + short)}"
    differs = revision == "HEAD" and here is not None and here.digest != pointer.digest
    return TagResult(made, push, differs)


def tags(repo: Repo, path: bytes | None = None) -> list[DatasetTag]:
    """Every dataset's own tag, or those of the datasets at or below the absolute ``path``; by path, then by age.

    Raises:
        UsageError: there is no git.
    """
    git = _git(repo)
    from datavc.git.pointerlog import blobs_at
    from datavc.git.revisions import dataset_tag, dataset_tags

    wanted = repo.relative(path).removesuffix(POINTER_SUFFIX) if path is not None else b""
    found = [known for known in dataset_tags(git) if is_inside(known.path, wanted)]
    contents = blobs_at(git, [(known.commit, known.path + POINTER_SUFFIX) for known in found])
    rows = []
    for known, content in zip(found, contents, strict=True):
        tag = dataset_tag(known.path, known.name)
        row = DatasetTag(known.path, known.name, tag, known.commit, utc_text(known.when))
        try:
            pointer = read_past_pointer(repo, content or b"", known.path + POINTER_SUFFIX, known.commit)
        except DatavcError:
            rows.append(row)
            continue
        rows.append(
            replace(row, digest=pointer.digest, kind=pointer.kind, size=pointer.size, files=pointer.files)
        )
    return rows


def _git(repo: Repo) -> Git:
    if repo.git is None:
        raise UsageError("there are no tags without git")
    return repo.git
