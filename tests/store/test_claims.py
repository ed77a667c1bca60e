"""The table in which workers claim digests: each is given out once, and a full table gives out all rather than none."""

from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datavc.store.claims import Claims, create_claims


def table(folder: Path, entries: int, length: int = 16) -> Path:
    path = folder / os.urandom(6).hex()
    create_claims(path, entries, length)
    return path


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40).map(lambda number: number.to_bytes(16, "little")), max_size=60))
def test_the_first_who_asks_has_it_and_nobody_after_him(tmp_path: Path, asked: list[bytes]):
    path = table(tmp_path, 40)
    views = [Claims(path, 16), Claims(path, 16)]
    seen: set[bytes] = set()

    for number, digest in enumerate(asked):
        assert views[number % 2].claim(digest) is (digest not in seen)
        seen.add(digest)


@pytest.mark.parametrize("length", [16, 32])
def test_digests_that_want_the_same_slot_are_told_apart(tmp_path: Path, length: int):
    claims = Claims(table(tmp_path, 20, length), length)
    digests = [bytes(8) + bytes([number]) * (length - 8) for number in range(1, 20)]

    assert all(map(claims.claim, digests))
    assert not any(map(claims.claim, digests))


def test_the_digest_of_zeros_is_always_to_be_stored(tmp_path: Path):
    claims = Claims(table(tmp_path, 4), 16)

    assert claims.claim(bytes(16))
    assert claims.claim(bytes(16))


def test_a_full_table_gives_out_everything(tmp_path: Path):
    claims = Claims(table(tmp_path, 0), 16)
    digests = [bytes([number]) * 16 for number in range(1, 40)]
    given_out = [claims.claim(digest) for digest in digests]

    assert all(given_out)
    assert claims.claim(b"\xff" * 16)
    assert not claims.claim(digests[0])


def test_the_table_has_all_its_room_from_the_start_and_is_private(tmp_path: Path):
    seen = table(tmp_path, 1_000_000).stat()

    assert seen.st_size >= 2_000_000 * 16
    assert seen.st_blocks * 512 >= seen.st_size
    assert seen.st_mode & 0o077 == 0


def _claim_all(path: Path, digests: list[bytes]) -> int:
    claims = Claims(path, 16)
    return sum(map(claims.claim, digests))


def test_processes_share_the_table(tmp_path: Path):
    path = table(tmp_path, 3000)
    digests = [os.urandom(16) for _ in range(3000)]
    assert _claim_all(path, digests[:1000]) == 1000

    with get_context("forkserver").Pool(1) as pool:
        assert pool.apply(_claim_all, (path, digests)) == 2000
    assert _claim_all(path, digests) == 0
