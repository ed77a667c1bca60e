"""The bounded store of pieces read from afar: within its bounds, never trusted, and nothing breaks when its disk does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datavc.store.piececache import PieceCache


def pieces(folder: Path | None, *, disk_bytes: int = 1 << 20, memory_bytes: int = 0) -> PieceCache:
    return PieceCache(folder, disk_bytes=disk_bytes, memory_bytes=memory_bytes)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_what_was_put_is_got_by_another_process_too(tmp_path: Path):
    pieces(tmp_path).put("xxh128-abcd", b"content")

    assert pieces(tmp_path).get("xxh128-abcd") == b"content"
    assert pieces(tmp_path).get("xxh128-abce") is None


def test_what_is_held_is_in_memory_alone(tmp_path: Path):
    kept = pieces(tmp_path, memory_bytes=100)
    kept.hold("xxh128-abcd", b"content")

    assert kept.get("xxh128-abcd") == b"content"
    assert files(tmp_path) == []


def test_memory_keeps_what_was_used_last(tmp_path: Path):
    kept = pieces(None, memory_bytes=30)
    for name in "abc":
        kept.hold(f"x-{name}", name.encode() * 10)
    kept.get("x-a")
    kept.hold("x-d", b"d" * 10)
    kept.hold("x-e", b"e" * 31)

    assert [kept.get(f"x-{name}") is not None for name in "abcde"] == [True, False, True, True, False]


def test_the_disk_keeps_what_was_used_last_within_its_bound(tmp_path: Path):
    kept = pieces(tmp_path, disk_bytes=100_000)
    for number in range(50):
        kept.put(f"x-{number:04x}", bytes(10_000))
        for path in files(tmp_path):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 1000))
        kept.get("x-0000")

    total = sum(path.stat().st_size for path in files(tmp_path))
    assert 50_000 < total <= 110_000
    assert kept.get("x-0000") is not None
    assert kept.get("x-0031") is not None
    assert kept.get("x-0001") is None


def test_what_was_damaged_on_disk_was_never_there(tmp_path: Path):
    pieces(tmp_path).put("x-abcd", b"content")
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1] + b"?")

    assert pieces(tmp_path).get("x-abcd") is None
    assert files(tmp_path) == []


@pytest.mark.parametrize("spoil", ["a file", "no right"])
def test_a_disk_that_cannot_be_written_makes_nothing_fail(spoil: str, tmp_path: Path):
    folder = tmp_path / "pieces"
    if spoil == "a file":
        folder.write_bytes(b"")
    else:
        folder.mkdir(mode=0o500)
    kept = pieces(folder, memory_bytes=100)
    kept.put("x-abcd", b"content")

    assert kept.get("x-abcd") == b"content"


def test_a_file_that_a_killed_process_left_goes_with_the_next_sweep(tmp_path: Path):
    kept = pieces(tmp_path, disk_bytes=1000)
    (tmp_path / "ab").mkdir()
    left, young = tmp_path / "ab" / ".tmp-old", tmp_path / "ab" / ".tmp-young"
    left.write_bytes(bytes(900))
    os.utime(left, (0, 0))
    young.write_bytes(bytes(900))
    kept.put("x-abcd", bytes(500))

    assert files(tmp_path) == [young, tmp_path / "ab" / "x-abcd"]
