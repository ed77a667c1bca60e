"""What gc found and did: versions and bytes, for whoever asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from datavc.formats.digest import Digest
from datavc.formats.root import Root


@dataclass(frozen=True, slots=True)
class GcVersion:
    """A version: what it was, who stored it when. ``size`` in bytes, before anything is shared or compressed."""

    path: bytes
    digest: Digest
    size: int
    files: int
    when: str
    who: str
    saved: bool


@dataclass(slots=True)
class GcResult:
    """What goes, or in a dry run would, in the ``place``.

    ``removed`` versions are needed by nothing, ``expired`` ones by history alone, and they were asked for; ``unknown`` ones
    are needed by nothing that this clone knows of, and stay; ``recent`` counts those that are too young. ``doomed_bytes``
    are deleted a grace after this run, ``freed_bytes`` in it; ``waiting_bytes`` wait since an earlier run, until ``next`` at
    the earliest. Of ``repacked`` packs ``repacked_bytes`` are needed and written anew, ``repack_frees_bytes`` are not, and
    go as the rest. ``clones`` could not be read: all stays.
    """

    place: str
    removed: list[GcVersion] = field(default_factory=list)
    expired: list[GcVersion] = field(default_factory=list)
    unknown: list[GcVersion] = field(default_factory=list)
    restored: list[GcVersion] = field(default_factory=list)
    clones: list[str] = field(default_factory=list)
    recent: int = 0
    doomed_bytes: int = 0
    freed_bytes: int = 0
    waiting_bytes: int = 0
    repacked: int = 0
    repacked_bytes: int = 0
    repack_frees_bytes: int = 0
    next: str | None = None
    done: bool = False


def version_of(root: Root) -> GcVersion:
    """The version that a root stands for."""
    return GcVersion(root.path, root.digest, root.size, root.files, root.when, root.who, root.saved)


def by_path(version: GcVersion) -> tuple[bytes, str]:
    """What versions are sorted by."""
    return version.path, version.when
