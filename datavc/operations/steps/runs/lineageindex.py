"""Which record read and made what: an index of the records in the cache, derived from them, in SQLite, never proof.

It lies in this worktree's own folder and is brought up to date when it is asked. Broken or busy, it is made anew in memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datavc.errors import DatavcError
from datavc.formats.digest import Digest
from datavc.formats.record import Record
from datavc.operations.steps.runs.recordstore import RECORD, read_record
from datavc.operations.steps.trees.trees import TreeSource
from datavc.repo import Repo
from datavc.store import layout
from datavc.store.roots import read_root

_VERSION = 2
_AT_ONCE = 100
_TABLES = """
CREATE TABLE seen (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE records (digest TEXT PRIMARY KEY, start TEXT, status TEXT, stage TEXT, command TEXT) WITHOUT ROWID;
CREATE TABLE edges (record TEXT, way TEXT, path BLOB, digest TEXT, kind TEXT, maker TEXT);
CREATE INDEX by_digest ON edges (digest, way);
CREATE INDEX by_record ON edges (record, way);
CREATE INDEX by_maker ON edges (maker);
"""


class Known(NamedTuple):
    """A record, as lists show it."""

    digest: Digest
    start: str
    status: str
    stage: str | None
    command: str


class Edge(NamedTuple):
    """What a record read (``in``) or made (``out``), or which one it resumes (``resumes``)."""

    record: Digest
    way: str
    path: bytes
    digest: Digest | None
    kind: str
    maker: Digest | None


class LineageIndex:
    """Answers questions about the records in the cache of ``repo``."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._folder_digests: dict[bytes, list[tuple[Digest, bytes]]] | None = None
        try:
            self._database = _open(repo.private / "lineage.db")
            self._refresh()
        except sqlite3.Error:
            self._database = _open(None)
            self._refresh()
        # Not everybody closes it, and Python 3.13 complains of a connection that is dropped open.
        weakref.finalize(self, self._database.close)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _refresh(self) -> None:
        cache = self._repo.cache
        prefix = f"{layout.ROOTS}{cache.repo_id}/"
        there = {file.name.removeprefix(prefix) for file in cache.backend.list(prefix)}
        seen = {name for (name,) in self._database.execute("SELECT name FROM seen")}
        if there == seen:
            return
        with self._database:
            for name in seen - there:
                text = name.replace("-", ":", 1)
                self._database.execute("DELETE FROM seen WHERE name = ?", (name,))
                self._database.execute("DELETE FROM records WHERE digest = ?", (text,))
                self._database.execute("DELETE FROM edges WHERE record = ?", (text,))
        new = sorted(there - seen)
        # By and by, so that who stops it in the middle of thousands does not begin anew.
        for start in range(0, len(new), _AT_ONCE):
            with self._database:
                for name in new[start : start + _AT_ONCE]:
                    with contextlib.suppress(DatavcError):
                        self._learn(Digest.parse_file_name(name))
                        self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,))

    def _learn(self, digest: Digest) -> None:
        cache = self._repo.cache
        root = read_root(cache.backend, cache.repo_id, digest)
        if root is None or root.kind != RECORD or digest.algorithm != cache.algorithm:
            return
        record = read_record(self._repo, digest)
        self._database.execute(
            "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
            (str(digest), record.start, record.status, record.stage, " ".join(record.argv)[:500]),
        )
        self._database.execute("DELETE FROM edges WHERE record = ?", (str(digest),))
        self._database.executemany("INSERT INTO edges VALUES (?, ?, ?, ?, ?, ?)", _edges(digest, record))

    def records(self) -> list[Known]:
        """All records, the newest first."""
        rows = self._database.execute("SELECT * FROM records ORDER BY start DESC, digest")
        return [Known(Digest.parse(digest), *rest) for digest, *rest in rows]

    def known(self, digest: Digest) -> Known | None:
        """One of them."""
        for row in self._database.execute("SELECT * FROM records WHERE digest = ?", (str(digest),)):
            return Known(digest, *row[1:])
        return None

    def full_digest(self, text: str) -> Digest | None:
        """The digest of data that ``text`` begins, where exactly one is known."""
        rows = self._database.execute(
            "SELECT DISTINCT digest FROM edges WHERE digest >= ? AND digest < ? LIMIT 2", (text, text + "g")
        ).fetchall()
        return Digest.parse(rows[0][0]) if len(rows) == 1 else None

    def edges_of(self, record: Digest, *ways: str) -> list[Edge]:
        """What a record read, made and resumes, or those of that in some ``ways`` alone."""
        return [
            _edge(row)
            for way in ways or ("in", "out", "resumes")
            for row in self._database.execute(
                "SELECT * FROM edges WHERE record = ? AND way = ?", (str(record), way)
            )
        ]

    def makers(self, digest: Digest) -> list[Edge]:
        """Where records made something of that digest, the newest first."""
        return self._by_digest(digest, "out")

    def readers(self, digest: Digest) -> list[Edge]:
        """Where records read something of that digest, the newest first."""
        return self._by_digest(digest, "in")

    def maker_at(self, path: bytes) -> list[Edge]:
        """Where records made something at that path, the newest first."""
        rows = self._database.execute(
            "SELECT edges.* FROM edges JOIN records ON records.digest = record"
            " WHERE path = ? AND way = 'out' ORDER BY start DESC",
            (path,),
        )
        return [_edge(row) for row in rows]

    def makers_of_file(self, digest: Digest) -> list[Edge]:
        """As :meth:`makers`, of a file that may lie in a folder that a record made."""
        direct = self.makers(digest)
        return direct or [
            Edge(edge.record, edge.way, edge.path + b"/" + inner, digest, "file", None)
            for top, inner in self._folders().get(digest.raw, ())
            for edge in self.makers(top)
        ]

    def _folders(self) -> dict[bytes, list[tuple[Digest, bytes]]]:
        """The files in all folders that records made, by digest: read from their trees, once, when first asked for."""
        if self._folder_digests is None:
            found: dict[bytes, list[tuple[Digest, bytes]]] = {}
            rows = self._database.execute(
                "SELECT DISTINCT digest FROM edges WHERE way = 'out' AND kind = 'folder'"
            )
            for (text,) in rows.fetchall():
                if text is not None:
                    for raw, inner in _files(self._repo, Digest.parse(text)):
                        found.setdefault(raw, []).append((Digest.parse(text), inner))
            self._folder_digests = found
        return self._folder_digests

    def _by_digest(self, digest: Digest, way: str) -> list[Edge]:
        rows = self._database.execute(
            "SELECT edges.* FROM edges JOIN records ON records.digest = record"
            " WHERE edges.digest = ? AND way = ? ORDER BY start DESC, record",
            (str(digest), way),
        )
        return [_edge(row) for row in rows]


def _files(repo: Repo, folder: Digest) -> Iterator[tuple[bytes, bytes]]:
    """The digest and path of every file in a folder; none where its trees are not here."""
    trees = TreeSource(repo.cache, repo.stat_cache, folder, "folder")
    with contextlib.suppress(DatavcError):
        for path, tree in trees.walk():
            prefix = path + b"/" if path else b""
            for name, kind, digest in zip(tree.names, tree.kinds, tree.digests, strict=True):
                if kind != 3:
                    yield digest, prefix + name


def _edges(digest: Digest, record: Record) -> Iterator[tuple[str, str, bytes, str | None, str, str | None]]:
    for way, rows in (("in", record.inputs), ("out", record.outputs)):
        for row in rows:
            text = str(row.digest) if row.digest is not None else None
            yield (
                str(digest),
                way,
                row.path,
                text,
                row.kind,
                str(row.record) if row.record is not None else None,
            )
    resumed = record.values.get("resumes")
    if resumed:
        yield str(digest), "resumes", b"", None, "file", resumed


def _edge(row: tuple[str, str, bytes, str | None, str, str | None]) -> Edge:
    record, way, path, digest, kind, maker = row
    return Edge(
        Digest.parse(record),
        way,
        path,
        Digest.parse(digest) if digest else None,
        kind,
        Digest.parse(maker) if maker else None,
    )


def _open(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path or ":memory:", timeout=5, check_same_thread=False)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != _VERSION:
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                database.execute(f"DROP TABLE {name}")
            database.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
    except sqlite3.DatabaseError:
        database.close()
        if path is None:
            raise
        path.unlink(missing_ok=True)
        return _open(None)
    return database
