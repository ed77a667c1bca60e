"""Many paths, held by their folders: a run may see a million files, and what is asked of them is asked of folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set


class ByFolder:
    """Absolute paths as a set: ``folders`` has the names in each folder, which ends with a slash, where there are any."""

    __slots__ = ("folders",)

    def __init__(self, paths: Iterable[bytes] = ()) -> None:
        self.folders: dict[bytes, set[bytes]] = {}
        for path in paths:
            self.add(path)

    def add(self, path: bytes) -> None:
        """Add one path."""
        folder, slash, name = path.rpartition(b"/")
        self.add_names(folder + slash, (name,))

    def add_names(self, folder: bytes, names: Collection[bytes]) -> None:
        """Add the ``names`` in a folder, which ends with a slash."""
        if names:
            self.folders.setdefault(folder, set()).update(names)

    def include(self, other: ByFolder) -> None:
        """Add all paths of another set."""
        for folder, names in other.folders.items():
            self.add_names(folder, names)

    def names(self, folder: bytes) -> Set[bytes]:
        """What is in a folder, which ends with a slash."""
        return self.folders.get(folder, frozenset())

    def __iter__(self) -> Iterator[bytes]:
        return (folder + name for folder, names in self.folders.items() for name in names)

    def __contains__(self, path: bytes) -> bool:
        folder, slash, name = path.rpartition(b"/")
        return name in self.names(folder + slash)

    def __len__(self) -> int:
        return sum(map(len, self.folders.values()))

    def __sub__(self, other: ByFolder) -> ByFolder:
        found = ByFolder()
        for folder, names in self.folders.items():
            found.add_names(folder, names - other.names(folder))
        return found

    def __and__(self, other: ByFolder) -> ByFolder:
        found = ByFolder()
        for folder, names in self.folders.items():
            found.add_names(folder, names & other.names(folder))
        return found
