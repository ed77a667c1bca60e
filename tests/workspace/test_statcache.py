"""The stat cache as a thing that is opened and let go; what it knows is tested through the commands."""

from __future__ import annotations

import gc
import sqlite3
import threading
from pathlib import Path

import pytest

from datavc.workspace.statcache import StatCache


def test_a_cache_that_is_dropped_leaves_no_connection_open(tmp_path: Path):
    cache = StatCache(tmp_path / "cache", "xxh128")
    cache.write_trees({b"digest": b"tree"})
    connection = cache._connection
    assert connection is not None
    cache.itself = cache  # as a repo and what it holds

    del cache
    collector = threading.Thread(target=gc.collect)
    collector.start()
    collector.join()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
