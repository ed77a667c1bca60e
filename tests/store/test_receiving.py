"""What is asked of a remote, and what of the answers is kept."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored import XXH, contents, write_packs

from datavc.backends.memory import MemoryBackend
from datavc.errors import OutOfSpace, StorageError, TransientError
from datavc.formats.header import HEADER_BYTES
from datavc.store import layout
from datavc.store.cachefolder import CacheFolder
from datavc.store.index import Location
from datavc.store.packreader import locations
from datavc.store.receiving import Piece, is_within, plan_pieces, raw_of, receive

PACK_BYTES = 1 << 20


def row(number: int, pack: int, offset: int, stored: int) -> tuple[bytes, Location]:
    return number.to_bytes(16, "big"), (bytes([pack]) * 16, offset, stored, stored, 0)


@st.composite
def wanted(draw: st.DrawFn) -> dict[bytes, Location]:
    rows = {}
    for pack in range(draw(st.integers(1, 3))):
        for number in range(draw(st.integers(0, 12))):
            offset = draw(st.integers(HEADER_BYTES, PACK_BYTES - 1))
            stored = draw(st.integers(0, min(200_000, PACK_BYTES - offset)))
            digest, location = row(pack * 100 + number, pack, offset, stored)
            rows[digest] = location
    return rows


@given(wanted(), st.sampled_from([0, PACK_BYTES, PACK_BYTES + 1]))
def test_every_row_lies_in_one_piece_and_pieces_in_their_packs(rows: dict[bytes, Location], below: int):
    sizes = {location[0]: PACK_BYTES for location in rows.values()}
    pieces = plan_pieces(rows, sizes, whole_below=below)
    assert sorted(digest for piece in pieces for digest, _ in piece.rows) == sorted(rows)
    for piece in pieces:
        assert piece.start >= 0 and piece.start + piece.length <= piece.size == PACK_BYTES
        for digest, location in piece.rows:
            assert rows[digest] == location and location[0] == piece.pack
            assert piece.start <= location[1] and location[1] + location[2] <= piece.start + piece.length
    for pack in sizes:
        mine = [piece for piece in pieces if piece.pack == pack]
        assert all(one.start + one.length <= two.start for one, two in pairwise(mine))
        if below > PACK_BYTES:
            assert [piece.is_whole for piece in mine] == [True]


def test_of_a_pack_of_which_most_is_wanted_all_comes():
    size = 10_000_000
    rows = dict(row(number, 1, HEADER_BYTES + number * 100_000, 95_000) for number in range(99))
    assert [piece.is_whole for piece in plan_pieces(rows, {bytes([1]) * 16: size})] == [True]


def test_far_apart_rows_are_ranges_and_near_ones_are_one():
    size = 60 << 20
    far = dict(row(number, 1, HEADER_BYTES + number * (10 << 20), 1000) for number in range(5))
    assert [piece.length for piece in plan_pieces(far, {bytes([1]) * 16: size})] == [1000] * 5
    near = dict(row(number, 1, HEADER_BYTES + number * 5000, 1000) for number in range(5))
    assert [piece.length for piece in plan_pieces(near, {bytes([1]) * 16: size})] == [21_000]


def test_a_row_outside_of_its_pack_is_told():
    _, location = row(1, 1, 90, 20)
    assert is_within(location, 110) and not is_within(location, 109)


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    return CacheFolder(tmp_path / "cache", create=True)


@pytest.fixture
def remote(tmp_path: Path) -> MemoryBackend:
    return MemoryBackend()


def whole(remote: MemoryBackend, scratch: Path, count: int = 50) -> tuple[Piece, str]:
    """A pack of objects on the remote, asked for whole."""
    scratch.mkdir()
    (pack,) = write_packs(remote, scratch, contents(count, 200))
    rows = list(locations(pack.name, pack.footer))
    return Piece(pack.name, pack.size, 0, pack.size, rows), layout.pack_path(pack.name)


def test_a_sound_pack_goes_into_the_cache_as_it_is(remote: MemoryBackend, cache: CacheFolder, tmp_path: Path):
    piece, path = whole(remote, tmp_path / "scratch")
    receipt = receive(remote, cache, "xxh128", piece)
    assert receipt.pack is not None and receipt.pack.name == piece.pack
    assert cache.read(path) == remote.read(path)
    remote.delete(path)
    again = receive(remote, cache, "xxh128", piece)
    assert again.pack is not None and again.piece.length == 0


@pytest.mark.parametrize("place", [HEADER_BYTES, 2000, -1, -25, -60, 0])
def test_no_damaged_pack_gets_its_name_and_what_is_sound_of_it_is_used(
    remote: MemoryBackend, cache: CacheFolder, tmp_path: Path, place: int
):
    piece, path = whole(remote, tmp_path / "scratch")
    data = bytearray(remote.read(path))
    data[place] ^= 1
    remote.replace(path, bytes(data))
    receipt = receive(remote, cache, "xxh128", piece)
    assert receipt.pack is None
    assert len(receipt.lost) == (1 if place in (HEADER_BYTES, 2000) else 0)
    assert len(receipt.entries) + len(receipt.lost) == len(piece.rows)
    for digest, raw in raw_of("xxh128", receipt.entries).items():
        assert XXH(raw) == digest
    assert list(cache.list(layout.PACKS)) == []


def test_a_damaged_file_under_the_packs_name_is_put_aside(
    remote: MemoryBackend, cache: CacheFolder, tmp_path: Path
):
    piece, path = whole(remote, tmp_path / "scratch")
    cache.write(path, bytes(piece.size))
    receipt = receive(remote, cache, "xxh128", piece)
    assert receipt.pack is not None
    assert cache.read(path) == remote.read(path)
    assert len(list(cache.list("quarantine/"))) == 1


def test_missing_short_and_long_packs_are_lost_and_a_failing_remote_is_not(
    remote: MemoryBackend, cache: CacheFolder, tmp_path: Path
):
    piece, path = whole(remote, tmp_path / "scratch")
    data = remote.read(path)
    remote.replace(path, data[:-1])
    assert set(receive(remote, cache, "xxh128", piece).lost.values()) == {"is damaged"}
    remote.delete(path)
    assert set(receive(remote, cache, "xxh128", piece).lost.values()) == {"is missing"}

    class Failing(MemoryBackend):
        def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
            raise TransientError("no connection")

    receipt = receive(Failing(), cache, "xxh128", piece)
    assert isinstance(receipt.failure, StorageError) and not receipt.lost


def test_a_full_disk_is_no_fault_of_the_remote(remote: MemoryBackend, cache: CacheFolder, tmp_path: Path):
    piece, _ = whole(remote, tmp_path / "scratch")

    class Full(CacheFolder):
        def write(self, name: str, data: bytes) -> bool:
            raise OutOfSpace("the disk is full")

    with pytest.raises(OutOfSpace):
        receive(remote, Full(cache.root), "xxh128", piece)


def test_rows_that_say_what_is_not_so_are_lost(remote: MemoryBackend, cache: CacheFolder, tmp_path: Path):
    """A pack index from outside: another object's place, another length, another form."""
    piece, _ = whole(remote, tmp_path / "scratch", 3)
    (one, place), (two, _), (three, other) = piece.rows
    lies = [(one, (*place[:2], place[2] - 1, place[3] - 1, 0)), (two, place), (three, (*other[:4], 2))]
    receipt = receive(remote, None, "xxh128", piece._replace(rows=lies, length=piece.length - 1))
    assert set(receipt.lost) == {one, two, three}
    absent = [(bytes(16), place)]
    assert set(receive(remote, cache, "xxh128", piece._replace(rows=absent)).lost) == {bytes(16)}
