"""Pointers that a merge has left unsettled in git's index: what they were on each side, and where both began."""

from __future__ import annotations

from typing import NamedTuple

from datavc.errors import NotFoundError
from datavc.formats.paths import show
from datavc.git.pointerlog import read_blobs
from datavc.git.pointers import POINTERS
from datavc.git.program import Git

_STAGES = (b"1", b"2", b"3")


class UnmergedPointer(NamedTuple):
    """The bytes of a pointer in the three stages of git's index; None where there was none, or no regular file."""

    path: bytes
    base: bytes | None
    ours: bytes | None
    theirs: bytes | None


def unmerged_pointers(git: Git) -> list[UnmergedPointer]:
    """Every pointer that git counts as unmerged, by path.

    Raises:
        NotFoundError: git lacks one of the versions.
    """
    listed = git.run("ls-files", "-u", "-z", "--", POINTERS)
    stages: dict[bytes, dict[bytes, str]] = {}
    for row in listed.split(b"\0")[:-1]:
        about, _, path = row.partition(b"\t")
        mode, blob, stage = about.split(b" ")
        versions = stages.setdefault(path, {})
        if mode.startswith(b"100"):
            versions[stage] = blob.decode("ascii")
    contents = read_blobs(git, {blob for versions in stages.values() for blob in versions.values()})
    found = []
    for path, versions in sorted(stages.items()):
        if not contents.keys() >= set(versions.values()):
            raise NotFoundError(f"git lacks a version of {show(path)} that is being merged", "git fsck")
        found.append(
            UnmergedPointer(
                path, *(contents[versions[stage]] if stage in versions else None for stage in _STAGES)
            )
        )
    return found
