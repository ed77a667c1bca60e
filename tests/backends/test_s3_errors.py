"""What S3 servers answer, or leave unanswered, as sentences with what to do."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest

from datavc.backends.s3 import S3Backend
from datavc.backends.s3_client import S3Place
from datavc.errors import DatavcError, StorageError, TransientError


@contextlib.contextmanager
def answering(answer: bytes) -> Iterator[S3Place]:
    """A server that answers everything with the same bytes, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield S3Place("bucket", "x", f"http://127.0.0.1:{listening.getsockname()[1]}")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def refused(kind: type[DatavcError], answer: bytes, monkeypatch: pytest.MonkeyPatch) -> DatavcError:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "of-no-worth")
    with answering(answer) as place, pytest.raises(kind) as caught:
        S3Backend(place).read("name")
    return caught.value


def response(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


def test_a_server_that_hangs_up_on_plain_http_may_speak_tls(monkeypatch: pytest.MonkeyPatch):
    """As Ceph's gateway does."""
    error = refused(TransientError, b"", monkeypatch)
    assert "was lost" in error.message
    assert "https:// where the server speaks TLS" in (error.hint or "")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/plain; charset=utf-8", b"Client sent an HTTP request to an HTTPS server.\n"),
        (
            "text/html",
            b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
        ),
    ],
)
def test_a_server_that_refuses_plain_http_may_speak_tls(
    kind: str, body: bytes, monkeypatch: pytest.MonkeyPatch
):
    """As servers written in Go, and nginx, do."""
    error = refused(StorageError, response("400 Bad Request", kind, body), monkeypatch)
    assert "s3://bucket/x/name" in error.message
    assert "https:// where that speaks TLS" in (error.hint or "")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        ("403 Forbidden", "SignatureDoesNotMatch", "does not accept the credentials"),
        ("403 Forbidden", "InvalidAccessKeyId", "does not accept the credentials"),
        ("403 Forbidden", "RequestTimeTooSkewed", "differ too much"),
        ("403 Forbidden", "AccessDenied", "access is denied"),
        ("404 Not Found", "NoSuchBucket", "the bucket does not exist"),
        ("400 Bad Request", "InvalidBucketName", "no name for a bucket"),
        ("400 Bad Request", "UnheardOf", "refuses the request (UnheardOf, status 400)"),
    ],
)
def test_what_the_server_says_becomes_a_sentence(
    status: str, code: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    """In the words of Ceph's gateway, which gives codes and no messages."""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><RequestId>tx0</RequestId></Error>'
    )
    error = refused(StorageError, response(status, "application/xml", body.encode()), monkeypatch)
    assert "s3://bucket" in error.message and sentence in error.message
