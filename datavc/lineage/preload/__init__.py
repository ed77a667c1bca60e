"""The preload library's side of datavc: whether it can be used, the log that it writes into, and what is in that.

The library is ``preload.c``, which says how it works; it is there where a C compiler was when datavc was installed, or in
wheels for Linux.
"""

from __future__ import annotations

import sys
from pathlib import Path

LIBRARY = Path(__file__).parent / "preload.so"
PRELOAD_VARIABLE = "LD_PRELOAD"
_NAME = "preload-"
# As in preload.c: a header, in the first file a table, then events.
_HEADER, _SIZE = 64, 1 << 20
_WORD = 8
_LOST_AT = 3 * _WORD
_SLASH = ord("/")
# Of an ELF file: the magic, its class and byte order; and the machine.
_KIND = (slice(0, 6), slice(18, 20))
# What the dynamic linker takes for the end of a name, or replaces in it.
_UNFIT = (":", " ", "$")


def usable_library() -> Path | None:
    """The library, where it was built for what runs here."""
    if sys.platform != "linux" or any(sign in str(LIBRARY) for sign in _UNFIT):
        return None
    try:
        ours, python = _kind(LIBRARY), _kind(Path("/proc/self/exe"))
    except OSError:
        return None
    return LIBRARY if ours == python else None


def library_for(log: Path) -> Path | None:
    """The library, where it can be used, with the log that it needs in the folder ``log``."""
    library = usable_library()
    if library is not None:
        try:
            prepare_log(log)
        except OSError:
            return None
    return library


def prepare_log(log: Path) -> None:
    """Make the first file of the log, in the folder ``log``. Raises OSError."""
    start = _HEADER + _SIZE
    head = b"".join(word.to_bytes(_WORD, sys.byteorder) for word in (start, 2 * _SIZE, 0, 0))
    (log / f"{_NAME}0").write_bytes(head.ljust(2 * _SIZE, b"\0"))


def preloaded(before: str | None, library: Path) -> str:
    """The value of LD_PRELOAD with the ``library`` behind what was there ``before``: some libraries must be the first."""
    words = (before or "").replace(":", " ").split()
    return ":".join([*(word for word in words if word != str(library)), str(library)])


def is_log(file: Path) -> bool:
    """Whether a file of the log is one of the library's."""
    return file.name.startswith(_NAME)


def read_events(file: Path) -> list[bytes]:
    """The events in a file of the log, each a letter and a text."""
    content = file.read_bytes()
    end = int.from_bytes(content[:_WORD], sys.byteorder)
    start = _HEADER + _SIZE if file.name == f"{_NAME}0" else _HEADER
    # One that was cut short begins with its path.
    return [event for event in split_events(content[start:end]) if event[0] != _SLASH]


def split_events(content: bytes) -> list[bytes]:
    """What stands between the zeros, of which there may be millions: all of a file is there before it is written."""
    return [event for event in content.rstrip(b"\0").split(b"\0") if event]


def lost_events(log: Path) -> int:
    """How many events could not be noted: the disk was full, or a folder had no name."""
    try:
        with open(log / f"{_NAME}0", "rb") as file:
            file.seek(_LOST_AT)
            return int.from_bytes(file.read(_WORD), sys.byteorder)
    except FileNotFoundError:
        return 0


def _kind(file: Path) -> list[bytes]:
    with open(file, "rb") as opened:
        head = opened.read(20)
    return [head[part] for part in _KIND]
