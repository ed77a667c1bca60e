"""Leaving secrets out of what a record keeps: words of the command, URLs, logs, code.

Two ways: what looks like a secret, and what is known to be one, since the command line or the environment calls it so; of
the latter every occurrence goes. Code is held to the strict patterns alone, because ``token = read()`` is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import unquote

HIDDEN = "***"
_Kept = TypeVar("_Kept", str, bytes)
_LEAST = 6
"""Characters of a known secret: shorter ones stand in ordinary words."""
# One of these words in a name makes it a secret's; "tokens" and "tokenizer" are none, nor is any other key.
_WORDS = frozenset(
    """password passwords passwd passphrase pwd pass secret secrets token credential credentials signature sig auth
    authorization apikey accesskey accesskeyid privatekey sas jwt""".split()  # noqa: SIM905
)
_KEYS = frozenset(
    ["api", "access", "private", "account", "secret", "auth", "encryption", "ssh", "hf", "wandb"]
)
_SHAPES = (
    rb"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    rb"\bgh[pousr]_[A-Za-z0-9]{20,}",
    rb"\bgithub_pat_[A-Za-z0-9_]{20,}",
    rb"\bglpat-[A-Za-z0-9_-]{20,}",
    rb"\bhf_[A-Za-z0-9]{20,}",
    rb"\bsk-[A-Za-z0-9_-]{20,}",
    rb"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    rb"\bAIza[0-9A-Za-z_-]{35}",
    rb"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+",
    rb"(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----)",
)
_BEARER = re.compile(r"\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
# Up to the last "@" before the path: passwords have been seen with one in them.
_USERINFO = re.compile(r"((?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,20}://[^/\s@:]*:)([^/\s]*)@", re.IGNORECASE)
# On the web a user name alone is a token more often than not.
_WEB_USER = re.compile(r"((?<![a-z0-9+.-])https?://)([^/\s@:]+)@", re.IGNORECASE)
# Names begin where no letter stands before them: so a word of a million letters takes a million steps, not their square.
_NAME = re.compile(r"[\w.-]+")
_ASSIGNED = re.compile(r"(?<![\w.-])([\w.-]{1,100})=([^&\s,;'\"]+)")


class Redactor:
    """Knows the secrets of one run. ``count`` is how many pieces of text it changed."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        found: set[str] = set()
        for name, value in environment.items():
            if is_secret_name(name):
                found.add(value)
            found |= set(_inside(value))
        words = [part for word in argv for part in (word, *_shell_words(word))]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            name, equals, value = word.partition("=")
            if _NAME.fullmatch(name) and is_secret_name(name):
                found.add(value if equals else following if word.startswith("-") else "")
            found |= set(_inside(word))
        found |= {unquote(value) for value in found}
        self._known = sorted({value for value in found if _is_telling(value)}, key=len, reverse=True)
        self._strict = re.compile(b"|".join((*(re.escape(_raw(value)) for value in self._known), *_SHAPES)))
        self.count = 0

    def text(self, text: str) -> str:
        """A text of the record: a URL, a word, a value."""
        return self._counted(text, self._redact(text))

    def words(self, argv: Sequence[str]) -> list[str]:
        """The words of a command; the one behind ``--token`` goes wholly."""
        kept = []
        before = ""
        for word in argv:
            hides = before.startswith("-") and "=" not in before and is_secret_name(before.lstrip("-"))
            name, equals, _ = word.partition("=")
            if hides:
                clean = HIDDEN
            elif equals and _NAME.fullmatch(name) and is_secret_name(name):
                clean = f"{name}={HIDDEN}"
            else:
                clean = self._redact(word)
            kept.append(self._counted(word, clean))
            before = word
        return kept

    def log(self, content: bytes) -> bytes:
        """What a command wrote: any bytes."""
        clean = self._strict.sub(HIDDEN.encode(), content).decode("latin-1")
        if "=" in clean or "@" in clean or "earer" in clean or "asic" in clean:
            clean = "\n".join(_loose(line) for line in clean.split("\n"))
        return self._counted(content, clean.encode("latin-1"))

    def code(self, content: bytes) -> bytes:
        """A file of the code: what is known to be secret, or can be nothing else."""
        return self._counted(content, self._strict.sub(HIDDEN.encode(), content))

    def _redact(self, text: str) -> str:
        clean = self._strict.sub(HIDDEN.encode(), _raw(text)).decode("utf-8", "surrogateescape")
        return _loose(clean)

    def _counted(self, before: _Kept, after: _Kept) -> _Kept:
        self.count += before != after
        return after


def is_secret_name(name: str) -> bool:
    """Whether an option or a variable is called like a secret."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    if not _WORDS.isdisjoint(words):
        return True
    return words[-1:] == ["key"] and (name.isupper() or not _KEYS.isdisjoint(words))


def _loose(text: str) -> str:
    """Without what an URL, a header or an assignment shows to be a secret."""
    if "@" in text:
        text = _USERINFO.sub(rf"\1{HIDDEN}@", text)
        text = _WEB_USER.sub(rf"\1{HIDDEN}@", text)
    if "=" in text:
        text = _ASSIGNED.sub(
            lambda found: f"{found[1]}={HIDDEN}" if is_secret_name(found[1]) else found[0], text
        )
    return _BEARER.sub(rf"\1\2{HIDDEN}", text)


def _shell_words(word: str) -> list[str]:
    """The words of a command line that is one word of ours, as with ``--shell`` and ``sh -c``."""
    import shlex

    if " " not in word:
        return []
    try:
        return shlex.split(word)
    except ValueError:
        return word.split()


def _inside(text: str) -> list[str]:
    """The secrets that stand in a URL or an assignment."""
    found = [match[2] for pattern in (_USERINFO, _WEB_USER) for match in pattern.finditer(text)]
    found += [match[2] for match in _ASSIGNED.finditer(text) if is_secret_name(match[1])]
    found += [match[0].split()[1] for match in _BEARER.finditer(text)]
    return found


def _is_telling(value: str) -> bool:
    return len(value) >= _LEAST and not value.startswith("/") and not value.isdigit() and HIDDEN not in value


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
