"""``datavc://`` over S3: from a git URL, nothing on this machine, in threads and workers; requests and bytes are counted."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from projects import Project
from servers import S3Server, s3_server

from datavc.filesystem import DatavcFileSystem

pytestmark = pytest.mark.s3

BIG = random.Random(1).randbytes(12_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture
def url(project: Project, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """A git repository whose dataset is in a bucket alone; this process may read it."""
    project.environment.update(server.environment)
    for name, value in project.environment.items():
        monkeypatch.setenv(name, value)
    bucket = server.make_bucket(f"bucket-{random.randrange(10**12)}")
    project.run("remote", "add", "origin", f"s3://{bucket}/data", "--no-probe", "--endpoint", server.endpoint)
    project.write({"data/big": BIG, **{f"data/small/{number:03}": str(number) for number in range(50)}})
    project.run("add", "data")
    project.commit("data")
    project.run("push", "--yes")
    monkeypatch.chdir("/")
    return f"file://{project.root}"


def received(fs: DatavcFileSystem) -> tuple[int, int]:
    """Requests, and bytes that came."""
    (snapshot,) = fs._snapshots.values()
    remotes = snapshot._contents.remotes
    assert remotes is not None
    (store,) = remotes.stores
    return store.requests.requests.total(), store.requests.read_bytes


def test_a_range_costs_what_it_has(url: str):
    fs = DatavcFileSystem(url, cache_bytes=0)

    assert fs.cat_file("data/big", 7_000_000, 7_000_100) == BIG[7_000_000:7_000_100]

    requests, size = received(fs)
    assert requests <= 7
    assert size < 1_300_000


def test_all_of_it_costs_little_more_than_it_has(url: str):
    fs = DatavcFileSystem(url, cache_bytes=0)

    with fs.open("data/big") as file:
        assert b"".join(iter(lambda: file.read(50_000), b"")) == BIG
    assert fs.cat("data/small", recursive=True)["data/small/007"] == b"7"

    requests, size = received(fs)
    assert requests <= 22
    assert size < len(BIG) + 200_000


def test_threads_read_at_once(url: str):
    fs = DatavcFileSystem(url, cache_bytes=0)
    starts = range(0, len(BIG), 1_000_000)

    with ThreadPoolExecutor(6) as executor:
        parts = list(executor.map(lambda start: fs.cat_file("data/big", start, start + 1_000_000), starts))

    assert b"".join(parts) == BIG


def _part(fs: DatavcFileSystem, start: int) -> bytes:
    part: bytes = fs.cat_file("data/big", start, start + 10)
    assert fs._owner == os.getpid(), "connections, threads and locks of another process were used"
    return part


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_workers_read_with_their_own_credentials(method: str, url: str, server: S3Server):
    fs = DatavcFileSystem(url)
    assert _part(fs, 0) == BIG[:10]

    with ProcessPoolExecutor(2, mp_context=get_context(method)) as executor:
        futures = [executor.submit(_part, fs, start) for start in (0, 4_000_000, 8_000_000)]
        assert [future.result() for future in futures] == [
            BIG[at : at + 10] for at in (0, 4_000_000, 8_000_000)
        ]
    assert server.keys["AWS_SECRET_ACCESS_KEY"].encode() not in pickle.dumps(fs)


def test_nothing_is_left_open(url: str, tmp_path: Path, recwarn: pytest.WarningsRecorder):
    fs = DatavcFileSystem(url)
    fs.cat_file("data/big", 0, 10)
    fs.invalidate_cache()
    del fs
    import gc

    gc.collect()

    assert [str(warning.message) for warning in recwarn] == []
