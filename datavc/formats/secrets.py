"""What nobody is to see: passwords in URLs, signatures, tokens, keys. The one place that knows how they look."""

from __future__ import annotations

import re

_HIDDEN = "***"
_NAMES = r"password|passwd|secret|token|access_key|accesskeyid|api_key|apikey|credential|signature"
_SECRET_NAME = re.compile(rf"(?i){_NAMES}")
# Up to the last "@" before the path: passwords have been seen with one in them.
_PASSWORD = re.compile(r"(?i)([a-z][a-z0-9+.-]*://[^/\s@:]*:)[^/\s]*(@)")
# On the web a user name alone is a token more often than not; elsewhere it is just a user.
_WEB_USER = re.compile(r"(?i)(https?://)[^/\s@:]+(@)")
_ASSIGNED = re.compile(rf"(?i)((?:\b[\w-]*(?:{_NAMES})[\w-]*|[?&;]sig)=)[^&\s,;'\"]+")


def redact(text: str) -> str:
    """``text`` as it may be shown and logged: passwords, signatures and tokens in it are replaced by ``***``."""
    if "=" not in text and "@" not in text:
        return text
    for pattern in (_PASSWORD, _WEB_USER):
        text = pattern.sub(rf"\1{_HIDDEN}\2", text)
    return _ASSIGNED.sub(rf"\1{_HIDDEN}", text)


def carries_secret(text: str) -> bool:
    """Whether something in ``text`` would not be shown."""
    return redact(text) != text


def names_secret(key: str) -> bool:
    """Whether a setting is called like a secret."""
    return _SECRET_NAME.search(key) is not None
