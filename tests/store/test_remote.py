"""A store far away: asked as little as possible, and believed in nothing that could be verified."""

from __future__ import annotations

import os
import random
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest
from stored import (
    REPO_ID,
    XXH,
    contents,
    index_of,
    overwrite,
    pack_file,
    write_index,
    write_packs,
    write_root,
)

from datavc.backends.base import Backend
from datavc.backends.folder import FolderBackend
from datavc.backends.memory import MemoryBackend
from datavc.errors import DigestMismatch, MalformedError, StorageError, StoredFileNotFound, UnsupportedFormat
from datavc.formats.digest import Digest
from datavc.formats.packindex import FRAME_ROWS
from datavc.store import layout
from datavc.store import remote as remote_module
from datavc.store.remote import RemoteStore

DIGEST = Digest("xxh128", bytes(range(16)))


def digest(number: int) -> Digest:
    return Digest("xxh128", bytes([number]) * 16)


def open_remote(backend: Backend) -> RemoteStore:
    return RemoteStore("origin", backend, REPO_ID, "xxh128")


@cache
def _large_index() -> tuple[bytes, list[bytes]]:
    noise = random.Random(1)
    digests = sorted({noise.randbytes(16) for _ in range(48 * FRAME_ROWS)})
    table = [
        (name, 0, 8 + noise.randrange(1 << 25), noise.randrange(1 << 20), 1 << 20, 0) for name in digests
    ]
    encoded = index_of([(b"\1" * 16, 1 << 20)], table)
    assert len(encoded) > 1 << 20
    return encoded, digests


def large_index(backend: Backend) -> tuple[str, list[bytes]]:
    """An index of more than a MiB, of noise that does not compress, and the digests in it."""
    encoded, digests = _large_index()
    name = layout.sealed_name(XXH(encoded))
    backend.write(layout.index_path(name), encoded)
    return name, digests


def test_a_new_remote_gets_a_note_before_the_first_write_and_is_asked_once(backend: Backend):
    remote = open_remote(backend)
    remote.prepare()
    asked = remote.requests.requests.total()
    remote.prepare()

    assert asked == remote.requests.requests.total()
    assert backend.read(layout.STORE_NOTE)


def test_a_remote_of_another_format_is_refused_each_time(backend: Backend):
    backend.write(layout.STORE_NOTE, b'{"format": 99}')
    remote = open_remote(backend)

    for _ in range(2):
        with pytest.raises(UnsupportedFormat):
            remote.prepare()


def test_a_remote_says_its_name_and_its_place(backend: Backend):
    assert open_remote(backend).describe() == f"the remote origin ({backend.describe()})"


def test_whether_a_dataset_is_there_is_one_request(backend: Backend):
    remote = open_remote(backend)
    assert remote.root(DIGEST) is None
    root = write_root(backend, DIGEST, [f"xxh128-{'ab' * 16}"])
    remote.requests.requests.clear()

    assert remote.root(DIGEST) == root
    assert remote.requests.requests == {"read": 1}
    write_root(backend, DIGEST, root.indexes, complete=False)
    assert remote.root(DIGEST) is None
    backend.replace(layout.root_path(REPO_ID, DIGEST), b"damaged")
    assert remote.root(DIGEST) is None


def test_the_newest_roots_come_first_and_what_is_no_complete_root_of_this_repo_is_left_out(tmp_path: Path):
    backend = FolderBackend(tmp_path, create=True)
    prefix = f"roots/{REPO_ID}/"
    for number in range(1, 6):
        write_root(backend, digest(number), [f"xxh128-{'ab' * 16}"], complete=number != 2)
    backend.write(f"{prefix}nonsense", b"x")
    backend.write(f"{prefix}md5-{'0' * 32}", b"x")
    sha256 = Digest("sha256", bytes(32))
    write_root(backend, sha256, [f"xxh128-{'ab' * 16}"])
    backend.replace(f"{prefix}{digest(3).file_name}", b"damaged")
    for number, file in enumerate(sorted(backend.list(prefix))):
        os.utime(tmp_path / file.name, (number, number))
    remote = open_remote(backend)

    assert [root.digest for root in remote.newest_roots(100)] == [digest(5), digest(4), digest(1)]
    assert [root.digest for root in remote.newest_roots(1)] == [digest(5)]
    # One that is damaged was asked for too.
    assert [root.digest for root in remote.newest_roots(3)] == [digest(5), digest(4)]


def test_a_remote_that_fails_is_an_error_and_has_no_fewer_roots():
    class Failing(MemoryBackend):
        def list(self, prefix):
            yield from super().list(prefix)
            if prefix.startswith("roots/"):
                raise StorageError("the listing broke off")

    backend = Failing()
    write_root(backend, DIGEST, [f"xxh128-{'ab' * 16}"])

    with pytest.raises(StorageError):
        list(open_remote(backend).newest_roots(10))


def test_a_large_index_is_looked_into_by_ranges_and_then_read_whole_once():
    backend = MemoryBackend()
    name, digests = large_index(backend)
    size = backend.head(layout.index_path(name)).size
    remote = open_remote(backend)
    index = remote.index([name])

    assert index.find(digests[0]) is not None
    assert remote.requests.read_bytes < size / 4
    assert all(index.find(wanted) is not None for wanted in digests[:: FRAME_ROWS // 2])
    assert remote.requests.requests["read"] < 10
    assert remote.requests.read_bytes < 2 * size
    asked = remote.requests.requests.total()
    assert all(index.find(wanted) is not None for wanted in digests[::500])
    assert remote.requests.requests.total() == asked


def test_an_index_whose_rows_are_all_wanted_is_one_read():
    backend = MemoryBackend()
    name, digests = large_index(backend)
    remote = open_remote(backend)

    assert len(remote.index([name], whole=True).find_many(digests)) == len(digests)
    assert remote.requests.requests == {"head": 1, "read": 1}


def test_ranges_and_the_whole_find_the_same():
    backend = MemoryBackend()
    name, digests = large_index(backend)
    asked = [*digests[:: FRAME_ROWS // 3], XXH(b"not there")]

    found = [
        [index.find(one) for one in asked]
        for index in (open_remote(backend).index([name], whole=whole) for whole in (False, True))
    ]

    assert found[0] == found[1]
    assert found[0][-1] is None


def test_a_small_index_is_one_read_and_its_packs_are_believed(scratch: Path):
    backend = MemoryBackend()
    packs = write_packs(backend, scratch, contents(30), limit=300)
    name = write_index(backend, packs)
    remote = open_remote(backend)

    assert len(remote.index([name]).find_many(map(XXH, contents(30)))) == 30
    assert remote.requests.requests == {"head": 1, "read": 1}


class Lying(MemoryBackend):
    """Gives wrong bytes for what begins with ``prefix``, so many times."""

    def __init__(self, prefix: str, times: int) -> None:
        super().__init__()
        self.prefix, self.times = prefix, times

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        data = super().read(name, start, length)
        if name.startswith(self.prefix) and self.times:
            self.times -= 1
            return data[:-1] + bytes([data[-1] ^ 1])
        return data


def test_wrong_bytes_of_an_index_are_fetched_once_more(scratch: Path):
    backend = Lying("indexes/", 1)
    name = write_index(backend, write_packs(backend, scratch, contents(5)))
    remote = open_remote(backend)

    assert remote.index([name]).find(XXH(contents(1)[0])) is not None
    assert remote.requests.requests["read"] == 2


def test_bytes_that_stay_wrong_are_an_error_however_often_one_asks(scratch: Path):
    backend = Lying("indexes/", 1000)
    name = write_index(backend, write_packs(backend, scratch, contents(5)))
    index = open_remote(backend).index([name])

    for _ in range(2):
        with pytest.raises(DigestMismatch, match=name):
            index.find(XXH(b"x"))


def test_an_index_that_is_cut_off_or_swapped_for_another_is_an_error(scratch: Path):
    backend = MemoryBackend()
    name = write_index(backend, write_packs(backend, scratch, contents(5)))
    other = write_index(backend, write_packs(backend, scratch, contents(5, first=5)))
    path = layout.index_path(name)
    for bad in (backend.read(layout.index_path(other)), backend.read(path)[:-1], b""):
        overwrite(backend, path, bad)
        with pytest.raises(DigestMismatch):
            open_remote(backend).index([name]).find(XXH(b"x"))


def test_an_index_longer_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote_module, "_MAX_INDEX_BYTES", 1000)
    backend = MemoryBackend()
    name = f"xxh128-{'ab' * 16}"
    backend.write(layout.index_path(name), bytes(1001))
    remote = open_remote(backend)

    with pytest.raises(MalformedError, match="more than any pack index"):
        remote.index([name]).find(XXH(b"x"))
    assert remote.requests.requests["read"] == 0


def test_threads_share_an_index():
    backend = MemoryBackend()
    name, digests = large_index(backend)
    index = open_remote(backend).index([name])
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(index.find, digests[::500]))

    assert None not in found


def test_lost_packs_and_indexes_are_named_with_one_request_each(scratch: Path):
    backend = MemoryBackend()
    packs = write_packs(backend, scratch, contents(60), limit=300)
    sizes = {pack.name: pack.size for pack in packs}
    name = write_index(backend, packs)
    remote = open_remote(backend)
    with ThreadPoolExecutor(2) as threads:
        assert remote.lost_packs(sizes, threads) == []
        assert remote.requests.requests == {"head": len(packs)}
        backend.delete(pack_file(packs[1]))
        overwrite(backend, pack_file(packs[2]), b"shorter")
        assert remote.lost_packs(sizes, threads) == [packs[1].name, packs[2].name]

        absent = f"xxh128-{'ab' * 16}"
        assert remote.lost_indexes([absent, name], threads) == [absent]


def test_a_failure_while_asking_for_packs_is_no_lost_pack():
    class Failing(MemoryBackend):
        def head(self, name):
            raise StorageError("no connection")

    remote = open_remote(Failing())
    with ThreadPoolExecutor(1) as threads, pytest.raises(StorageError):
        remote.lost_packs({bytes(16): 1}, threads)
    with ThreadPoolExecutor(1) as threads, pytest.raises(StorageError):
        remote.lost_indexes(["xxh128-00"], threads)


def test_objects_are_read_one_by_one_and_a_lost_pack_is_an_error(backend: Backend, scratch: Path):
    packs = write_packs(backend, scratch, contents(5))
    remote = open_remote(backend)
    index = remote.index([write_index(backend, packs)])
    assert remote.reader(index).read(XXH(contents(1)[0]), limit=100) == contents(1)[0]

    backend.delete(pack_file(packs[0]))
    backend.close()
    with pytest.raises(StoredFileNotFound):
        remote.reader(index).read(XXH(contents(1)[0]), limit=100)
    index.drop([packs[0].name])
    assert index.find(XXH(contents(1)[0])) is None


def test_a_root_is_published_through_the_same_counted_requests(backend: Backend):
    from datavc.store.roots import new_root

    remote = open_remote(backend)
    make = new_root(REPO_ID, DIGEST, kind="file", size=1, files=1, path=b"f", commit=None)
    root = remote.publish_root(make, [f"xxh128-{'ab' * 16}"])

    assert remote.root(DIGEST) == root
    assert remote.requests.requests["replace"] == 1
