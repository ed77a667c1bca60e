"""Which stored files were read and found sound, and when: a check goes on where it was, and a nightly one takes turns.

SQLite, per clone, derived and never proof of anything but that nobody need read a file again so soon. It may be deleted,
locked or damaged at any time; then everything is read again.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datavc.backends.base import Backend, StoredFile
from datavc.store.note import store_id

_VERSION = 1
_TABLES = """
CREATE TABLE checked (store TEXT, name TEXT, size INTEGER, modified REAL, at REAL, PRIMARY KEY (store, name)) WITHOUT ROWID;
CREATE TABLE pass (store TEXT PRIMARY KEY, began REAL, at REAL) WITHOUT ROWID;
"""
_BUSY_SECONDS = 1.0
# What a kill may cost: what was read in so many seconds is read again.
_FLUSH_SECONDS = 2.0
_CLOCK_SLACK_SECONDS = 60.0
UNFINISHED_SECONDS = 7 * 86_400.0
"""A check that was interrupted goes on if it is run again within so long; later it begins anew."""
# When a file was last found damaged: it is read whatever else is chosen.
_DAMAGED = -1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Which files to read: those not read for ``older_than`` seconds; that ``share`` of all bytes, the longest unread first;
    with neither, all of them, but for those that an interrupted check had read."""

    older_than: float | None = None
    share: float | None = None


EVERYTHING = Rule()
ANEW = Rule(older_than=0.0)


@dataclass(slots=True)
class Chosen:
    """What a rule comes to: the files to read ``now``, when the others were read ``before``, how many of those ``never``.

    ``since`` is when the interrupted check began that is gone on with.
    """

    now: list[StoredFile]
    before: list[float] = field(default_factory=list)
    never: int = 0
    since: float | None = None


class CheckLog:
    """What is known of the store in ``backend``, kept in the file ``path``. Every failure of SQLite reads as "never read"."""

    def __init__(self, path: Path, backend: Backend) -> None:
        self._store = f"{store_id(backend)} {backend.describe()}"
        self._pending: dict[str, tuple[int, float, float]] = {}
        self._flushed = time.monotonic()
        self._database: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error, OSError):
            self._database = _open(path)
            # Not everybody closes it, and Python 3.13 complains of a connection that is dropped open.
            weakref.finalize(self, self._database.close)

    def choose(self, files: Iterable[StoredFile], rule: Rule) -> Chosen:
        """Which of ``files`` to read, by name. Without a rule of its own an interrupted check is gone on with."""
        files, now = sorted(files), time.time()
        known = self._known(now)
        at = {file.name: _last_read(file, known.get(file.name)) for file in files}
        since = None
        if rule.share is not None:
            names = _longest_unread(files, at, rule.share)
        elif rule.older_than is not None:
            names = {name for name, when in at.items() if when is None or when <= now - rule.older_than}
        else:
            since = self._begin(now)
            names = {name for name, when in at.items() if when is None or since is None or when < since}
        names |= {name for name, when in at.items() if when == _DAMAGED}
        rest = [at[file.name] for file in files if file.name not in names]
        return Chosen(
            [file for file in files if file.name in names],
            [when for when in rest if when is not None],
            rest.count(None),
            since,
        )

    def note(self, file: StoredFile, *, is_sound: bool) -> None:
        """The file was read just now. Kept within seconds."""
        self._pending[file.name] = file.size, file.modified, time.time() if is_sound else _DAMAGED
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Keep what was noted."""
        rows = [(self._store, name, *row) for name, row in self._pending.items()]
        self._pending.clear()
        self._flushed = time.monotonic()
        self._execute("INSERT OR REPLACE INTO checked VALUES (?, ?, ?, ?, ?)", rows)
        self._execute("UPDATE pass SET at = ? WHERE store = ?", [(time.time(), self._store)])

    def finish(self, files: Iterable[StoredFile]) -> None:
        """Everything that was chosen was read; what is not among ``files`` is forgotten."""
        self.flush()
        there = {file.name for file in files}
        gone = [(self._store, name) for name in self._known(time.time()) if name not in there]
        self._execute("DELETE FROM checked WHERE store = ? AND name = ?", gone)
        self._execute("DELETE FROM pass WHERE store = ?", [(self._store,)])

    def _begin(self, now: float) -> float | None:
        """When the check began that was interrupted; None, and one begins, where there is none of late."""
        found = self._query("SELECT began, at FROM pass WHERE store = ?")
        if found and now - UNFINISHED_SECONDS < found[0][1] <= now + _CLOCK_SLACK_SECONDS:
            began = found[0][0]
            return float(began)
        self._execute("INSERT OR REPLACE INTO pass VALUES (?, ?, ?)", [(self._store, now, now)])
        return None

    def _known(self, now: float) -> dict[str, tuple[int, float, float]]:
        rows = self._query("SELECT name, size, modified, at FROM checked WHERE store = ?")
        # What was read in the future was read by another clock.
        return {row[0]: row[1:] for row in rows if row[3] <= now + _CLOCK_SLACK_SECONDS}

    def _query(self, query: str) -> list[tuple[Any, ...]]:
        if self._database is None:
            return []
        try:
            return self._database.execute(query, (self._store,)).fetchall()
        except sqlite3.Error:
            return []

    def _execute(self, query: str, rows: list[tuple[Any, ...]]) -> None:
        if self._database is not None and rows:
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany(query, rows)


def _last_read(file: StoredFile, known: tuple[int, float, float] | None) -> float | None:
    """When the file was last read, if it is still the one that was read then."""
    if known is None or known[:2] != (file.size, file.modified):
        return None
    return known[2]


def _longest_unread(files: list[StoredFile], at: dict[str, float | None], share: float) -> set[str]:
    """Those that make up the share of all bytes; at least one, where there is one."""
    left = math.ceil(sum(file.size for file in files) * share)
    names: set[str] = set()
    for file in sorted(files, key=lambda file: (at[file.name] or 0.0, file.name)):
        if left <= 0 and names:
            break
        names.add(file.name)
        left -= file.size
    return names


def _open(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        database = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version != _VERSION:
                for (name,) in database.execute(
                    "SELECT name FROM sqlite_master WHERE type = 'table'"
                ).fetchall():
                    database.execute(f"DROP TABLE {name}")
                database.executescript(f"{_TABLES} PRAGMA user_version = {_VERSION};")
            return database
        except sqlite3.OperationalError:
            # Busy, most likely: another check is at work.
            database.close()
            raise
        except sqlite3.DatabaseError:
            database.close()
            path.unlink(missing_ok=True)
    raise sqlite3.DatabaseError(f"{path} cannot be made")
