"""The stat cache: what the workspace's files looked like when they were last hashed, one row per folder.

SQLite, per clone, derived: it may be deleted, locked or damaged at any time, and then files are hashed again. It also
keeps copies of the trees that the workspace was made from, so that ``diff`` works while the cache is away. Joined columns
make a row per folder cheaper than a row per file (100,000 files: 0.36 s against 0.56 s).
"""

from __future__ import annotations

import contextlib
import sqlite3
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS folder (path BLOB PRIMARY KEY, names BLOB, kinds BLOB, stats BLOB, digests BLOB, tree BLOB,
    seal INTEGER);
CREATE TABLE IF NOT EXISTS tree (digest BLOB PRIMARY KEY, body BLOB);
"""
# Rather hash again than wait for another command's transaction.
_BUSY_SECONDS = 1.0


class FolderRow(NamedTuple):
    """One folder as last seen, entries sorted by name.

    ``names`` joined by NUL; ``kinds`` one byte each; ``stats`` four signed 64-bit integers each (size in bytes, mtime_ns,
    ctime_ns, inode), zeros where the file must be hashed again and for folders; ``digests`` joined, zeros for folders;
    ``tree`` the digest of the folder's own tree where no folders are in it, else empty.
    """

    names: bytes
    kinds: bytes
    stats: bytes
    digests: bytes
    tree: bytes = b""


class StatCache:
    """Rows by folder path, relative to the repo's root. Every failure of SQLite reads as "nothing known"."""

    def __init__(self, path: Path, algorithm: str) -> None:
        self._path = path
        self._algorithm = algorithm
        self._connection: sqlite3.Connection | None = None
        self._broken = False

    def rows_below(self, path: bytes) -> dict[bytes, FolderRow]:
        """Every row of ``path`` itself and the folders below it."""
        query = "SELECT path, names, kinds, stats, digests, tree, seal FROM folder WHERE path = ? OR (path >= ? AND path < ?)"
        # "0" is the byte behind "/"; the pseudo-folder that holds the dataset's own entry ends with NUL.
        rows = self._query(query, (path, path + b"/", path + b"0"))
        rows += self._query(query.partition(" OR ")[0], (path + b"\0",))
        return {row[0]: FolderRow(*row[1:6]) for row in rows if row[6] == _seal(row[0], FolderRow(*row[1:6]))}

    def write_rows(self, rows: Mapping[bytes, FolderRow], *, drop: Iterable[bytes] = ()) -> None:
        """Replace the rows of these folders, and forget those of the folders to ``drop``."""
        values = [(path, *row, _seal(path, row)) for path, row in rows.items()]
        with self._transaction() as connection:
            connection.executemany("DELETE FROM folder WHERE path = ?", ((path,) for path in drop))
            connection.executemany("INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def tree(self, digest: bytes) -> bytes | None:
        """A copy of an encoded tree. The caller checks it against its digest."""
        rows = self._query("SELECT body FROM tree WHERE digest = ?", (digest,))
        return rows[0][0] if rows else None

    def write_trees(self, trees: Mapping[bytes, bytes]) -> None:
        """Keep copies of these encoded trees."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO tree VALUES (?, ?)", trees.items())

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _query(self, query: str, values: tuple[bytes, ...]) -> list[tuple[Any, ...]]:
        connection = self._open()
        if connection is None:
            return []
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._give_up(error)
            return []

    @contextlib.contextmanager
    def _transaction(self):  # type: ignore[no-untyped-def]  # a generator of one connection or of a black hole
        connection = self._open()
        if connection is None:
            yield _Nowhere()
            return
        try:
            with connection:
                yield connection
        except sqlite3.Error as error:
            self._give_up(error)

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and not self._broken:
            try:
                self._connection = self._connect()
            except sqlite3.Error as error:
                self._give_up(error)
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        # One thread at a time uses it; which of them lets go of it last, garbage collection decides.
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            # No fsync: every row carries its own sum, so what a power cut leaves is known or ignored.
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            wanted = _SCHEMA_VERSION * 1000 + sum(self._algorithm.encode())
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found != wanted:
                for table in ("folder", "tree"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                connection.executescript(_SCHEMA)
                connection.execute(f"PRAGMA user_version = {wanted}")
        except BaseException:
            connection.close()
            raise
        # Python 3.13 complains of a connection that is dropped open. Strongly held, so that cycles cannot take it first.
        weakref.finalize(self, connection.close)
        return connection

    def _give_up(self, error: sqlite3.Error) -> None:
        """Do without for this run; a file that is no database any more is removed for the next."""
        self.close()
        self._broken = True
        busy = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        if isinstance(error, sqlite3.DatabaseError) and not busy:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


class _Nowhere:
    """Stands in for a database that cannot be had."""

    def executemany(self, _query: str, _rows: Iterable[object]) -> None: ...


def _seal(path: bytes, row: FolderRow) -> int:
    joined = b"\0".join((path, row.kinds, row.stats, row.digests, row.tree, row.names))
    return int.from_bytes(xxhash.xxh3_64_digest(joined), "big", signed=True)
