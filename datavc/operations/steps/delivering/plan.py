"""Planning a checkout: what must be written, changed and removed so that the workspace is what a version says.

Nothing is touched here. A path is unsaved when its content, kind or exec bit is neither that of a version on record (what
the workspace was made from, or a checkout under way) nor that of the target.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from datavc.errors import MalformedError
from datavc.formats.paths import SubPaths, show
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, MAX_DEPTH, Entry, Tree
from datavc.operations.steps.examining.examine import View
from datavc.operations.steps.trees.trees import TreeSource, deep_recursion, entries
from datavc.workspace.listing import Folder
from datavc.workspace.readfile import Stat
from datavc.workspace.safepath import casefold_collision, caseless_key


@dataclass(slots=True)
class FolderWork:
    """Entries to write into one folder; ``replaced`` are the stats of what stands there now, None where nothing does.

    ``is_new`` where the folder itself is to be made; ``is_leaf`` where it has no folders in it.
    """

    path: bytes
    is_new: bool
    is_leaf: bool
    entries: list[Entry] = field(default_factory=list)
    replaced: list[Stat | None] = field(default_factory=list)

    def place(self, entry: Entry) -> bytes:
        """The path of one of its entries."""
        return self.path + b"/" + entry.name if self.path else entry.name


@dataclass(slots=True)
class Plan:
    """Everything a checkout of one dataset will do; paths are relative to the repo's root."""

    folders: list[FolderWork] = field(default_factory=list)
    modes: list[tuple[bytes, bool, Stat]] = field(default_factory=list)
    cleared: list[tuple[bytes, Stat]] = field(default_factory=list)
    cleared_folders: list[bytes] = field(default_factory=list)
    removed: list[tuple[bytes, Stat]] = field(default_factory=list)
    removed_folders: list[bytes] = field(default_factory=list)
    unsaved: list[bytes] = field(default_factory=list)
    unchanged: int = 0
    touched: set[bytes] = field(default_factory=set)

    @property
    def written_files(self) -> int:
        """How many files and symlinks will be written."""
        return sum(len(work.entries) for work in self.folders)

    @property
    def written_bytes(self) -> int:
        """Their bytes."""
        return sum(entry.size for work in self.folders for entry in work.entries)

    @property
    def new_names(self) -> int:
        """How many files and folders there will be where nothing is now."""
        return sum(work.replaced.count(None) + work.is_new for work in self.folders)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done."""
        return not (self.folders or self.modes or self.cleared or self.removed or self.removed_folders)


class Planner:
    """Makes the plan for one dataset: ``parts`` are sub-paths, None for all of it."""

    def __init__(
        self,
        view: View,
        target: TreeSource,
        recorded: Sequence[TreeSource],
        parts: tuple[bytes, ...] | None,
        *,
        case_sensitive: bool,
    ) -> None:
        self._view = view
        self._target = target
        self._recorded = recorded
        self._parts = SubPaths(parts) if parts is not None else None
        self._case_sensitive = case_sensitive
        self._plan = Plan()

    def plan(self, size: int) -> Plan:
        """The plan. ``size`` is that of the dataset where it is a single file.

        Raises:
            ObjectNotFound: a tree of the target is missing.
            MalformedError: names collide on this file system, or a tree is malformed.
        """
        name = self._view.path.rpartition(b"/")[2]
        wanted = self._target.entry_at(b"", name)
        assert wanted is not None
        if wanted.kind != FOLDER:
            wanted = wanted._replace(size=size)
        top = self._view.scan.top
        parent = FolderWork(self._view.path.rpartition(b"/")[0], False, False)
        recorded = [source.entry_at(b"", name) for source in self._recorded]
        with deep_recursion():
            self._entry(parent, self._view.path, wanted, (top, 0) if top.names else None, recorded)
        if parent.entries:
            self._plan.folders.insert(0, parent)
        return self._plan

    def _entry(
        self,
        parent: FolderWork,
        path: bytes,
        wanted: Entry | None,
        found: tuple[Folder, int] | None,
        recorded: Sequence[Entry | None],
    ) -> None:
        """Plan one path: what is wanted, what was found, and what the versions on record have there."""
        if not self._concerns(path):
            return
        folder, number = found if found is not None else (None, 0)
        kind = folder.kinds[number] if folder is not None else None
        digest = folder.digests[number] if folder is not None else None
        if wanted is not None and (kind, digest) == (wanted.kind, wanted.digest):
            self._plan.unchanged += wanted.count
            return
        below = [entry if entry is not None and entry.kind == FOLDER else None for entry in recorded]
        if kind == FOLDER and (wanted is None or wanted.kind != FOLDER):
            self._leave_folder(path, below, first=wanted is not None)
        elif kind is not None and kind != FOLDER:
            self._judge(path, kind, digest, wanted, recorded)
        if wanted is None:
            if folder is not None and kind != FOLDER:
                self._plan.removed.append((path, _stat(folder, number)))
            return
        if wanted.kind == FOLDER:
            if folder is not None and kind != FOLDER:
                self._plan.cleared.append((path, _stat(folder, number)))
            inner = self._view.scan.folders[path] if kind == FOLDER else None
            self._folder(path, wanted, inner, below)
        elif folder is not None and digest == wanted.digest and {kind, wanted.kind} == {FILE, EXECUTABLE}:
            self._plan.modes.append((path, wanted.kind == EXECUTABLE, _stat(folder, number)))
        else:
            parent.entries.append(wanted)
            parent.replaced.append(_stat(folder, number) if folder is not None and kind != FOLDER else None)

    def _folder(
        self, path: bytes, wanted: Entry | None, found: Folder | None, recorded: Sequence[Entry | None]
    ) -> None:
        """Plan the entries of one folder. Recursion is as deep as folders are nested: a thousand at most."""
        if path.count(b"/") - self._view.path.count(b"/") > MAX_DEPTH:
            raise MalformedError(f"folders in {show(self._view.path)} are nested more than {MAX_DEPTH} deep")
        tree = self._tree(wanted, path)
        if found is None and wanted is not None and tree is not None:
            if self._is_meant(path):
                self._target.require_walkable(wanted.digest)
            self._new_folder(path, tree)
            return
        old = [
            None if entry is None else source.checked(entry)
            for source, entry in zip(self._recorded, recorded, strict=True)
        ]
        work = FolderWork(path, found is None, tree is not None and FOLDER not in tree.kinds)
        place = len(self._plan.folders)
        present = {name: number for number, name in enumerate(found.names)} if found is not None else {}
        target = {entry.name: entry for entry in entries(tree)} if tree is not None else {}
        in_the_way = self._in_the_way(present.keys() - target.keys(), target.keys() - present.keys())
        for name in sorted(target.keys() | present.keys()):
            files, folders = len(self._plan.removed), len(self._plan.removed_folders)
            number = present.get(name)
            here = (found, number) if found is not None and number is not None else None
            then = [_named(version, name) for version in old]
            self._entry(work, path + b"/" + name, target.get(name), here, then)
            if name in in_the_way:
                self._clear_first(files, folders)
        if wanted is not None and (work.entries or work.is_new):
            self._plan.folders.insert(place, work)
        self._plan.touched.add(path)

    def _in_the_way(self, going: Set[bytes], coming: Set[bytes]) -> set[bytes]:
        """Those names whose files would be taken for ones to be written: only their case or Unicode form changes."""
        if self._case_sensitive or not going or not coming:
            return set()
        keys = set(map(caseless_key, coming))
        return {name for name in going if caseless_key(name) in keys}

    def _clear_first(self, files: int, folders: int) -> None:
        """Let what was planned to be removed since then go before anything is written."""
        plan = self._plan
        plan.cleared += plan.removed[files:]
        plan.cleared_folders += plan.removed_folders[folders:]
        del plan.removed[files:], plan.removed_folders[folders:]

    def _new_folder(self, path: bytes, tree: Tree) -> None:
        """Plan a folder that is not there: nothing in it can be unsaved, so nothing on record is looked at."""
        work = FolderWork(path, True, FOLDER not in tree.kinds)
        self._plan.folders.append(work)
        self._plan.touched.add(path)
        if work.is_leaf and self._parts is None:
            work.entries = list(entries(tree))
            work.replaced = [None] * len(work.entries)
            return
        for entry in entries(tree):
            inner = path + b"/" + entry.name
            if self._parts is not None and not self._concerns(inner):
                continue
            if entry.kind == FOLDER:
                self._folder(inner, entry, None, ())
            else:
                work.entries.append(entry)
        work.replaced = [None] * len(work.entries)

    def _leave_folder(self, path: bytes, recorded: Sequence[Entry | None], *, first: bool) -> None:
        """Plan that a folder goes with all in it: at the end, or ``first`` where something else takes its name."""
        plan = self._plan
        files, folders = len(plan.removed), len(plan.removed_folders)
        self._folder(path, None, self._view.scan.folders[path], recorded)
        plan.removed_folders.append(path)
        plan.touched.add(path)
        if first:
            self._clear_first(files, folders)

    def _tree(self, wanted: Entry | None, path: bytes) -> Tree | None:
        if wanted is None:
            return None
        tree = self._target.checked(wanted)
        if not self._case_sensitive:
            pair = casefold_collision(tree.names)
            if pair is not None:
                raise MalformedError(
                    f"{show(path)} has both {show(pair[0])} and {show(pair[1])}, which are one name on this file system",
                    "check it out on a case-sensitive file system",
                )
        return tree

    def _judge(
        self,
        path: bytes,
        kind: int,
        digest: bytes | None,
        wanted: Entry | None,
        recorded: Sequence[Entry | None],
    ) -> None:
        """Note a file whose bytes or exec bit nothing on record has."""
        for entry in (wanted, *recorded):
            if entry is not None and (entry.kind, entry.digest) == (kind, digest):
                return
        self._plan.unsaved.append(path)

    def _is_meant(self, path: bytes) -> bool:
        """Whether all that is below the path was asked for, so that all of its trees must be here."""
        relative = path[len(self._view.path) + 1 :]
        return self._parts is None or self._parts.hold(relative)

    def _concerns(self, path: bytes) -> bool:
        """Whether the path is in, or on the way to, what was asked for."""
        if self._parts is None or path == self._view.path:
            return True
        relative = path[len(self._view.path) + 1 :]
        return self._parts.concern(relative)


def _named(tree: Tree | None, name: bytes) -> Entry | None:
    if tree is None:
        return None
    number = tree.find(name)
    return None if number is None else tree.entry(number)


def _stat(folder: Folder, number: int) -> Stat:
    size, mtime, ctime, inode = folder.stats[4 * number : 4 * number + 4]
    return size, mtime, ctime, inode
