"""The probe tells servers that keep their word from those that do not, and leaves nothing behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import S3Server, moto_server

from datavc.backends.base import StoredFile
from datavc.backends.findings import Findings
from datavc.backends.folder import FolderBackend
from datavc.backends.memory import MemoryBackend
from datavc.backends.opening import open_backend
from datavc.backends.probing import probe
from datavc.errors import StorageError, StoredFileNotFound, TransientError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


def test_a_folder_can_be_relied_on_and_stays_as_it_was(tmp_path: Path):
    findings = probe(FolderBackend(tmp_path))

    assert findings.problems() == []
    assert not findings.needs_read_back
    assert [name for name in os.listdir(tmp_path) if name not in ("tmp", "roots")] == []


def test_moto_keeps_conditions_and_looks_at_no_upload(server: S3Server, monkeypatch: pytest.MonkeyPatch):
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    backend = open_backend(f"s3://{server.make_bucket('probed')}/here", {"endpoint": server.endpoint})

    findings = probe(backend)

    assert findings.reasons_to_refuse() == []
    assert findings.refuses_overwrite
    assert findings.racing_winners == 1
    assert findings.needs_read_back
    assert list(backend.list("probe/")) == []


class _Lying(MemoryBackend):
    """A server that keeps its word but for one thing."""

    def __init__(self, lie: str) -> None:
        super().__init__()
        self._lie = lie

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        if self._lie == "everything is there":
            try:
                return super().read(name, start, length)
            except StoredFileNotFound:
                return b"<html>"
        data = super().read(name, start, length)
        if self._lie == "ranges" and length is not None:
            return super().read(name)
        if self._lie == "broken ranges" and length is not None and start:
            raise TransientError("the connection ended early")
        return data

    def head(self, name: str) -> StoredFile:
        try:
            return super().head(name)
        except StoredFileNotFound:
            if self._lie == "everything is there":
                return StoredFile(name, 6, 0.0)
            raise

    def list(self, prefix: str) -> Iterator[StoredFile]:
        files = list(super().list(prefix))
        return iter(files[:-1] if self._lie == "listing" else files)

    def write(self, name: str, data: bytes) -> bool:
        if self._lie == "overwrites":
            self.replace(name, data)
            return True
        return super().write(name, data)

    def replace(self, name: str, data: bytes) -> None:
        if self._lie != "stale" or name not in [file.name for file in super().list("roots/")]:
            super().replace(name, data)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("everything is there", "never written"),
        ("ranges", "a part of a file"),
        ("listing", "a listing leaves out files"),
        ("stale", "still read as it was"),
    ],
)
def test_a_server_that_cannot_be_relied_on_is_refused_in_words(lie: str, said: str):
    assert any(said in reason for reason in probe(_Lying(lie)).reasons_to_refuse())


def test_a_server_that_overwrites_is_used_with_care():
    findings = probe(_Lying("overwrites"))

    assert findings.reasons_to_refuse() == []
    assert not findings.refuses_overwrite
    assert any("overwritten" in problem for problem in findings.problems())


def test_what_fails_again_and_again_while_the_rest_works_is_a_finding(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("datavc.backends.probing._PATIENCE_SECONDS", 0)

    assert not probe(_Lying("broken ranges")).reads_ranges


def test_where_nothing_can_be_written_nothing_is_found_out():
    class Full(MemoryBackend):
        def write(self, name: str, data: bytes) -> bool:
            raise StorageError("access denied")

    with pytest.raises(StorageError, match="access denied"):
        probe(Full())


def test_findings_come_back_from_json_and_nothing_else_does(tmp_path: Path):
    findings = probe(FolderBackend(tmp_path))
    kept = findings.as_dict()

    assert Findings.from_dict(kept) == findings
    assert Findings.from_dict({**kept, "lists_all": "yes"}) is None
    assert Findings.from_dict({**kept, "checks": ["crc"]}) is None
    assert Findings.from_dict({}) is None
