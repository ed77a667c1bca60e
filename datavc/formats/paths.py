"""Paths of user files: bytes inside, text at the edges, and a spelling for messages that hides nothing."""

from __future__ import annotations

import os


def show(path: bytes) -> str:
    r"""``path`` for people: printable text as it is, everything else as ``\xNN``, a backslash as ``\\``."""
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    shown = []
    for character in text:
        if character == "\\":
            shown.append("\\\\")
        elif character.isprintable():
            shown.append(character)
        else:
            shown.extend(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
    return "".join(shown)


def to_text(path: bytes) -> str:
    """``path`` as str, undecodable bytes as lone surrogates: the inverse of :func:`from_text`."""
    return path.decode("utf-8", "surrogateescape")


def from_text(text: str) -> bytes:
    """The bytes that :func:`to_text` turned into ``text``."""
    return text.encode("utf-8", "surrogateescape")


def is_inside(path: bytes, folder: bytes) -> bool:
    """Whether ``path`` is ``folder`` or lies below it; the empty folder holds everything."""
    return not folder or path == folder or path.startswith(folder + b"/")


def split(path: bytes) -> tuple[bytes, bytes]:
    """The folder that holds ``path`` (empty at the top), and its last name."""
    return os.path.split(path)
