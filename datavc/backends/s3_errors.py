"""Every way in which S3 says no, as one of our errors: a sentence with the place, the name and the cause, and what to do.

Errors that may pass are TransientError, which ``RetryingBackend`` tries again. No message carries a header, a signed URL or
a key: what botocore says is looked at, never passed on.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from datavc.errors import (
    DatavcError,
    OutOfSpace,
    StorageError,
    StoredFileNotFound,
    TransientError,
    UsageError,
)

_NEW_CREDENTIALS = "log in again, for example with `aws sso login`, or get new session credentials"
_NO_CREDENTIALS = "run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile"
_WRONG_KEYS = "check the access key and the secret key, and that they belong to this endpoint"
_LATER = "check the network and the endpoint, then run the same command again: what is done stays done"
_LATER_OR_TLS = "check the network and the endpoint (https:// where the server speaks TLS), then run the same command again"
_PERMISSIONS = (
    "the credentials in use need s3:GetObject, s3:ListBucket, and to push s3:PutObject and s3:DeleteObject"
)
_NOT_S3 = (
    "check that the endpoint is the address of the S3 service itself and not of its web console, "
    "and begins with https:// where that speaks TLS"
)

# What the server calls it, what we say of it ({thing} is the place and name) and what to do.
_REFUSALS: dict[str, tuple[type[DatavcError], str, str | None]] = {
    **dict.fromkeys(
        ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"),
        (StorageError, "{thing}: the session credentials have expired", _NEW_CREDENTIALS),
    ),
    **dict.fromkeys(
        ("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidSecurity", "UnrecognizedClientException"),
        (StorageError, "{thing}: the server does not accept the credentials ({code})", _WRONG_KEYS),
    ),
    "RequestTimeTooSkewed": (
        StorageError,
        "{thing}: the clock of this machine and that of the server differ too much",
        "set the clock of this machine (it says {now} UTC, the server {server_time})",
    ),
    **dict.fromkeys(
        ("AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "301", "307"),
        (
            StorageError,
            "{thing}: the bucket is in another region than the one asked",
            "set the remote's region to {region}",
        ),
    ),
    **dict.fromkeys(
        ("IllegalLocationConstraintException", "IncorrectEndpoint"),
        (
            StorageError,
            "{thing}: the bucket is not served by this endpoint",
            "set the remote's region or endpoint to the bucket's",
        ),
    ),
    "NoSuchBucket": (
        StorageError,
        "{place}: the bucket does not exist",
        "make it, for example with `aws s3 mb`, or correct the remote's URL",
    ),
    "InvalidBucketName": (StorageError, "{place}: this is no name for a bucket", "correct the remote's URL"),
    **dict.fromkeys(("NoSuchKey", "404"), (StoredFileNotFound, "{thing} does not exist", None)),
    **dict.fromkeys(
        ("AccessDenied", "Forbidden", "AllAccessDisabled", "AccountProblem", "403", "401", "Unauthorized"),
        (
            StorageError,
            "{thing}: access is denied, or the name is not there and may not be looked for",
            _PERMISSIONS,
        ),
    ),
    **dict.fromkeys(
        ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"),
        (
            OutOfSpace,
            "{thing}: the server has no space left for it",
            "free some space there or raise the quota",
        ),
    ),
    "InvalidObjectState": (
        StorageError,
        "{thing} is archived and must be restored before it can be read",
        "restore it, for example with `aws s3api restore-object`, and exempt the store from archiving rules",
    ),
    "InvalidRange": (StorageError, "{thing} ends before the bytes that it must have", None),
    "EntityTooLarge": (StorageError, "{thing}: the server takes no file of this size", None),
    **dict.fromkeys(
        (
            "BadDigest",
            "InvalidDigest",
            "XAmzContentSHA256Mismatch",
            "XAmzContentChecksumMismatch",
            "IncompleteBody",
        ),
        (TransientError, "{thing}: what arrived was not what was sent ({code})", _LATER),
    ),
    **dict.fromkeys(
        ("ConditionalRequestConflict", "OperationAborted", "409"),
        (TransientError, "{thing}: another writer is at it ({code})", _LATER),
    ),
}
_OVERLOADED = {
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "ServiceUnavailable",
    "InternalError",
    "InternalFailure",
    "RequestTimeout",
    "RequestTimeoutException",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "TooManyRequests",
    "BandwidthLimitExceeded",
    "ServerBusy",
}


class s3_errors:
    """Turn what botocore raises into ours, naming the ``place`` and, where it is about a file, its ``name``.

    No generator, whose frames would keep the error and whatever the calling frames hold, such as the bytes of a pack, in
    memory until garbage is looked for (Python 3.13).

    Raises:
        StoredFileNotFound: there is no such key.
        TransientError: it may pass.
        OutOfSpace: the server is full.
        UsageError: the profile or the endpoint makes no sense.
        StorageError: anything else.
    """

    def __init__(self, place: str, name: str | None = None) -> None:
        self._place = place
        self._name = name

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, DatavcError):
            return
        place = self._place
        ours = _translated(error, place, place if self._name is None else f"{place}/{self._name}")
        if ours is None:
            return
        try:
            raise ours from error
        finally:
            # Its traceback has this frame.
            del ours, error, trace


def error_code(error: Exception) -> str:
    """What the server calls the error, such as ``NoSuchKey``; a bare status where it says no more."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(
        response.get("Error", {}).get("Code")
        or response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
    )


def status_of(error: Exception) -> int:
    """The HTTP status of the answer; 0 where there was none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _translated(error: Exception, place: str, thing: str) -> DatavcError | None:
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    if isinstance(error, ClientError):
        return _refusal(error.response, place, thing, error_code(error))
    if isinstance(error, ResponseParserError):
        return StorageError(f"{thing}: the server answers something that is not S3's", _NOT_S3)
    if isinstance(error, BotoCoreError):
        return _failure(error, place, thing)
    if isinstance(error, ValueError) and "endpoint" in str(error).lower():
        return UsageError(f"{place}: the endpoint is no URL of a server", "write it as https://HOST:PORT")
    if isinstance(error, (HTTPError, OSError)):
        return TransientError(f"{thing}: the connection was lost ({type(error).__name__})", _LATER)
    return None


def _refusal(response: Any, place: str, thing: str, code: str) -> DatavcError:
    """What the server itself answered."""
    about = response.get("ResponseMetadata", {})
    status = about.get("HTTPStatusCode", 0)
    headers = about.get("HTTPHeaders", {})
    known = _REFUSALS.get(code) or _REFUSALS.get(str(status))
    if code in _OVERLOADED or (known is None and (status >= 500 or status in (408, 429)) and status != 501):
        return TransientError(f"{thing}: the server is overloaded or failing ({code})", _LATER)
    if known is None and code == str(status):
        # It gives no code of S3's: whatever answers there may be something else.
        return StorageError(f"{thing}: the server refuses the request (status {status})", _NOT_S3)
    if known is None:
        return StorageError(f"{thing}: the server refuses the request ({_plain(code)}, status {status})")
    kind, sentence, hint = known
    details = response.get("Error", {})
    words = {
        "place": place,
        "thing": thing,
        "code": _plain(code),
        "region": _plain(details.get("Region") or headers.get("x-amz-bucket-region") or "the bucket's"),
        "server_time": _plain(details.get("ServerTime") or headers.get("date") or "otherwise"),
        "now": _now(),
    }
    return kind(sentence.format(**words), hint and hint.format(**words))


def _failure(error: Exception, place: str, thing: str) -> DatavcError:
    """What went wrong before there was an answer, or while it was read."""
    from botocore import exceptions as known

    server = _server_of(error, place)
    if isinstance(
        error, (known.UnauthorizedSSOTokenError, known.SSOTokenLoadError, known.TokenRetrievalError)
    ):
        return StorageError(f"{thing}: the single sign-on session has expired", _NEW_CREDENTIALS)
    if isinstance(
        error, (known.NoCredentialsError, known.PartialCredentialsError, known.CredentialRetrievalError)
    ):
        return StorageError(f"{thing}: no credentials were found for it", _NO_CREDENTIALS)
    if isinstance(error, known.ProfileNotFound):
        return UsageError(
            f"{place}: the profile named for it is not in the AWS configuration", _NO_CREDENTIALS
        )
    if isinstance(error, known.SSLError) and "CERTIFICATE" in str(error).upper():
        return StorageError(
            f"{thing}: the certificate of {server} is not trusted",
            "check the endpoint; where the server has a certificate authority of its own, set AWS_CA_BUNDLE to its file",
        )
    if isinstance(error, known.SSLError) and "WRONG_VERSION" in str(error).upper():
        return StorageError(
            f"{thing}: {server} does not speak TLS", "write the endpoint with http:// or correct its port"
        )
    if isinstance(
        error, (known.ConnectTimeoutError, known.EndpointConnectionError, known.ProxyConnectionError)
    ):
        return TransientError(f"{thing}: {server} cannot be reached", _LATER)
    if isinstance(error, known.ReadTimeoutError):
        return TransientError(f"{thing}: {server} has not answered in time", _LATER)
    if isinstance(error, (known.HTTPClientError, known.ConnectionError, known.IncompleteReadError)):
        # An SSLError of another kind is one of these: a connection that was cut. Ceph, for one, hangs up on plain HTTP.
        is_plain = str(getattr(error, "kwargs", {}).get("endpoint_url")).startswith("http:")
        hint = _LATER_OR_TLS if is_plain else _LATER
        return TransientError(f"{thing}: the connection to {server} was lost", hint)
    if isinstance(error, (known.NoRegionError, known.InvalidRegionError)):
        return UsageError(f"{place}: it takes a region to reach it", "set the remote's region")
    return StorageError(f"{thing}: the request could not be made ({type(error).__name__})")


def _server_of(error: Exception, place: str) -> str:
    """The host in botocore's error: of its URL no more than that."""
    from urllib.parse import urlsplit

    url = str(getattr(error, "kwargs", {}).get("endpoint_url") or "")
    with contextlib.suppress(ValueError):
        if netloc := urlsplit(url).netloc.rpartition("@")[2]:
            return netloc
    return f"the server of {place}"


def _plain(text: object) -> str:
    """What a server says, cut short and without what could move a terminal's cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text))[:80]


def _now() -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
