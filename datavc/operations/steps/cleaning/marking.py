"""What must not go: every digest that is named by git, by a workspace, or by a clone that uses the same cache.

Digests are looked for in the bytes of pointers and states, wherever they stand in them: what cannot be parsed is no reason
to delete what it is about, and a digest too many keeps some garbage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from datavc.durable import storage_errors
from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.root import Root
from datavc.formats.tree import FOLDER
from datavc.git.mentions import every_pointer, has_all_history, tip_pointers
from datavc.git.program import Git
from datavc.operations.steps.cleaning.clones import Clone, clones_of, is_own_past
from datavc.operations.steps.cleaning.evicting import files_of
from datavc.operations.steps.trees.trees import TreeSource, entries
from datavc.repo import POINTER_SUFFIX, PRIVATE_NAME, Repo
from datavc.store import layout
from datavc.store.garbage import NeededBlobs

_DIGEST = re.compile(rb"\b(?:xxh128:[0-9a-f]{32}|(?:blake3|sha256):[0-9a-f]{64})\b")
_PARTLY = "(it has only a part of git's history: git fetch --unshallow)"
# They would lead a question about another clone to this one.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE")


@dataclass(slots=True)
class Marks:
    """``digests`` are needed; ``unknown`` are clones of which that cannot be known, so that they may need everything."""

    digests: set[Digest] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)


def mark(repo: Repo, *, shared: bool) -> Marks:
    """What this clone needs; with ``shared`` also what the others need that use the same cache, for the same repo.

    Raises:
        DatavcError: what this clone needs cannot be known.
    """
    marks = Marks(_needed_by(repo.shared, every_pointer))
    if not _knows_history(repo.shared):
        marks.unknown.append(f"this one {_PARTLY}")
    # Git does not say where all work trees are: one that was made with --separate-git-dir.
    marks.digests |= _named_in(_pointer_texts(repo.root, repo.git))
    if shared:
        for clone in _others(repo):
            _mark_clone(clone, marks)
    return marks


def mark_tips(repo: Repo, *, shared: bool) -> set[Digest]:
    """As :func:`mark`, without what history alone leads to. Raises DatavcError: something cannot be known."""
    digests = _needed_by(repo.shared, tip_pointers) | _named_in(_pointer_texts(repo.root, repo.git))
    for clone in _others(repo) if shared else ():
        digests |= _needed_by(Path(clone.place), tip_pointers)
    return digests


def _others(repo: Repo) -> list[Clone]:
    """The other clones of this repo that use the cache: what another repo's roots reach stays anyway."""
    return [
        clone
        for clone in clones_of(repo)
        if clone.standing != "this"
        and not is_own_past(repo, clone)
        and clone.repo in (repo.config.repo_id, "")
    ]


def _mark_clone(clone: Clone, marks: Marks) -> None:
    if clone.standing not in ("there", "gone"):
        marks.unknown.append(str(clone))
        return
    place = Path(clone.place)
    try:
        marks.digests |= _needed_by(place, every_pointer)
        if not _knows_history(place):
            marks.unknown.append(f"{clone} {_PARTLY}")
    except (DatavcError, OSError) as error:
        marks.unknown.append(f"{clone} ({error})")


def _needed_by(shared: Path, held_by_git: Callable[[Path], list[bytes]]) -> set[Digest]:
    """What the clone needs whose private folder is ``shared``. Raises DatavcError, OSError."""
    with storage_errors(shared):
        os.stat(shared)
        texts = _private_texts(shared)
    if shared.name == PRIVATE_NAME:
        texts += _pointer_texts(shared.parent, None)
    else:
        common = shared.parent
        texts += held_by_git(common)
        for private in (common / "worktrees").glob("*/datavc"):
            with storage_errors(private):
                texts += _private_texts(private)
        for top in _worktree_tops(common):
            texts += _pointer_texts(top, Git(top, without=_ELSEWHERE))
    return _named_in(texts)


def _named_in(texts: Iterable[bytes]) -> set[Digest]:
    return {Digest.parse(found.decode("ascii")) for text in texts for found in _DIGEST.findall(text)}


def _knows_history(shared: Path) -> bool:
    return shared.name == PRIVATE_NAME or has_all_history(shared.parent)


def _private_texts(private: Path) -> list[bytes]:
    """Workspace states, and what is noted of merges that are being settled."""
    files = [file for folder in ("state", "resolve") for file in (private / folder).glob("*")]
    return [file.read_bytes() for file in files if file.is_file()]


def _worktree_tops(common: Path) -> list[Path]:
    """The top folders of the work trees that are there; of one that is away, its index and its states speak."""
    tops = [common.parent] if common.name == ".git" else []
    # A submodule's: its git folder lies in that of the repository around it.
    git = Git(common, without=_ELSEWHERE)
    named = git.run(f"--git-dir={common}", "config", "--path", "core.worktree", accept=(0, 1))
    if named:
        tops.append(Path(os.path.normpath(common / os.fsdecode(named.removesuffix(b"\n")))))
    for file in (common / "worktrees").glob("*/gitdir"):
        tops.append(Path(os.fsdecode(file.read_bytes().rstrip(b"\n"))).parent)
    return [top for top in tops if (top / ".git").exists()]


def _pointer_texts(top: Path, git: Git | None) -> list[bytes]:
    """The pointers in a work tree, committed or not."""
    repo = Repo(top, git, top / PRIVATE_NAME, top / PRIVATE_NAME)
    texts = []
    for name in repo.pointer_paths():
        file = repo.absolute(name)
        if name.endswith(POINTER_SUFFIX) and file.is_file():
            with storage_errors(file):
                texts.append(file.read_bytes())
    return texts


def needed_blobs(repo: Repo, marks: Marks) -> NeededBlobs:
    """Tells the whole blobs in the cache that the files of some roots, and of what is marked, need."""
    cache = repo.cache

    def needed(roots: Iterable[Root]) -> set[str] | None:
        digests = {digest.raw for digest in marks.digests}
        rooted = set()
        for root in roots:
            files = files_of(cache, root)
            if files is None:
                return None
            digests |= files
            rooted.add(root.digest)
        for digest in marks.digests - rooted:
            # What consists of whole blobs alone needs no root.
            if digest.algorithm == cache.algorithm:
                digests |= _files_here(repo, digest)
        return {layout.blob_path(cache.algorithm, digest) for digest in digests}

    return needed


def _files_here(repo: Repo, digest: Digest) -> set[bytes]:
    try:
        trees = [tree for _, _, tree in TreeSource(repo.cache, None, digest, "folder").distinct()]
    except DatavcError:
        # A file, or a version that is not here.
        return set()
    return {entry.digest for tree in trees for entry in entries(tree) if entry.kind != FOLDER}
