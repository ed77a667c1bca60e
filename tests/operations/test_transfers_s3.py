"""push, fetch and pull through S3: two at once, and over connections that break."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from proxy import Fault, Proxy, proxy_to
from remotes import fetched, outcomes, pushed, requests
from servers import S3Server, s3_server

from datavc.backends import retrying

pytestmark = pytest.mark.s3

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[Proxy]:
    with proxy_to(int(server.endpoint.rpartition(":")[2])) as running:
        yield running


def add(project: Project, files: dict, path: str = "data") -> None:
    project.write({f"{path}/{name}": content for name, content in files.items()})
    project.run("add", path)
    project.commit("data")


def many(count: int = 60, *, first: int = 0) -> dict[str, bytes]:
    return {f"{n % 7}/{n:04}": b"%d " % n * 300 for n in range(first, first + count)}


def connect(project: Project, server: S3Server, endpoint: str | None = None) -> str:
    """A remote in a bucket of its own."""
    project.environment.update(server.environment)
    bucket = server.make_bucket(f"bucket-{next(_numbers)}")
    project.run(
        "remote", "add", "origin", f"s3://{bucket}/data sets", "--no-probe",
        "--endpoint", endpoint or server.endpoint,
    )  # fmt: skip
    project.commit("remote")
    return bucket


@pytest.fixture
def dataset(project: Project, server: S3Server) -> Project:
    connect(project, server)
    add(project, {**many(), "big": b"".join(b"%d" % n for n in range(600_000))})
    return project


def test_push_clone_pull_and_compare(dataset: Project):
    assert outcomes(pushed(dataset)) == ["sent"]
    again = pushed(dataset)
    assert (outcomes(again), requests(again)) == (["complete"], 1)
    clone = dataset.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == dataset.tree("data")
    part = dataset.clone("part")
    said = fetched(part, "data/3/0003")
    assert said["traffic"]["received_bytes"] < 20_000


def test_a_push_of_one_change_and_its_fetch(dataset: Project):
    pushed(dataset)
    clone = dataset.clone("clone")
    clone.run("pull")
    add(dataset, {"3/0003": "changed"})
    assert pushed(dataset)["traffic"]["sent_bytes"] < 5000
    clone.git("pull", "-q")
    assert fetched(clone)["datasets"][0]["size"] < 5000
    clone.run("checkout")
    assert clone.tree("data") == dataset.tree("data")


def test_pushers_at_once_both_succeed(dataset: Project):
    """Real processes: three clones push versions of their own, and the same one."""
    pushed(dataset)
    clones = [dataset.clone(f"clone{number}") for number in range(3)]
    for number, clone in enumerate(clones):
        clone.run("pull")
        if number:
            add(clone, {**many(300, first=1000), f"own{number}": b"%d" % number * 1000})
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "datavc", "push", "--yes"],
            cwd=clone.root,
            env=clone.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for clone in (*clones, clones[1])
    ]
    for process in running:
        said, _ = process.communicate()
        assert process.returncode == 0, said.decode()
    for number, clone in enumerate(clones):
        assert outcomes(pushed(clone, "--check")) == ["complete"]
        second = clone.clone(f"second{number}")
        second.run("pull")
        assert second.tree("data") == clone.tree("data")


# Connections that break


@pytest.fixture
def broken(project: Project, server: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A dataset whose remote is behind the proxy; pauses between tries are short."""
    monkeypatch.setattr(retrying, "_FIRST_PAUSE", 0.01)
    proxy.reset()
    connect(project, server, f"http://127.0.0.1:{proxy.port}")
    add(project, {**many(), "big": b"".join(b"%d" % n for n in range(600_000))})
    return project


def places(total: int) -> list[int]:
    """Byte 0, 1, the last, and some between."""
    return sorted({0, 1, *(total * part // 5 for part in range(1, 5)), total - 1})


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_push_survives_a_cut_at_any_byte(
    broken: Project, server: S3Server, proxy: Proxy, direction: str, tmp_path: Path
):
    pushed(broken)
    total = proxy.passed[direction]
    for number, place in enumerate(places(total)):
        bucket = server.make_bucket(f"cut-{direction}-{number}")
        broken.run("remote", "set-url", "origin", f"s3://{bucket}/x")
        broken.commit("elsewhere")
        proxy.reset(Fault("cut", place, direction))
        said = pushed(broken)
        assert outcomes(said) == ["sent"]
        proxy.reset()
        clone = broken.clone(f"clone-{direction}-{number}")
        clone.run("pull")
        assert clone.tree("data") == broken.tree("data")


def test_a_fetch_survives_a_cut_at_any_byte(broken: Project, proxy: Proxy):
    pushed(broken)
    proxy.reset()
    fetched(broken.clone("whole"))
    for direction in ("down", "up"):
        for place in places(proxy.passed[direction]):
            clone = broken.clone(f"clone-{direction}-{place}")
            proxy.reset(Fault("cut", place, direction))
            assert outcomes(fetched(clone)) == ["fetched"]
            clone.run("checkout")
            assert clone.tree("data") == broken.tree("data")


def test_bytes_mangled_on_the_way_down_are_never_kept(broken: Project, proxy: Proxy):
    """Headers, lengths and content: what comes in the end is right, or it is an error."""
    pushed(broken)
    proxy.reset()
    fetched(broken.clone("whole"))
    total = proxy.passed["down"]
    for place in range(total // 24, total, total // 12):
        clone = broken.clone(f"clone-{place}")
        proxy.reset(Fault("mangle", place))
        result = clone.run("pull", code=None)
        assert result.code in (0, 1, 12), result.err
        assert "Traceback" not in result.err
        proxy.reset()
        clone.run("pull")
        assert clone.tree("data") == broken.tree("data")
        assert clone.run("fsck").code == 0


def test_a_stalled_connection_is_given_up_and_tried_again(
    broken: Project, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
):
    from datavc.backends import s3_client

    monkeypatch.setattr(s3_client, "_READ_SECONDS", 1)
    pushed(broken)
    proxy.reset()
    fetched(broken.clone("whole"))
    total = proxy.passed["down"]
    clone = broken.clone("clone")
    proxy.reset(Fault("stall", total // 2))
    said = fetched(clone)
    assert outcomes(said) == ["fetched"]
    assert proxy.faults == []


def test_a_server_that_is_gone_is_an_error_that_names_it(
    broken: Project, proxy: Proxy, server: S3Server, monkeypatch: pytest.MonkeyPatch
):
    pushed(broken)
    clone = broken.clone("clone")
    monkeypatch.setattr(retrying.RetryingBackend, "__init__", _impatient(retrying.RetryingBackend.__init__))
    proxy.target = 1  # nobody listens there
    try:
        failed = clone.run("pull", code=1)
    finally:
        proxy.target = int(server.endpoint.rpartition(":")[2])
    assert "s3://" in failed.err and "Traceback" not in failed.err
    clone.run("pull")
    assert clone.tree("data") == broken.tree("data")


def _impatient(real):
    def __init__(self, inner, **_):
        real(self, inner, patience=0.1, first_patience=0.1)

    return __init__
