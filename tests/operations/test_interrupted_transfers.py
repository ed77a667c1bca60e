"""Ctrl-C and kill in the middle of a transfer whose server answers no more, in real processes."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project
from proxy import Fault, Proxy, proxy_to
from remotes import fetched, outcomes, pushed
from servers import S3Server, moto_server

PATIENCE_SECONDS = 20
_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[Proxy]:
    with proxy_to(int(server.endpoint.rpartition(":")[2])) as running:
        yield running


@pytest.fixture
def dataset(project: Project, server: S3Server, proxy: Proxy) -> Project:
    project.environment.update(server.environment)
    bucket = server.make_bucket(f"bucket-{next(_numbers)}")
    project.run(
        "remote", "add", "origin", f"s3://{bucket}/x", "--no-probe",
        "--endpoint", f"http://127.0.0.1:{proxy.port}",
    )  # fmt: skip
    project.write({f"data/{n % 7}/{n:04}": b"%d " % n * 300 for n in range(100)})
    project.write({"data/big": b"".join(b"%d" % n for n in range(900_000))})
    project.run("add", "data")
    project.commit("data")
    return project


def interrupt(
    project: Project, command: list[str], proxy: Proxy, sent: signal.Signals
) -> tuple[int, float, str]:
    """Run a command until the proxy stalls it, and end it: the exit code, how long that took, and what it said."""
    running = subprocess.Popen(
        [sys.executable, "-m", "datavc", *command],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    deadline = time.monotonic() + 60
    while proxy.faults and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    running.send_signal(sent)
    said, _ = running.communicate(timeout=60)
    return running.returncode, time.monotonic() - began, said.decode()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda sent: sent.name)
def test_a_stalled_fetch_ends_at_once_and_what_came_is_kept(
    dataset: Project, proxy: Proxy, sent: signal.Signals
):
    proxy.reset()
    pushed(dataset)
    proxy.reset()
    whole = fetched(dataset.clone("whole"))["traffic"]["received_bytes"]
    proxy.reset(Fault("stall", proxy.passed["down"] * 3 // 4))
    clone = dataset.clone("clone")
    code, seconds, said = interrupt(clone, ["fetch"], proxy, sent)
    assert code == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[sent], said
    assert seconds < PATIENCE_SECONDS
    assert "Traceback" not in said
    proxy.reset()
    again = fetched(clone)
    assert outcomes(again) == ["fetched"]
    assert again["traffic"]["received_bytes"] <= whole
    clone.run("checkout")
    assert clone.tree("data") == dataset.tree("data")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=lambda sent: sent.name)
def test_a_stalled_push_ends_at_once_and_goes_on_where_it_was(
    dataset: Project, proxy: Proxy, sent: signal.Signals, tmp_path: Path
):
    total = sum(path.stat().st_size for path in (dataset.root / ".git/datavc/cache/packs").rglob("xxh128-*"))
    proxy.reset(Fault("stall", total * 3 // 4, "up"))
    code, seconds, said = interrupt(dataset, ["push", "--yes"], proxy, sent)
    assert code == {signal.SIGINT: 130, signal.SIGKILL: -9}[sent], said
    assert seconds < PATIENCE_SECONDS
    assert "Traceback" not in said
    proxy.reset()
    assert outcomes(pushed(dataset)) == ["sent"]
    clone = dataset.clone("clone")
    clone.run("pull")
    assert clone.tree("data") == dataset.tree("data")
