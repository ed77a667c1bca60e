"""Addresses of stores: what they mean, which are refused, and which nobody but the user may choose."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

from datavc.errors import UsageError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_UNPRINTABLE = re.compile(r"[\0-\x1f\x7f]")
_BRACKETED = re.compile(r"\[[0-9A-Fa-f:.%]*\]")
# Where clouds give machines their secrets, beside the link-local addresses.
_METADATA_HOSTS = {"metadata", "metadata.google.internal", "instance-data", "fd00:ec2::254"}
# Schemes of file systems that fsspec reaches, each with the package that it takes and our extra that brings it.
PACKAGES: Mapping[str, tuple[str, str]] = {
    "gs": ("gcsfs", "gcs"),
    "gcs": ("gcsfs", "gcs"),
    "az": ("adlfs", "azure"),
    "abfs": ("adlfs", "azure"),
    "abfss": ("adlfs", "azure"),
    "sftp": ("paramiko", "sftp"),
    "ssh": ("paramiko", "sftp"),
    "memory": ("fsspec", ""),
}
WEB = {"http", "https"}


def scheme_of(url: str) -> str:
    """The scheme in lower case; "" for a plain path."""
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""


def folder_of(url: str) -> Path:
    """The folder that a plain path or a ``file://`` URL means. Raises UsageError."""
    if not scheme_of(url):
        return Path(url).expanduser()
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(
            f"{url!r} is on another machine, which file:// cannot reach", "mount it, or use sftp://"
        )
    return Path(unquote(parts.path))


def check_url(url: str) -> str:
    """``url``, which must be one that ``open_backend`` could open.

    Raises:
        UsageError: it is malformed, of an unknown scheme, chained, or carries a password or a signature.
    """
    if not url or _UNPRINTABLE.search(url):
        raise UsageError(f"{url!r} is no address of a store")
    scheme = scheme_of(url)
    if scheme in ("", "file"):
        if _is_chained(url) and not scheme and "://" in url:
            raise UsageError(f"{url!r} chains file systems, which datavc does not follow")
        folder_of(url)
        return url
    known = {"s3", *WEB, *PACKAGES}
    if scheme not in known:
        raise UsageError(
            f"{url!r}: datavc knows no stores at {scheme}://", f"it knows folders, {', '.join(sorted(known))}"
        )
    if _is_chained(url):
        raise UsageError(f"{url!r} chains file systems, which datavc does not follow")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise UsageError(f"{url!r} is malformed") from None
    shown = f"{scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    if parts.password is not None or (parts.username and scheme not in ("sftp", "ssh", "abfs", "abfss")):
        raise UsageError(
            f"the URL {shown} carries credentials", "keep them where the service's own tools look for them"
        )
    if parts.query or parts.fragment:
        raise UsageError(f"the URL {shown} must have no query and no fragment")
    if scheme == "s3":
        from datavc.backends.s3_client import parse_place

        parse_place(url, {})
    elif not parts.hostname and scheme != "memory":
        raise UsageError(f"{url!r} names no host or bucket")
    return url


def is_remote_address_risky(url: str) -> str | None:
    """Why a clone should not contact the URL, or S3 endpoint, only because a committed file says so; None where it may."""
    scheme = scheme_of(url)
    if _is_chained(url) and "://" in url:
        return "it chains file systems"
    if scheme in ("ssh", "sftp"):
        return "it would log in to another machine with this user's keys"
    try:
        host = urlsplit(url).hostname if scheme else None
    except ValueError:
        return "it is malformed"
    if host and _is_link_local(host):
        return "it is an address at which machines keep secrets of their own (link-local or metadata)"
    return None


def _is_chained(url: str) -> bool:
    return "::" in _BRACKETED.sub("", url)


def _is_link_local(host: str) -> bool:
    host = unquote(host).rstrip(".").lower()
    if host in _METADATA_HOSTS:
        return True
    try:
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            # 169.254.43518, 0xa9fea9fe and 2852039166 are the same address to whoever connects.
            address = ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return False
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    return address.is_link_local
