"""What is remembered of checks: what is read next, what an interrupted check goes on with, and that it may be lost."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datavc.backends.base import StoredFile
from datavc.backends.memory import MemoryBackend
from datavc.store.checklog import ANEW, EVERYTHING, CheckLog, Rule

FILES = [StoredFile(f"packs/00/{number}", 100 + number, 5.0) for number in range(10)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What time it is, as the log sees it."""
    now = [1e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def log(tmp_path: Path) -> CheckLog:
    return CheckLog(tmp_path / "checked.db", MemoryBackend())


def names(files: list[StoredFile]) -> list[str]:
    return [file.name for file in files]


def read(tmp_path: Path, files: list[StoredFile], *, finished: bool = True) -> None:
    noting = log(tmp_path)
    noting.choose(files, EVERYTHING)
    for file in files:
        noting.note(file, is_sound=True)
    noting.flush()
    if finished:
        noting.finish(FILES)


def test_without_a_rule_everything_is_read_each_time(tmp_path: Path, clock: list[float]):
    for _ in range(3):
        chosen = log(tmp_path).choose(FILES, EVERYTHING)
        assert (chosen.now, chosen.since) == (FILES, None)
        read(tmp_path, FILES)
        clock[0] += 1000


def test_an_interrupted_check_goes_on_with_what_it_had_not_read(tmp_path: Path, clock: list[float]):
    read(tmp_path, FILES)
    clock[0] += 1000
    read(tmp_path, FILES[:4], finished=False)
    clock[0] += 3600
    chosen = log(tmp_path).choose(FILES, EVERYTHING)
    assert (chosen.now, chosen.before, chosen.never) == (FILES[4:], [1e9 + 1000] * 4, 0)
    assert chosen.since == 1e9 + 1000
    assert log(tmp_path).choose(FILES, ANEW).now == FILES

    clock[0] += 8 * 86_400
    assert log(tmp_path).choose(FILES, EVERYTHING).now == FILES


def test_what_was_not_read_for_so_long_or_never_is_read(tmp_path: Path, clock: list[float]):
    read(tmp_path, FILES[:5])
    clock[0] += 100
    read(tmp_path, FILES[2:5])
    chosen = log(tmp_path).choose(FILES, Rule(older_than=100.0))
    assert chosen.now == [*FILES[:2], *FILES[5:]]


def test_a_file_that_is_another_one_now_was_never_read(tmp_path: Path, clock: list[float]):
    read(tmp_path, FILES)
    changed = [FILES[0]._replace(size=1), FILES[1]._replace(modified=6.0), *FILES[2:]]
    chosen = log(tmp_path).choose(changed, Rule(older_than=100.0))
    assert chosen.now == sorted(changed[:2])


def test_what_was_damaged_is_read_whatever_else_is_chosen(tmp_path: Path, clock: list[float]):
    read(tmp_path, FILES)
    noting = log(tmp_path)
    noting.note(FILES[7], is_sound=False)
    noting.flush()
    clock[0] += 100
    assert FILES[7] in log(tmp_path).choose(FILES, Rule(share=0.01)).now
    assert log(tmp_path).choose(FILES, Rule(older_than=1000.0)).now == [FILES[7]]


@settings(max_examples=30)
@given(st.floats(0.001, 1.0), st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_samples_come_round(tmp_path_factory: pytest.TempPathFactory, share: float, sizes: list[int]):
    folder = tmp_path_factory.mktemp("log")
    files = sorted(StoredFile(f"packs/00/{number}", size, 5.0) for number, size in enumerate(sizes))
    seen: list[str] = []
    while len(seen) < len(files):
        noting = log(folder)
        chosen = noting.choose(files, Rule(share=share))
        assert chosen.now
        assert sum(file.size for file in chosen.now) >= share * sum(sizes) - 1e-6
        assert len(chosen.before) + chosen.never + len(chosen.now) == len(files)
        fresh = [name for name in names(chosen.now) if name not in seen]
        # Nothing is read a second time while there is something that was not read at all.
        assert len(fresh) == len(chosen.now) or len(seen) + len(fresh) == len(files)
        seen += fresh
        for file in chosen.now:
            noting.note(file, is_sound=True)
        noting.finish(files)


@pytest.mark.parametrize("damage", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_a_log_that_was_lost_or_damaged_only_costs_reading(tmp_path: Path, damage: bytes):
    read(tmp_path, FILES)
    (tmp_path / "checked.db").write_bytes(damage)
    chosen = log(tmp_path).choose(FILES, Rule(older_than=1000.0))
    assert chosen.now == FILES
    read(tmp_path, FILES)
    assert log(tmp_path).choose(FILES, Rule(older_than=1000.0)).now == []


def test_another_store_at_the_same_place_is_another_store(tmp_path: Path):
    read(tmp_path, FILES)
    other = MemoryBackend()
    other.write("datavc-store.json", b'{"format": 0, "id": "ab"}')
    chosen = CheckLog(tmp_path / "checked.db", other).choose(FILES, Rule(older_than=1000.0))
    assert chosen.now == FILES
    (tmp_path / "folder").write_bytes(b"")
    nowhere = CheckLog(tmp_path / "folder" / "checked.db", other)
    nowhere.note(FILES[0], is_sound=True)
    nowhere.finish(FILES)
    assert nowhere.choose(FILES, EVERYTHING).now == FILES


def test_what_was_read_in_the_future_was_read_by_another_clock(tmp_path: Path, clock: list[float]):
    read(tmp_path, FILES)
    clock[0] -= 1000
    assert log(tmp_path).choose(FILES, Rule(older_than=1e6)).now == FILES
