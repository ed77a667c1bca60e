"""What names what: the versions and records that pointers name, in the workspace and at every revision, and where they do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.paths import show
from datavc.formats.pointer import Pointer, parse_pointer
from datavc.formats.record import Record
from datavc.operations.steps.runs.recordstore import read_record
from datavc.repo import POINTER_SUFFIX, Repo

Places = dict[bytes, list[str]]
"""Datasets, by path, and of each the commits that wrote the pointer, newest first; none where only the workspace has it."""


class WrongPointer(NamedTuple):
    """A pointer that cannot be read, of the dataset at ``path``; ``commit`` is None where it is in the workspace."""

    path: bytes
    commit: str | None
    message: str


@dataclass(slots=True)
class Named:
    """What all pointers name: versions by digest and kind, ``current`` those of the workspace, and records.

    ``pointers`` are the pointers themselves, each with its dataset's path.
    ``said`` has the bytes and files that pointers say a version has, each with the places of those that say so.
    """

    versions: dict[tuple[Digest, str], Places] = field(default_factory=dict)
    current: set[tuple[Digest, str]] = field(default_factory=set)
    said: dict[tuple[Digest, str], dict[tuple[int, int], Places]] = field(default_factory=dict)
    records: dict[Digest, Places] = field(default_factory=dict)
    pointers: list[tuple[bytes, Pointer]] = field(default_factory=list)
    wrong: list[WrongPointer] = field(default_factory=list)

    def take(self, path: bytes, pointer: Pointer, commit: str | None) -> None:
        """One pointer."""
        self.pointers.append((path, pointer))
        version = pointer.digest, pointer.kind
        said = self.said.setdefault(version, {}).setdefault((pointer.size, pointer.files), {})
        places = [self.versions.setdefault(version, {}), said]
        if pointer.run is not None:
            places.append(self.records.setdefault(Digest.parse(str(pointer.run["record"])), {}))
        for place in places:
            commits = place.setdefault(path, [])
            if commit is not None and commit not in commits:
                commits.append(commit)


def named_by_pointers(repo: Repo) -> Named:
    """Every pointer in the workspace and in all commits that a ref leads to. What is of another algorithm is left out."""
    named = Named()
    for name in repo.pointer_paths():
        path = name.removesuffix(POINTER_SUFFIX)
        try:
            pointer = repo.read_pointer(path)
        except DatavcError as error:
            named.wrong.append(WrongPointer(path, None, error.message))
            continue
        if pointer is not None:
            named.current.add((pointer.digest, pointer.kind))
            named.take(path, pointer, None)
    if repo.git is not None:
        _take_history(repo, named)
    return named


def _take_history(repo: Repo, named: Named) -> None:
    from datavc.git.pointerlog import pointer_log, read_blobs

    assert repo.git is not None
    # Simplified history leaves out the side of a merge that did not prevail.
    written = [
        (commit.id, change.path, change.blob)
        for commit, changes in pointer_log(repo.git, ["--full-history", "--all"])
        for change in changes
        if change.blob is not None
    ]
    contents = read_blobs(repo.git, {blob for _, _, blob in written})
    for commit, name, blob in written:
        path = name.removesuffix(POINTER_SUFFIX)
        if blob not in contents:
            named.wrong.append(WrongPointer(path, commit, f"{show(name)} is not in git"))
            continue
        try:
            pointer = parse_pointer(contents[blob], show(name))
        except DatavcError as error:
            named.wrong.append(WrongPointer(path, commit, error.message))
            continue
        if pointer.digest.algorithm == repo.algorithm:
            named.take(path, pointer, commit)


class Records:
    """The records in the cache, each read once, and which datasets each was a step on the way to."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._read: dict[Digest, Record | DatavcError] = {}

    def get(self, digest: Digest) -> Record | DatavcError:
        """The record, or why it cannot be had."""
        if digest not in self._read:
            try:
                self._read[digest] = read_record(self._repo, digest)
            except DatavcError as error:
                self._read[digest] = error
        return self._read[digest]

    def reached(self, rooted: Iterable[Digest], named: dict[Digest, Places]) -> dict[Digest, Places]:
        """Every record that has a root here, that a pointer names, or that one of these goes back to; with the datasets
        whose pointers lead to it."""
        found: dict[Digest, Places] = {}
        pending = [*((digest, Places()) for digest in rooted), *named.items()]
        while pending:
            digest, places = pending.pop()
            if digest.algorithm != self._repo.algorithm:
                continue
            known = found.get(digest)
            if known is not None and places.keys() <= known.keys():
                continue
            found[digest] = {**places, **(known or {})}
            record = self.get(digest)
            if isinstance(record, Record):
                pending += [(parent, places) for parent in record.parents]
        return found
