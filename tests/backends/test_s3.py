"""The S3 backend: the contract against a server in a process of its own, and what is special about buckets."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xxhash
from servers import S3Server, s3_server

from datavc.backends.base import Backend
from datavc.backends.s3 import S3Backend
from datavc.backends.s3_client import S3Place
from datavc.errors import StoredFileNotFound
from datavc.testing.backend_contract import BackendContract

pytestmark = pytest.mark.s3

_numbers = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as running:
        yield running


@pytest.fixture(autouse=True)
def _keys(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(server: S3Server) -> S3Place:
    """A prefix of its own in a new bucket."""
    return S3Place(server.make_bucket(f"bucket-{next(_numbers)}"), "data sets/été+1", server.endpoint)


class TestS3Backend(BackendContract):
    @pytest.fixture(autouse=True)
    def _place(self, place: S3Place) -> None:
        self.place = place

    def make_backend(self, folder: Path) -> Backend:
        return S3Backend(self.place)


def test_an_error_that_was_handled_keeps_nothing_in_memory(place: S3Place):
    """Whoever asks for a pack that is not there holds one to send: waiting for garbage to be looked for would double that."""

    class Held:
        pass

    backend = S3Backend(place)

    def ask() -> weakref.ref[Held]:
        held = Held()
        with contextlib.suppress(StoredFileNotFound):
            backend.head("absent")
        return weakref.ref(held)

    ask()
    gc.collect()
    gc.disable()
    try:
        assert ask()() is None
    finally:
        gc.enable()


def test_what_is_listed_with_fractions_of_a_second_is_as_head_tells_it(place: S3Place):
    """Ceph and MinIO list milliseconds, and Last-Modified has none: gc would take every root for one written anew."""
    backend = S3Backend(place)
    backend.write("roots/file", b"content")

    def add_fraction(parsed: dict[str, Any], **_: object) -> None:
        for row in parsed["Contents"]:
            row["LastModified"] = row["LastModified"].replace(microsecond=844_000)

    backend._client().meta.events.register("after-call.s3.ListObjectsV2", add_fraction)
    (listed,) = backend.list("roots/")
    assert listed == backend.head("roots/file")
    assert listed.modified <= backend.now()


class Answering:
    """A client of which ``head_object`` alone is known: moto keeps no XXHASH128 of what it is sent."""

    def __init__(self, answer: dict[str, object]) -> None:
        self.answer = answer
        self.asked: dict[str, object] = {}

    def head_object(self, **asked: object) -> dict[str, object]:
        self.asked = asked
        return self.answer

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        # AWS' own test vector: "Hello world".
        ({"ChecksumXXHASH128": "c1H4mBL5c4K5HQWzHgTdfw==", "ChecksumType": "FULL_OBJECT"}, b"Hello world"),
        ({"ChecksumXXHASH128": "c1H4mBL5c4K5HQWzHgTdfw=="}, b"Hello world"),
        ({"ChecksumXXHASH128": "c1H4mBL5c4K5HQWzHgTdfw==", "ChecksumType": "COMPOSITE"}, None),
        ({"ChecksumXXHASH128": "c1H4mBL5c4K5HQWzHgTdfw==-3"}, None),
        ({"ChecksumXXHASH128": "AAAA"}, None),
        ({"ChecksumCRC64NVME": "AAAAAAAAAAA="}, None),
        ({}, None),
    ],
)
def test_the_checksum_that_a_server_keeps_is_asked_for_by_head(
    place: S3Place, answer: dict[str, object], kept: bytes | None
):
    backend = S3Backend(place)
    client = backend._clients[os.getpid()] = Answering(answer)
    expected = None if kept is None else xxhash.xxh3_128_digest(kept)
    assert backend.kept_xxh128("packs/aa/x") == expected
    assert client.asked["ChecksumMode"] == "ENABLED"


def test_a_server_that_keeps_no_checksums_is_asked_in_vain(place: S3Place):
    backend = S3Backend(place)
    backend.write("file", b"Hello world")
    assert backend.kept_xxh128("file") in (None, xxhash.xxh3_128_digest(b"Hello world"))
    with pytest.raises(StoredFileNotFound):
        backend.kept_xxh128("absent")
