"""The databases that are derived from stores and workspaces: what is wrong with one, and that it is made again."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from datavc.durable import storage_errors
from datavc.operations.steps.health.reading import log_path
from datavc.progress import Progress
from datavc.repo import Repo

_QUARANTINE = "quarantine"


def derived_databases(repo: Repo) -> list[Path]:
    """The stat cache, the index of records, and what is remembered of checks, whether there or not."""
    return [repo.private / "stat.db", repo.private / "lineage.db", log_path(repo)]


def set_aside_databases(repo: Repo, progress: Progress) -> list[Path]:
    """Move damaged ones into ``quarantine/`` beside them: whoever needs one next makes it again. Raises StorageError."""
    moved = []
    for path in derived_databases(repo):
        wrong = _what_is_wrong(path)
        if not wrong:
            continue
        place = path.parent / _QUARANTINE
        with storage_errors(path):
            place.mkdir(exist_ok=True)
            os.rename(path, place / f"{path.name}-{os.urandom(4).hex()}")
        progress.note(f"warning: {path} is damaged ({wrong}): it is made again when it is needed")
        moved.append(path)
    return moved


def _what_is_wrong(path: Path) -> str:
    """Empty where it is sound, or not there, or busy."""
    if not path.is_file():
        return ""
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as database:
            found = [row[0] for row in database.execute("PRAGMA quick_check(1)")]
    except sqlite3.OperationalError:
        return ""
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == ["ok"] else str(found[0])
