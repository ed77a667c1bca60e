"""What nobody is to see: passwords in URLs, signatures, tokens, keys. The one place that knows how they look.

Patterns are compiled when they are needed: ``status`` reads every key of ``datavc.toml``, and has no millisecond to spare.
"""

from __future__ import annotations

import re

_HIDDEN = "***"
_NAMES = (
    "password",
    "passwd",
    "secret",
    "token",
    "access_key",
    "accesskeyid",
    "api_key",
    "apikey",
    "credential",
    "signature",
)
# Up to the last "@" before the path: passwords have been seen with one in them.
_PASSWORD = r"([a-z][a-z0-9+.-]*://[^/\s@:]*:)[^/\s]*(@)"
# On the web a user name alone is a token more often than not; elsewhere it is just a user.
_WEB_USER = r"(https?://)[^/\s@:]+(@)"
_ASSIGNED = rf"((?:\b[\w-]*(?:{'|'.join(_NAMES)})[\w-]*|[?&;]sig)=)[^&\s,;'\"]+()"


def redact(text: str) -> str:
    """``text`` as it may be shown and logged: passwords, signatures and tokens in it are replaced by ``***``."""
    if "=" not in text and "@" not in text:
        return text
    for pattern in (_PASSWORD, _WEB_USER, _ASSIGNED):
        text = re.sub(pattern, rf"\1{_HIDDEN}\2", text, flags=re.IGNORECASE)
    return text


def carries_secret(text: str) -> bool:
    """Whether something in ``text`` would not be shown."""
    return redact(text) != text


def names_secret(key: str) -> bool:
    """Whether a setting is called like a secret."""
    lower = key.lower()
    return any(name in lower for name in _NAMES)
