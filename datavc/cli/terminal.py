"""What a terminal is shown: colour where it is wanted, and text that cannot play tricks on it.

Light enough for error messages and ``--help``; tables, sizes and JSON are in :mod:`datavc.cli.render`.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def wants_colour(stream: TextIO, choice: str) -> bool:
    """Whether to colour what goes to ``stream``, given ``--color``: a terminal, and NO_COLOR is not set."""
    if choice != "auto":
        return choice == "always"
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody watches ``stream``; a closed or missing one counts as no."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False


def paint(text: str, style: str, *, colour: bool) -> str:
    """``text`` in one of the few styles, if ``colour``."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if colour and text else text


def printable(text: str) -> str:
    """``text`` with what a terminal would obey, or cannot show, escaped, and no secrets in it; line ends stay."""
    text = _without_secrets(text)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def say(text: str) -> None:
    """Print one line of talk, in which secrets are left out, to standard error; without one, to nobody."""
    if sys.stderr is not None:
        print(_without_secrets(text), file=sys.stderr, flush=True)


def _without_secrets(text: str) -> str:
    if "=" not in text and "@" not in text:
        return text
    from datavc.formats.secrets import redact

    return redact(text)
