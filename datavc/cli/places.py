"""Addresses of stores as users type them, and as they are shown."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from datavc.backends.addresses import scheme_of
from datavc.cli.session import current
from datavc.cli.terminal import printable

if TYPE_CHECKING:
    from datavc.repo import Repo


def address(repo: Repo, url: str) -> str:
    """``url`` as the configuration keeps it: a relative folder is typed as seen from here, and kept as seen from the root."""
    return os.path.relpath(current().folder / url, repo.root) if _is_relative(url) else url


def address_from_here(url: str) -> str:
    """``url``, where it is a relative folder made absolute, as seen from here."""
    return os.path.normpath(current().folder / url) if _is_relative(url) else url


def _is_relative(url: str) -> bool:
    return bool(url) and not scheme_of(url) and "::" not in url and not url.startswith(("/", "~"))


def s3_settings(
    endpoint: str | None,
    region: str | None,
    profile: str | None,
    path_style: str | None,
    *,
    anonymous: bool = False,
) -> dict[str, str]:
    """The settings of an S3 remote that were given."""
    given = {"endpoint": endpoint, "region": region, "profile": profile, "path_style": path_style}
    settings = {key: value for key, value in given.items() if value}
    if anonymous:
        settings["anonymous"] = "true"
    return settings


def show_address(url: str) -> str:
    """A URL for people: nothing secret in it, and nothing that a terminal would obey."""
    return printable(url)
