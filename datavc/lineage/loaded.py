"""Modules of this process whose file is another by now: what runs is what was loaded, and not what is on the disk."""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_MTIME_FLAGS = b"\0\0\0\0"
# By name: what a module was loaded by (a reload takes a new one), and its file's seconds and size then.
_seen: dict[str, tuple[ModuleSpec | None, tuple[int, int]]] = {}


def stale_modules(root: bytes) -> list[bytes]:
    """The files below ``root``, which is a real path, that changed since they were loaded, relative to it.

    When a module was loaded is known by what Python compiled then; of the script itself, by when the process began.
    """
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        real = os.path.realpath(os.fsencode(file))
        if not real.startswith(root + b"/"):
            continue
        try:
            seen = os.stat(real)
        except OSError:
            found.append(real[len(root) + 1 :])
            continue
        now = int(seen.st_mtime), seen.st_size
        if now != _loaded(name, module, now):
            found.append(real[len(root) + 1 :])
    return sorted(set(found))


def _loaded(name: str, module: ModuleType, now: tuple[int, int]) -> tuple[int, int]:
    spec = module.__spec__
    before = _seen.get(name)
    if before is None or before[0] is not spec:
        stamp = _compiled(spec) if spec is not None else _of_script(now)
        before = _seen[name] = spec, stamp or now
    return before[1]


def _compiled(spec: ModuleSpec) -> tuple[int, int] | None:
    """Out of what Python keeps beside a module's file, where it does."""
    if spec.cached is None or sys.dont_write_bytecode:
        return None
    try:
        with open(spec.cached, "rb") as file:
            head = file.read(16)
    except OSError:
        return None
    if len(head) < 16 or head[4:8] != _MTIME_FLAGS:
        return None
    return int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")


def _of_script(now: tuple[int, int]) -> tuple[int, int] | None:
    began = _process_start()
    return (0, 0) if began is not None and now[0] > began else None


def _process_start() -> float | None:
    """When this process began, in seconds since 1970; None where the system does not say."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError, AttributeError):
        return None
