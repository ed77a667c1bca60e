"""Merging two versions of a dataset that have a common origin, file by file; only folders that both changed are read.

The rules, for each path: what one side left as it was is taken from the other; what both changed alike is taken once; a
new content and a new exec bit of the same file go together; anything else is a conflict. Contents are never mixed.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from datavc.errors import MalformedError
from datavc.formats.digest import hash_function
from datavc.formats.paths import is_inside, show
from datavc.formats.tree import EXECUTABLE, FILE, FOLDER, KIND_NAMES, MAX_DEPTH, Entry, Tree, encode_tree
from datavc.operations.steps.trees.trees import TreeSource, deep_recursion

BASE = "base"
OURS = "ours"
THEIRS = "theirs"

Row = tuple[int, int, int, bytes]  # kind, size, count, digest
_REGULAR = (FILE, EXECUTABLE)
# Nobody settles more; a few trees that name each other could make conflicts without end.
_MOST_CONFLICTS = 1 << 20


class Side(NamedTuple):
    """One of the three versions: its trees, and the dataset itself as an entry."""

    trees: TreeSource
    entry: Entry


@dataclass(frozen=True, slots=True)
class Conflict:
    """A path that no rule decides, and why; in a merge of trees it is relative to the dataset, and empty for itself."""

    path: bytes
    reason: str


@dataclass(slots=True)
class TreeMerge:
    """The merge of ``ours`` and ``theirs``, which come from ``base`` (None where they have no common origin).

    ``decisions`` say for paths inside the dataset, with all that is below them, which side they are taken from. ``favour``
    decides every conflict for one side. After :meth:`run`, ``conflicts`` are those left, and ``written`` has the new trees.
    """

    algorithm: str
    base: Side | None
    ours: Side
    theirs: Side
    decisions: Mapping[bytes, str] = field(default_factory=dict)
    favour: str | None = None
    conflicts: list[Conflict] = field(default_factory=list)
    written: dict[bytes, bytes] = field(default_factory=dict)
    _merged: dict[tuple[bytes | None, ...], tuple[Entry | None, list[Conflict]]] = field(default_factory=dict)

    def run(self) -> Entry | None:
        """The merged dataset as an entry; it means something only where no conflicts are left.

        Raises:
            ObjectNotFound: a tree is missing. IntegrityError: one is damaged, or nests folders too deeply.
        """
        self.conflicts.clear()
        self.written.clear()
        self._merged.clear()
        base = self.base.entry if self.base is not None else None
        with deep_recursion():
            merged = self._entry(b"", base, self.ours.entry, self.theirs.entry)
        self.conflicts.sort(key=lambda conflict: conflict.path)
        return merged

    def _entry(
        self, path: bytes, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | None:
        sides = {BASE: base, OURS: ours, THEIRS: theirs}
        for decided, side in self.decisions.items():
            if is_inside(path, decided):
                return sides[side]
        below = self._decided_below(path)
        if not below:
            if ours == theirs or theirs == base:
                return ours
            if ours == base:
                return theirs
        if _are_folders(base, ours, theirs, below=below):
            return (
                self._folder(path, base, ours, theirs)
                if below
                else self._folder_once(path, base, ours, theirs)
            )
        combined = _combined(base, ours, theirs)
        if combined is not None:
            return combined
        if self.favour is not None:
            return sides[self.favour]
        self.conflicts.append(Conflict(path, _reason(base, ours, theirs)))
        return ours

    def _folder_once(
        self, path: bytes, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | None:
        """Merge a folder; the same three that lie in several places are merged once, and have the same conflicts in each."""
        like = ours or theirs
        assert like is not None
        sides = (base, ours, theirs)
        key = tuple(e.digest if e is not None and e.kind == FOLDER else None for e in sides)
        known = self._merged.get(key)
        if known is None:
            before = len(self.conflicts)
            entry = self._folder(path, base, ours, theirs)
            found = [
                Conflict(row.path[len(path) :].lstrip(b"/"), row.reason) for row in self.conflicts[before:]
            ]
            del self.conflicts[before:]
            known = self._merged[key] = entry, found
        if len(self.conflicts) + len(known[1]) > _MOST_CONFLICTS:
            raise MalformedError(f"the versions have more than {_MOST_CONFLICTS:,} files in conflict")
        prefix = path + b"/" if path else b""
        self.conflicts += [Conflict(prefix + row.path, row.reason) for row in known[1]]
        return known[0]._replace(name=like.name) if known[0] is not None else None

    def _folder(
        self, path: bytes, base: Entry | None, ours: Entry | None, theirs: Entry | None
    ) -> Entry | None:
        if path.count(b"/") >= MAX_DEPTH:
            raise MalformedError(f"folders are nested more than {MAX_DEPTH} deep: {show(path)}")
        before = _rows(self.base, base)
        rows, other = _rows(self.ours, ours), _rows(self.theirs, theirs)
        prefix = path + b"/" if path else b""
        # Where they left a path as it was, ours stands, whatever it is.
        touched = {name for name in before.keys() | other.keys() if before.get(name) != other.get(name)}
        for name in touched | self._decided_below(path):
            merged = self._entry(prefix + name, _named(name, before), _named(name, rows), _named(name, other))
            if merged is None:
                rows.pop(name, None)
            else:
                rows[name] = merged[1:]
        if not rows and (ours is None or theirs is None):
            return None
        return self._written((ours or theirs or base), rows)

    def _written(self, like: Entry | None, rows: dict[bytes, Row]) -> Entry:
        assert like is not None
        names = sorted(rows)
        made = Tree(
            self.algorithm,
            names,
            bytes(rows[name][0] for name in names),
            array("Q", [rows[name][1] for name in names]),
            [rows[name][2] for name in names],
            [rows[name][3] for name in names],
        )
        encoded = encode_tree(made)
        digest = hash_function(self.algorithm)(encoded)
        self.written[digest] = encoded
        return Entry(like.name, FOLDER, made.size, made.count, digest)

    def _decided_below(self, path: bytes) -> set[bytes]:
        """The names in the folder ``path`` that lead to a path that was decided."""
        prefix = path + b"/" if path else b""
        return {
            decided[len(prefix) :].partition(b"/")[0]
            for decided in self.decisions
            if decided != path and decided.startswith(prefix)
        }


def _rows(side: Side | None, entry: Entry | None) -> dict[bytes, Row]:
    """What is in a folder by name; nothing where that side has no such folder."""
    if side is None or entry is None or entry.kind != FOLDER:
        return {}
    tree = side.trees.checked(entry)
    rows = zip(tree.kinds, tree.sizes, tree.counts, tree.digests, strict=True)
    return dict(zip(tree.names, rows, strict=True))


def _named(name: bytes, rows: Mapping[bytes, Row]) -> Entry | None:
    row = rows.get(name)
    return None if row is None else Entry(name, *row)


def _are_folders(base: Entry | None, ours: Entry | None, theirs: Entry | None, *, below: set[bytes]) -> bool:
    """Whether the sides are merged path by path: two folders, or one that the other side deleted."""
    present = [entry for entry in (ours, theirs) if entry is not None]
    if not present or any(entry.kind != FOLDER for entry in present):
        return False
    if len(present) == 2:
        return True
    return base.kind == FOLDER if base is not None else bool(below)


def _combined(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> Entry | None:
    """One file of which one side changed the content, and the other one the exec bit."""
    if base is None or ours is None or theirs is None:
        return None
    if not {base.kind, ours.kind, theirs.kind} <= set(_REGULAR):
        return None
    kind = theirs.kind if ours.kind == base.kind else ours.kind
    if ours.digest in (base.digest, theirs.digest):
        return theirs._replace(kind=kind)
    return ours._replace(kind=kind) if theirs.digest == base.digest else None


def _reason(base: Entry | None, ours: Entry | None, theirs: Entry | None) -> str:
    if ours is None:
        return "deleted by us, changed by them"
    if theirs is None:
        return "changed by us, deleted by them"
    kinds = _shape(ours), _shape(theirs)
    if kinds[0] != kinds[1]:
        return f"a {kinds[0]} of ours, a {kinds[1]} of theirs"
    return "added by both" if base is None else "changed by both"


def _shape(entry: Entry) -> str:
    return "file" if entry.kind == EXECUTABLE else KIND_NAMES[entry.kind]
