"""The backend that is a bucket: Amazon's S3, or any server that speaks it, through boto3.

A file is one object, and every change of it one request, so that nothing is ever half there. Uploads are checked by the
server (the signature covers a SHA-256 of the body, unless a probe found something faster), or read back where it cannot be
relied on. New files are written on the condition that there is none; that some servers let two writers win is borne, since
names are made of content.
"""

from __future__ import annotations

import base64
import io
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from datavc.backends.base import Backend, StoredFile, check_name, is_name
from datavc.backends.s3_client import Body, ChangingBody, Check, S3Place, body_of, make_client
from datavc.backends.s3_errors import error_code, s3_errors, status_of
from datavc.errors import StorageError, StoredFileNotFound, TransientError

_WITH_KEPT = {"ChecksumMode": "ENABLED"}
_READ_PIECE = 1 << 20
_COMPARED_PIECE = 16 << 20
_ATTEMPTS = 5
_CLOCK_FILE = "datavc-store.json"
_IS_THERE = {"PreconditionFailed", "412"}
_ANOTHER_WRITER = {"ConditionalRequestConflict", "OperationAborted", "409"}
# What servers that know no conditions, but know that they do not, have to say to one.
_NO_CONDITIONS = {"NotImplemented", "501"}
_UNEXPLAINED = {"400", "401", "403"}


class S3Backend(Backend):
    """Keeps files as the objects below a prefix of a bucket. Threads may share it; it pickles as its place.

    ``check`` says how the server is made to notice a damaged upload; with None everything is read back after it was
    written. ``conditional`` is False for a server that overwrites what it was told not to: then it is asked first.
    """

    def __init__(self, place: S3Place, *, check: Check | None = "sha256", conditional: bool = True) -> None:
        self.place = place
        self._check = check
        self._conditional = conditional
        self._clients: dict[int, Any] = {}
        self._making = threading.Lock()
        self._bucket_seen = False
        self._keeps_deleted = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.place, self._check, self._conditional)

    def describe(self) -> str:
        endpoint = self.place.endpoint
        return self.place.url if endpoint is None else f"{self.place.url} at {endpoint}"

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        check_name(name)
        if length == 0:
            self.head(name)
            return b""
        wanted = {} if start == 0 and length is None else {"Range": _range(start, length)}
        with s3_errors(self.place.url, name):
            try:
                answer = self._client().get_object(**self._object(name), **wanted)
            except self._refused() as error:
                if length is None and error_code(error) in ("InvalidRange", "416"):
                    return b""
                raise
            self._bucket_seen = True
            with answer["Body"] as body:
                return _received(
                    body, self._announced(name, answer, start, length), f"{self.place.url}/{name}"
                )

    def head(self, name: str) -> StoredFile:
        answer = self._head(name)
        try:
            return StoredFile(name, answer["ContentLength"], _stamp(answer["LastModified"]))
        except KeyError:
            raise TransientError(f"{self.place.url}/{name}: the server's answer broke off") from None

    def kept_xxh128(self, name: str) -> bytes | None:
        answer = self._head(name, **_WITH_KEPT)
        # Of a file in parts, which datavc never makes, it would be a checksum of checksums.
        if answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT":
            return None
        try:
            kept = base64.b64decode(answer.get("ChecksumXXHASH128", ""), validate=True)
        except ValueError:
            return None
        return kept if len(kept) == 16 else None

    def _head(self, name: str, **asked: str) -> Any:
        check_name(name)
        with s3_errors(self.place.url, name):
            try:
                answer = self._client().head_object(**self._object(name), **asked)
            except self._refused() as error:
                # An answer to HEAD has no body, so it tells nothing of why, and not whether it is the bucket that is missing.
                code = error_code(error)
                if code in _UNEXPLAINED:
                    self._client().get_object(**self._object(name), Range="bytes=0-0")["Body"].close()
                elif code == "404" and not self._bucket_seen:
                    self._look_for_bucket()
                raise
        self._bucket_seen = True
        return answer

    def list(self, prefix: str) -> Iterator[StoredFile]:
        check_name(prefix.removesuffix("/"))
        return self.list_pages(prefix, 1000)

    def list_pages(self, prefix: str, page_size: int) -> Iterator[StoredFile]:
        """As :meth:`list`, with at most ``page_size`` names from each request (1,000 is the most that servers give)."""
        base = f"{self.place.prefix}/" if self.place.prefix else ""
        seen: set[str] = set()
        more: dict[str, str] = {}
        while True:
            with s3_errors(self.place.url, prefix):
                page = self._client().list_objects_v2(
                    Bucket=self.place.bucket, Prefix=base + prefix, MaxKeys=page_size, **more
                )
            self._bucket_seen = True
            for row in page.get("Contents", ()):
                if not row["Key"].startswith(base + prefix):
                    raise StorageError(
                        f"{self.place.url}: asked for {prefix}, the server lists {row['Key']!a}"
                    )
                name = row["Key"].removeprefix(base)
                # Others' files, such as the empty ones by which consoles show folders, have names that ours cannot have.
                if is_name(name):
                    yield StoredFile(name, row["Size"], _stamp(row["LastModified"]))
            if not page.get("IsTruncated"):
                return
            token = page.get("NextContinuationToken")
            if not token or token in seen:
                raise StorageError(
                    f"{self.place.url}: the server's listing of {prefix} breaks off or repeats itself"
                )
            seen.add(token)
            more = {"ContinuationToken": token}

    def write(self, name: str, data: bytes) -> bool:
        check_name(name)
        for _ in range(_ATTEMPTS):
            if self._put_new(name, data):
                self._verify(name, data)
                return True
            try:
                stored = self.head(name).size
            except StoredFileNotFound:
                # Another writer was at it, or it was deleted in between.
                continue
            if stored == len(data) and (self._check is not None or self._holds(name, data)):
                return False
            # The name is made of the content, so what is there is the remains of an accident.
            self._put_aside(name)
            self._put(name, data)
            self._verify(name, data)
            return True
        raise TransientError(f"{self.place.url}/{name}: other writers or deleters are at it again and again")

    def replace(self, name: str, data: bytes) -> None:
        check_name(name)
        for _ in range(_ATTEMPTS):
            self._put(name, data)
            if self.read(name) == data:
                return
        raise TransientError(f"{self.place.url}/{name}: what is read there is not what was just written")

    def delete(self, name: str) -> None:
        check_name(name)
        with s3_errors(self.place.url, name):
            try:
                answer = self._client().delete_object(**self._object(name))
            except self._refused() as error:
                if error_code(error) not in ("NoSuchKey", "404"):
                    raise
                return
        self._keeps_deleted = self._keeps_deleted or bool(answer.get("DeleteMarker"))

    def keeps_deleted(self) -> bool:
        return self._keeps_deleted

    def now(self) -> float:
        from email.utils import parsedate_to_datetime

        with s3_errors(self.place.url, _CLOCK_FILE):
            try:
                answer = self._client().head_object(**self._object(_CLOCK_FILE))
            except self._refused() as error:
                if error_code(error) != "404":
                    raise
                answer = getattr(error, "response", {})
        try:
            return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()
        except (KeyError, ValueError):
            raise StorageError(f"{self.describe()}: the server does not say what time it is") from None

    def refuses_damaged(self, name: str, data: bytes) -> bool:
        """Whether the server refuses ``data`` that is damaged on its way, by this backend's ``check``; for probes.

        Raises:
            StoredFileNotFound: it does not refuse and does not keep it either.
        """
        check_name(name)
        damaged = bytes([data[0] ^ 1]) + data[1:]
        body = ChangingBody(data, damaged) if self._check == "sha256" else damaged
        with s3_errors(self.place.url, name):
            try:
                self._client().put_object(**self._object(name), Body=body, **check_header(self._check, data))
            except self._refused() as error:
                if status_of(error) >= 500:
                    raise
                return True
        self.head(name)
        return False

    def close(self) -> None:
        while self._clients:
            pid, client = self._clients.popitem()
            # After a fork the connections belong to the parent.
            if pid == os.getpid():
                client.close()

    def __del__(self) -> None:
        self.close()

    def _client(self) -> Any:
        client = self._clients.get(os.getpid())
        if client is None:
            with self._making:
                client = self._clients.get(os.getpid())
                if client is None:
                    # Over plain HTTP the signature covers the body whatever else does.
                    sign = not (self._check == "xxh128" and self.place.is_encrypted)
                    client = self._clients[os.getpid()] = make_client(self.place, sign_payload=sign)
        return client

    def _refused(self) -> type[Exception]:
        from botocore.exceptions import ClientError

        refused: type[Exception] = ClientError
        return refused

    def _object(self, name: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": f"{self.place.prefix}/{name}".lstrip("/")}

    def _announced(self, name: str, answer: Any, start: int, length: int | None) -> int:
        """How many bytes follow. Raises StorageError where they are not those asked for."""
        follow = answer.get("ContentLength")
        if follow is None:
            # A connection that broke among the headers is taken for an answer that has no more of them.
            raise TransientError(f"{self.place.url}/{name}: the server does not say how many bytes it sends")
        if start == 0 and length in (None, follow) and "ContentRange" not in answer:
            return int(follow)
        sent, _, whole = str(answer.get("ContentRange", "")).removeprefix("bytes ").partition("/")
        first, _, last = sent.partition("-")
        if not (
            first.isdigit() and last.isdigit() and int(first) == start and int(last) - start + 1 == follow
        ):
            raise StorageError(f"{self.place.url}/{name}: the server gives other bytes than those asked for")
        if (length is not None and follow != length) or (length is None and whole != str(start + follow)):
            raise StorageError(f"{self.place.url}/{name} ends before the bytes that it must have")
        return int(follow)

    def _look_for_bucket(self) -> None:
        try:
            self._client().head_bucket(Bucket=self.place.bucket)
        except self._refused() as error:
            if error_code(error) in ("404", "NoSuchBucket"):
                raise StorageError(
                    f"{self.place.url}: the bucket does not exist",
                    "make it, for example with `aws s3 mb`, or correct the remote's URL",
                ) from None
        self._bucket_seen = True

    def _put_new(self, name: str, data: bytes) -> bool:
        """True if the file was written, False if the server says that there is one, or that another writer is at it."""
        if not self._conditional:
            try:
                self.head(name)
            except StoredFileNotFound:
                self._put(name, data)
                return True
            return False
        with s3_errors(self.place.url, name):
            try:
                self._send(name, data, IfNoneMatch="*")
            except self._refused() as error:
                code = error_code(error)
                if code in _NO_CONDITIONS:
                    self._conditional = False
                elif code not in _IS_THERE and code not in _ANOTHER_WRITER:
                    raise
                return False
        return True

    def _put(self, name: str, data: bytes) -> None:
        with s3_errors(self.place.url, name):
            self._send(name, data)

    def _send(self, name: str, data: bytes, **conditions: str) -> Any:
        body = body_of(data)
        try:
            answer = self._client().put_object(
                **self._object(name), Body=body, **check_header(self._check, data), **conditions
            )
        finally:
            if isinstance(body, Body):
                # botocore's requests refer to themselves: a pack would stay in memory until garbage is looked for.
                body.release()
        self._bucket_seen = True
        return answer

    def _verify(self, name: str, data: bytes) -> None:
        """Read back what was written, where nothing else tells. Raises TransientError after moving away what is wrong."""
        if self._check is None and not self._holds(name, data):
            self._put_aside(name)
            self.delete(name)
            raise TransientError(f"{self.place.url}/{name}: what is read there is not what was just written")

    def _holds(self, name: str, data: bytes) -> bool:
        """Whether the file is ``data``: read in pieces, so that a pack is not in memory twice."""
        starts = range(0, max(1, len(data)), _COMPARED_PIECE)
        return all(
            # The last one is read to the end, wherever that is.
            self.read(name, start, _COMPARED_PIECE if start != starts[-1] else None)
            == data[start : start + _COMPARED_PIECE]
            for start in starts
        )

    def _put_aside(self, name: str) -> None:
        """Keep a copy, under ``quarantine/``, of what stands under a name that it cannot have."""
        flat = f"quarantine/{name.replace('/', '-')}-{os.urandom(4).hex()}"
        with s3_errors(self.place.url, name):
            self._client().copy_object(**self._object(flat), CopySource=self._object(name))


def check_header(check: Check | None, data: bytes) -> dict[str, str]:
    """The parameter of ``put_object`` by which the server can tell that it received ``data``."""
    if check == "xxh128":
        import xxhash

        return {"ChecksumXXHASH128": base64.b64encode(xxhash.xxh3_128_digest(data)).decode()}
    if check == "md5":
        import hashlib

        return {"ContentMD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}
    return {}


def _rebuilt(place: S3Place, check: Check | None, conditional: bool) -> S3Backend:
    return S3Backend(place, check=check, conditional=conditional)


def _stamp(modified: datetime) -> float:
    """In whole seconds, as HEAD and the server's clock tell it; some servers, such as Ceph and MinIO, list milliseconds."""
    return float(int(modified.timestamp()))


def _range(start: int, length: int | None) -> str:
    return f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"


def _received(body: Any, length: int, thing: str) -> bytes:
    """Exactly ``length`` bytes. In pieces, which keeps the memory at little more than that; BytesIO gives them uncopied."""
    data = io.BytesIO()
    while (missing := length - data.tell()) and (piece := body.read(min(missing, _READ_PIECE))):
        data.write(piece)
    if missing:
        raise TransientError(f"{thing}: the connection ended {missing} bytes early")
    return data.getvalue()
