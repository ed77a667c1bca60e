"""Points in time, as every note, root and answer writes them: RFC 3339 in UTC, in whole seconds."""

from __future__ import annotations

import time


def utc_text(seconds: float | None = None) -> str:
    """``2026-01-31T12:00:00Z``: so many ``seconds`` after 1970 began, or now by this machine's clock."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
