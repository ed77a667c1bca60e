"""Leaving secrets out of what a record keeps: words of the command, URLs, logs, code.

Two ways: what looks like a secret or is called one (:mod:`datavc.formats.secrets`), and what is known to be one, since the
command line, the environment or a parameter calls it so; of the latter every occurrence goes. In code, what a name says
counts only where a literal stands behind it, because ``token = read()`` is no secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote, unquote

from datavc.formats.secrets import (
    HIDDEN,
    may_name_secret,
    names_secret,
    redact_named,
    redact_shapes,
    secrets_named,
)

_Kept = TypeVar("_Kept", str, bytes)
_LEAST = 6
"""Characters of a known secret: shorter ones stand in ordinary words."""
_NAME = re.compile(r"[\w.-]+")
# In code: a name, and behind it a quoted text without space; or, as in a shell's or a .env file, a line NAME=value.
_LITERAL = re.compile(
    rb"""(?<![\w.-])([A-Za-z_][\w.-]{0,100})(\\?["']?\]?[ \t]{0,3}[:=][ \t]{0,3}\\?["'])"""
    rb"""([^\s"'\\<>{}$()\[\]%]{8,500})(?=\\?["'])"""
    rb"""|^(?:export )?([A-Z][A-Z0-9_]{0,100})(=)([^\s"'<>{}$()\[\]%#]{8,500})(?=\s|$)"""
)
_SETTINGS = (b".toml", b".json", b".yaml", b".yml", b".ini", b".cfg", b".conf", b".env", b".properties")
"""Names of files that have values, and no code that would come by them."""
# HTTP's name and password, for curl and its like.
_USER_OPTIONS = frozenset(("-u", "--user", "--proxy-user", "-U"))


class Redactor:
    """Knows the secrets of one run. ``count`` is how many pieces of text it changed."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        found: set[str] = set()
        for name, value in environment.items():
            if names_secret(name):
                found.add(value)
            found |= set(secrets_named(value))
        words = [part for word in argv for part in (word, *_shell_words(word))]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            name, equals, value = word.partition("=")
            if _NAME.fullmatch(name) and names_secret(name):
                found.add(value if equals else following if word.startswith("-") else "")
            if word in _USER_OPTIONS:
                found.add(following.partition(":")[2])
            found |= set(secrets_named(word))
        self._known: set[str] = set()
        self.count = 0
        self.learn(found)

    def learn(self, secrets: Iterable[str]) -> None:
        """Leave these out, too, wherever they stand."""
        told = {value for value in secrets if _is_telling(value)}
        self._known |= told | {form for value in told for form in (quote(value, safe=""), unquote(value))}
        # The longer first: one may stand in another.
        self._telling = sorted(map(_raw, filter(_is_telling, self._known)), key=len, reverse=True)

    def learn_values(self, values: Any, is_secret: bool = False) -> None:
        """Learn the texts in ``values`` that are called like a secret, as ``db.password`` in a table ``db``."""
        if isinstance(values, dict):
            for name, inner in values.items():
                self.learn_values(inner, is_secret or names_secret(str(name)))
        elif isinstance(values, list | tuple):
            for inner in values:
                self.learn_values(inner, is_secret)
        elif isinstance(values, str):
            self.learn([values] if is_secret else secrets_named(values))

    def text(self, text: str) -> str:
        """A text of the record: a URL, a word, a value."""
        return self._counted(text, self._redact(text))

    def values(self, value: Any, is_secret: bool = False) -> Any:
        """Values without secrets: by their names, and by their looks."""
        if isinstance(value, dict):
            return {
                str(name): self.values(inner, is_secret or names_secret(str(name)))
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.values(inner, is_secret) for inner in value]
        if isinstance(value, str):
            return self._counted(value, HIDDEN) if is_secret and value else self.text(value)
        return value

    def texts(self, value: Any) -> Any:
        """Values without what looks like a secret; their names say nothing, since packages are called ``google-auth``."""
        if isinstance(value, dict):
            return {str(name): self.texts(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.texts(inner) for inner in value]
        return self.text(value) if isinstance(value, str) else value

    def words(self, argv: Sequence[str]) -> list[str]:
        """The words of a command; the one behind ``--token`` goes wholly."""
        kept = []
        before = ""
        for word in argv:
            hides = before.startswith("-") and "=" not in before and names_secret(before.lstrip("-"))
            name, equals, _ = word.partition("=")
            if hides:
                clean = HIDDEN
            elif equals and _NAME.fullmatch(name) and names_secret(name):
                clean = f"{name}={HIDDEN}"
            elif before in _USER_OPTIONS and ":" in word and not word.replace(":", "").isdigit():
                clean = f"{word.partition(':')[0]}:{HIDDEN}"
            else:
                clean = self._redact(word)
            kept.append(self._counted(word, clean))
            before = word
        return kept

    def log(self, content: bytes) -> bytes:
        """What a command wrote: any bytes."""
        clean = self._strict(content).decode("latin-1")
        if may_name_secret(clean):
            clean = "\n".join(map(redact_named, clean.split("\n")))
        return self._counted(content, clean.encode("latin-1"))

    def code(self, content: bytes, path: bytes = b"") -> bytes:
        """A file of the code: what is known to be secret, can be nothing else, or is a literal that is called one."""
        clean = self._strict(content)
        if may_name_secret(clean.decode("latin-1")):
            line = _settings_line if path.endswith(_SETTINGS) else _code_line
            clean = b"\n".join(map(line, clean.split(b"\n")))
        return self._counted(content, clean)

    def _strict(self, content: bytes) -> bytes:
        for value in self._telling:
            content = content.replace(value, HIDDEN.encode())
        return redact_shapes(content)

    def _redact(self, text: str) -> str:
        return redact_named(self._strict(_raw(text)).decode("utf-8", "surrogateescape"))

    def _counted(self, before: _Kept, after: _Kept) -> _Kept:
        self.count += before != after
        return after


def _settings_line(line: bytes) -> bytes:
    return redact_named(line.decode("latin-1")).encode("latin-1")


def _code_line(line: bytes) -> bytes:
    return _LITERAL.sub(_without_literal, line) if may_name_secret(line.decode("latin-1")) else line


def _without_literal(found: re.Match[bytes]) -> bytes:
    name, value = (found[group] or found[group + 3] for group in (1, 3))
    if not names_secret(name.decode("latin-1")) or not _is_random(value):
        return found[0]
    return found[0][: -len(value)] + HIDDEN.encode()


def _is_random(value: bytes) -> bool:
    """Whether a literal looks drawn, not written: with digits among letters, and no path or address."""
    has_both = any(48 <= c < 58 for c in value) and any(chr(c).isalpha() for c in value)
    return has_both and not value.startswith((b"/", b".", b"http")) and HIDDEN.encode() not in value


def _shell_words(word: str) -> list[str]:
    """The words of a command line that is one word of ours, as with ``--shell`` and ``sh -c``."""
    import shlex

    if " " not in word:
        return []
    try:
        return shlex.split(word)
    except ValueError:
        return word.split()


def _is_telling(value: str) -> bool:
    return len(value) >= _LEAST and not value.startswith("/") and not value.isdigit() and HIDDEN not in value


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
