"""Before ``git push``: no pointer leaves this clone whose data is not on the remote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from datavc.errors import ConflictError, DatavcError, NotFoundError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.pointer import parse_pointer
from datavc.operations.push import push
from datavc.operations.steps.naming.chosen import Revisions
from datavc.operations.steps.remotes.remotes import open_remote
from datavc.progress import SILENT, Progress
from datavc.repo import POINTER_SUFFIX, Repo

_THREADS = 8
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Unsent:
    """A version of the dataset at ``path`` that is not complete on the remote, and a commit whose pointer names it."""

    path: bytes
    digest: Digest
    commit: str


def prepush(
    repo: Repo,
    git_remote: str,
    pushed: list[tuple[str, str]],
    *,
    jobs: int = 1,
    progress: Progress = SILENT,
) -> list[Unsent]:
    """Make sure of the data of every pointer that git is about to send; returns what was sent for that.

    ``pushed`` are commits that git sends, each with the one at which the branch on ``git_remote`` stands, as git's hook is
    told. All versions on the way count, not only the last. The setting ``git.push`` says what is done about those that the
    default remote of datavc lacks.

    Raises:
        ConflictError: some are not there, and the setting is to refuse, or they could not be sent.
        UsageError: there is no remote. StorageError: it cannot be asked.
    """
    choice = str(repo.config.get("git.push"))
    if choice == "off" or repo.git is None:
        return []
    named = _named(repo, git_remote, pushed, progress)
    missing = _missing(repo, named) if named else []
    if not missing:
        return []
    if choice != "push":
        raise _refusal(repo, missing)
    paths = [repo.root_bytes + b"/" + path for path in dict.fromkeys(row.path for row in missing)]
    commits = tuple(dict.fromkeys(row.commit for row in missing))
    result = push(repo, paths, revisions=Revisions(commits), jobs=jobs, progress=progress)
    if result.failed:
        row = result.failed[0]
        raise ConflictError(f"{show(row.path)} could not be pushed: {row.message}", row.hint)
    return missing


def _named(repo: Repo, git_remote: str, pushed: list[tuple[str, str]], progress: Progress) -> list[Unsent]:
    """Every version that the pointers name that git will send for the first time."""
    assert repo.git is not None
    from datavc.git.pointerlog import read_blobs, unsent_pointers

    tips = [commit for commit, _ in pushed if commit.strip("0")]
    there = [commit for _, commit in pushed if commit.strip("0")]
    if not tips:
        return []
    sent = unsent_pointers(repo.git, git_remote, tips, there)
    contents = read_blobs(repo.git, {blob for _, blob in sent})
    found: dict[tuple[bytes, Digest], Unsent] = {}
    for (name, blob), commit in sent.items():
        where = f"{commit[:12]}:{show(name)}"
        try:
            digest = parse_pointer(contents[blob], where).digest if blob in contents else None
        except DatavcError as error:
            # What is wrong with it cannot be mended by pushing data; a later commit may have done so.
            progress.note(f"warning: {error.message}")
            continue
        if digest is not None and digest.algorithm == repo.algorithm:
            path = name.removesuffix(POINTER_SUFFIX)
            found.setdefault((path, digest), Unsent(path, digest, commit))
    return list(found.values())


def _missing(repo: Repo, named: list[Unsent]) -> list[Unsent]:
    try:
        store = open_remote(repo, None)
    except NotFoundError:
        # A folder that nobody has written to yet is an empty store.
        return named
    try:
        with ThreadPoolExecutor(_THREADS) as executor:
            roots = executor.map(store.root, [row.digest for row in named])
            return [row for row, root in zip(named, roots, strict=True) if root is None]
    finally:
        store.backend.close()


def _refusal(repo: Repo, missing: list[Unsent]) -> ConflictError:
    remote = repo.remote(None).name
    shown = ", ".join(f"{show(row.path)} at {row.commit[:12]}" for row in missing[:_SHOWN])
    more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
    commits = list(dict.fromkeys(row.commit[:12] for row in missing))
    revs = " ".join(f"--rev {commit}" for commit in commits[:_SHOWN])
    return ConflictError(
        f"pointers would be pushed whose data is not on the remote {remote}: {shown}{more}",
        f"datavc push {revs}, then git push again; to have that done each time: datavc config --local git.push push",
    )
