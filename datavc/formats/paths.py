"""Paths of user files: bytes inside, text at the edges, and a spelling for messages that hides nothing.

Which names a checkout may write is decided in ``datavc/workspace/safepath.py``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from datavc.errors import MalformedError


def show(path: bytes) -> str:
    r"""``path`` for people: printable text as it is, every byte of anything else as ``\xNN``, a backslash as ``\\``.

    No two paths look the same, and none can move the cursor, or turn the direction of the text.
    """
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_show_character, text))


def _show_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def show_some(paths: Sequence[bytes], limit: int = 10) -> str:
    """The first of ``paths`` for a message, and how many more there are."""
    shown = ", ".join(map(show, paths[:limit]))
    return f"{shown} and {len(paths) - limit} more" if len(paths) > limit else shown


def shell_word(path: bytes) -> str:
    """``path`` as a word that bash, zsh and fish take for exactly that path, whatever bytes are in it.

    ``./`` keeps a leading dash from being an option, and a leading colon from being git's pathspec magic.
    """
    if path.startswith((b"-", b":")):
        path = b"./" + path
    text = os.fsdecode(path)
    if text.isprintable():
        from shlex import quote

        return quote(text)
    return "$'" + "".join(map(_ansi_c, path)) + "'"


def _ansi_c(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b"\\'"
    return chr(byte) if plain else f"\\{byte:03o}"


def seen_from(here: bytes, top: bytes, path: bytes) -> bytes:
    """``path``, which is relative to the folder ``top``, as seen from the folder ``here``; both are absolute."""
    if here == top:  # The usual case, and relpath takes 10 microseconds for each of a million paths.
        return path or b"."
    return os.path.relpath(os.path.join(top, path), here)


def to_text(path: bytes) -> str:
    """``path`` as JSON and TOML keep it: bytes that are no UTF-8 become lone surrogates, whatever the locale."""
    return path.decode("utf-8", "surrogateescape")


def from_text(text: str) -> bytes:
    """The path that :func:`to_text` made ``text`` of.

    Raises:
        MalformedError: it makes that text of no path.
    """
    try:
        path = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        path = b""
    if to_text(path) != text:
        raise MalformedError(f"{text[:80]!a} is not the one spelling of any path")
    return path


def split(path: bytes) -> tuple[bytes, bytes]:
    """The folder that holds ``path``, empty at the top, and the last name."""
    folder, _, name = path.rpartition(b"/")
    return folder, name


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether ``path`` is ``folder`` or lies below it. Everything lies below the empty folder."""
    return not folder or path == folder or path.startswith(folder + b"/")


class SubPaths:
    """The paths that are meant, which a shell may have made of a pattern: thousands, asked about each of a million files.

    An answer takes as many steps as the path has names, however many they are.
    """

    def __init__(self, paths: Iterable[bytes]) -> None:
        self._paths = frozenset(paths)
        self._above: set[bytes] = set()
        for path in self._paths:
            while path:
                path = split(path)[0]
                if path in self._above:
                    break
                self._above.add(path)

    def hold(self, path: bytes) -> bool:
        """Whether ``path`` is inside of one of them."""
        while path not in self._paths:
            if not path:
                return False
            path = split(path)[0]
        return True

    def concern(self, path: bytes) -> bool:
        """Whether ``path`` is inside of one of them, or on the way to one."""
        return path in self._above or self.hold(path)
