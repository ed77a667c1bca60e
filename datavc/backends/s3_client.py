"""How S3 is reached: the bucket and its server, boto3's client for them, and bodies that are sent in pieces."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from datavc.errors import UsageError

# Uploads are refused by the server unless what arrives is what was sent. Which of these does it must be found out by a probe:
# an XXH3-128 in a header of its own, a Content-MD5, or the SHA-256 that is part of each request's signature.
Check = Literal["xxh128", "sha256", "md5"]

# Python's sendall() takes the time-out for the whole call, and urllib3 sends under the time-out for connecting: a body in one
# piece would have to leave within it. So it leaves in pieces of this many bytes, each with the full time.
_PIECE = 256 * 1024
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_CONNECTIONS = 16

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_UNPRINTABLE = re.compile(r"[\0-\x1f\x7f]")
_SWITCHES = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, the ``prefix`` of all keys in it (without slashes at its ends), and how the server is reached."""

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    profile: str | None = None
    path_style: bool | None = None
    anonymous: bool = False

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def is_encrypted(self) -> bool:
        return self.endpoint is None or self.endpoint.startswith("https:")


def parse_place(url: str, settings: Mapping[str, str]) -> S3Place:
    """The place that ``s3://BUCKET/PREFIX`` and the settings of a remote mean.

    Raises:
        UsageError: the URL or a setting is malformed or unknown.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(f"{url!r} names no bucket", "write it as s3://BUCKET or s3://BUCKET/FOLDER")
    if prefix and (_UNPRINTABLE.search(prefix) or {"", ".", ".."} & set(prefix.split("/"))):
        raise UsageError(f"{url!r} has a folder in it that S3 keys cannot carry")
    known = {field.name for field in fields(S3Place)} - {"bucket", "prefix"}
    if unknown := sorted(set(settings) - known):
        raise UsageError(f"an S3 remote has no setting {unknown[0]!r}", f"it has {', '.join(sorted(known))}")
    return S3Place(
        bucket,
        prefix,
        _checked_endpoint(settings.get("endpoint")),
        settings.get("region") or None,
        settings.get("profile") or None,
        _switch(settings, "path_style"),
        bool(_switch(settings, "anonymous")),
    )


def _checked_endpoint(endpoint: str | None) -> str | None:
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise UsageError(f"the endpoint {endpoint!r} is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"the endpoint {endpoint!r} is no URL of a server", "write it as https://HOST:PORT")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(f"the endpoint of {parts.hostname} must carry no user, password, query or fragment")
    return endpoint.rstrip("/")


def _switch(settings: Mapping[str, str], name: str) -> bool | None:
    value = settings.get(name)
    if not value:
        return None
    if value.lower() not in _SWITCHES:
        raise UsageError(f"{name} must be true or false, not {value!r}")
    return _SWITCHES[value.lower()]


def make_client(place: S3Place, *, sign_payload: bool) -> Any:
    """A boto3 client, which threads may share. Raises what botocore raises; nothing is asked of the server yet."""
    with _without_crt():
        import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.handlers import add_expect_header

    session = boto3.Session(profile_name=place.profile)
    style = "auto" if place.endpoint is None else "path"
    if place.path_style is not None:
        style = "path" if place.path_style else "virtual"
    config = Config(
        # "when_supported", boto3's default, is answered with 411 by some servers over TLS.
        request_checksum_calculation="when_required",
        # Everything received is hashed by whoever asked for it.
        response_checksum_validation="when_required",
        # RetryingBackend does it, within one limit for everything.
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_CONNECTIONS,
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        tcp_keepalive=True,
        s3={"addressing_style": style, "payload_signing_enabled": sign_payload},
        **({"signature_version": UNSIGNED} if place.anonymous else {}),
    )
    region = place.region or session.region_name or (place.endpoint and "us-east-1")
    client = session.client("s3", region_name=region, endpoint_url=place.endpoint, config=config)
    # A server that does not answer "Expect: 100-continue" would cost a second for every upload.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client


@contextlib.contextmanager
def _without_crt() -> Iterator[None]:
    """Where awscrt is installed botocore would sign with it, in pieces of 4 KiB, which halves the speed of uploads."""
    name = "BOTO_DISABLE_CRT"
    given = os.environ.get(name)
    os.environ.setdefault(name, "true")
    try:
        yield
    finally:
        if given is None:
            del os.environ[name]


class Body:
    """Bytes as botocore reads them: once to sign them, once to send them. Without a copy, and in pieces of our size."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def __len__(self) -> int:
        return len(self._data)

    def read(self, size: int | None = -1) -> memoryview:
        """The next piece, however little is asked for: urllib3 asks for 16 KiB, which would cost 4,096 calls for a pack."""
        piece = self._data[self._at : self._at + (len(self._data) if size is None or size < 0 else _PIECE)]
        self._at += len(piece)
        return piece

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._data)}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def release(self) -> None:
        """Let go of the bytes: it was sent, or will not be."""
        self._data = memoryview(b"")


class ChangingBody(Body):
    """What a probe sends: ``signed`` is what the signature is made of, and ``sent`` of the same length is what leaves."""

    def __init__(self, signed: bytes, sent: bytes) -> None:
        super().__init__(signed)
        self._sent = memoryview(sent)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_SET and self._at == len(self._data):
            self._data = self._sent
        return super().seek(offset, whence)


def body_of(data: bytes) -> bytes | Body:
    """What botocore is given to send. Up to a piece leaves in one packet with the headers."""
    return data if len(data) <= _PIECE else Body(data)
