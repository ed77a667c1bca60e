"""From the address of a store to its backend: folders, S3, and through fsspec the rest. Each is imported only when opened."""

from __future__ import annotations

from collections.abc import Mapping

from datavc.backends.addresses import WEB, check_url, folder_of, is_remote_address_risky, scheme_of
from datavc.backends.base import Backend
from datavc.backends.findings import Findings
from datavc.backends.folder import FolderBackend
from datavc.errors import UsageError

__all__ = ["check_url", "is_remote_address_risky", "open_backend"]


def open_backend(
    url: str,
    settings: Mapping[str, str] | None = None,
    *,
    create: bool = False,
    read_only: bool = False,
    findings: Findings | None = None,
) -> Backend:
    """The backend at ``url``: a path or ``file://``, ``s3://BUCKET/FOLDER``, or a scheme of ``addresses.PACKAGES``.

    ``settings`` are those of the remote: S3 has endpoint, region, profile, path_style and anonymous. With ``create`` a
    local folder that is missing is made; elsewhere folders are made when something is written. ``findings`` of an earlier
    probe say what an S3 server can be relied on for. What is far away comes wrapped in a RetryingBackend.

    Raises:
        UsageError: the URL or a setting is malformed.
        NotFoundError: there is no such folder.
        StorageError: a package is missing; the hint names what to install.
    """
    check_url(url)
    settings = settings or {}
    scheme = scheme_of(url)
    backend: Backend
    if scheme in ("", "file"):
        if settings:
            raise UsageError(f"a folder has no settings, so not {sorted(settings)[0]!r}")
        backend = FolderBackend(folder_of(url), create=create)
    else:
        from datavc.backends.retrying import RetryingBackend

        backend = RetryingBackend(_open_far(scheme, url, settings, findings))
    if read_only or scheme in WEB:
        from datavc.backends.readonly import ReadOnlyBackend

        backend = ReadOnlyBackend(backend)
    return backend


def _open_far(scheme: str, url: str, settings: Mapping[str, str], findings: Findings | None) -> Backend:
    if scheme == "s3":
        from datavc.backends.s3 import S3Backend
        from datavc.backends.s3_client import parse_place

        place = parse_place(url, settings)
        if findings is None:
            return S3Backend(place)
        return S3Backend(place, check=findings.check, conditional=findings.refuses_overwrite)
    if settings:
        raise UsageError(f"a remote at {scheme}:// has no settings, so not {sorted(settings)[0]!r}")
    if scheme in WEB:
        from datavc.backends.web import WebBackend

        return WebBackend(url)
    from datavc.backends.via_fsspec import FsspecBackend

    return FsspecBackend.at(url)
