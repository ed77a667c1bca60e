"""Amounts as people read them, in messages of every layer."""

from __future__ import annotations

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def human_size(size: int) -> str:
    """``size`` bytes in the largest unit that leaves at least 1: ``1.5 MiB``."""
    if size < 1024:
        return f"{size} B"
    value = float(size)
    for unit in _UNITS:
        value /= 1024
        # 1023.95 would print as 1024.0.
        if value < 1023.95 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit}"
    raise AssertionError("unreachable")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """``1 file``, ``12,345 files``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def files_and_bytes(files: int, size: int) -> str:
    """``12 files, 1.5 MiB``."""
    return f"{count(files, 'file')}, {human_size(size)}"
