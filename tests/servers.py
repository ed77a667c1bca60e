"""Servers that tests talk to: each a process of its own on a free port of the loopback, ended by its process id."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret-of-no-worth"}
START_SECONDS = 60
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the environment in which boto3 finds its keys and nobody else's."""

    endpoint: str
    keys: dict[str, str] = field(default_factory=lambda: dict(KEYS))
    lasts: bool = False

    @property
    def environment(self) -> dict[str, str]:
        nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
        return {**self.keys, **nowhere, "AWS_EC2_METADATA_DISABLED": "true"}

    def make_bucket(self, name: str, *, keeps_versions: bool = False) -> str:
        """A new, empty bucket; returns its name, which differs on a server that outlives the tests."""
        import boto3

        if self.lasts:
            name = f"{name}-{os.urandom(6).hex()}"

        client = boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=self.keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys["AWS_SECRET_ACCESS_KEY"],
        )
        with contextlib.closing(client):
            client.create_bucket(Bucket=name)
            if keeps_versions:
                try:
                    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
                except client.exceptions.ClientError as error:
                    pytest.skip(f"the server keeps no versions: {error}")
        return name


def answers(url: str) -> bool:
    """Whether somebody speaks HTTP there, whatever they say."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def running(command: list[str], log: Path, environment: dict[str, str] | None = None) -> Iterator[str]:
    """A server that takes whatever port is free, and says where it is in what it prints; the address, once it answers.

    It is ended, with what it started, when the block is left.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not ((said := _ADDRESS.search(log.read_text())) and answers(f"{said[0]}/")):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not come up:\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        yield said[0]
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the process, and the group that it leads, by its id."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 15)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait(10)


_kept = contextlib.ExitStack()
_moto: list[S3Server] = []


@contextlib.contextmanager
def moto_server(folder: Path) -> Iterator[S3Server]:
    """Amazon's S3 as moto knows it: in memory, conditions and ranges right, no checksum looked at.

    It takes two seconds to start, so one serves all tests of a process, and :func:`end_servers` ends it.
    """
    if not _moto:
        _share_models()
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        endpoint = _kept.enter_context(running(command, folder / "moto.log", KEYS))
        _moto.append(S3Server(endpoint, lasts=True))
    yield _moto[0]


def end_servers() -> None:
    """End what was kept running."""
    _moto.clear()
    _kept.close()


def _share_models() -> None:
    """Every command in this process makes a client of its own, which takes 0.2 s; reading what botocore knows of S3 is
    most of that, and done once from here on."""
    import botocore.session

    botocore.session.create_loader = functools.cache(botocore.session.create_loader)


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[S3Server]:
    """The server at DATAVC_TEST_S3_ENDPOINT, with the keys of the environment, as in CI; else one of our own."""
    endpoint = os.environ.get("DATAVC_TEST_S3_ENDPOINT")
    if endpoint:
        yield S3Server(endpoint, {name: os.environ[name] for name in KEYS}, lasts=True)
    else:
        with moto_server(folder) as server:
            yield server
