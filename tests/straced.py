"""Faults at the n-th true system call of a command, by strace's injection; C code, threads and child processes included.

What a call would have done is not done: strace kills before the call, or lets it fail at once. Calls are counted by thread
and by name, so a point is a name with a number, and is reached in the first thread that comes so far. A run is recorded
first, so that only calls that change files are points, and not each of the thousand files that Python opens for reading.

strace cannot make a write short: an injected return value skips the write, which is a disk that lies. Short writes are in
``sweeps.py``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from projects import Project
from sweeps import says_what_next

_BY_DESCRIPTOR = (
    "write",
    "pwrite64",
    "writev",
    "copy_file_range",
    "sendfile",
    "ftruncate",
    "fchmod",
    "fchown",
    "ioctl",
)
_ALWAYS = (
    *(
        "rename",
        "renameat",
        "renameat2",
        "link",
        "linkat",
        "symlink",
        "symlinkat",
        "unlink",
        "unlinkat",
        "rmdir",
    ),
    *(
        "mkdir",
        "mkdirat",
        "truncate",
        "chmod",
        "fchmodat",
        "fsync",
        "fdatasync",
        "syncfs",
        "utimensat",
        "fallocate",
    ),
)
_TRACED = ("open", "openat", "creat", *_BY_DESCRIPTOR, *_ALWAYS)
_CALL = re.compile(r"^(?P<thread>\d+)\s+(?P<name>\w+)\((?P<rest>.*)")
_FILE = re.compile(r"\d+<(?P<path>/[^>]*)>")
_SECONDS = 120


class Point(NamedTuple):
    """The ``number``-th call of that name in a thread."""

    call: str
    number: int


def need_strace(tmp_path: Path) -> None:
    """Skip the test, with the reason, where strace is absent or may not trace."""
    if shutil.which("strace") is None:
        pytest.skip("no strace here: apt-get install strace")
    tried = subprocess.run(
        ["strace", "-f", "-o", str(tmp_path / "tried"), "true"], capture_output=True, text=True
    )
    if tried.returncode:
        pytest.skip(f"strace cannot trace here: {tried.stderr.strip()}")


def changes(project: Project, arguments: list[str], log: Path) -> list[Point]:
    """Run the command to its end; the calls by which it changed files, in their order."""
    ended = _strace(project, arguments, ["-y", "-e", f"trace={_names(_TRACED)}"], log)
    assert ended == 0, f"{arguments} ended with {ended} under strace"
    counts: Counter[tuple[str, str]] = Counter()
    points: dict[Point, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        call = _CALL.match(line)
        if call is None:
            continue
        name = call["name"]
        counts[call["thread"], name] += 1
        if _changes_a_file(name, call["rest"]):
            points[Point(name, counts[call["thread"], name])] = None
    return list(points)


def run_injected(
    project: Project, arguments: list[str], point: Point, fault: str, *, once: bool = True
) -> int:
    """Run a command with a fault (``signal=SIGKILL``, ``error=EIO``) at that call; its exit code, or minus the signal."""
    when = f"{point.number}{'' if once else '+'}"
    inject = f"inject={point.call}:{fault}:when={when}"
    return _strace(project, arguments, ["-e", f"trace={point.call}", "-e", inject], Path("/dev/null"))


def _strace(project: Project, arguments: list[str], options: list[str], log: Path) -> int:
    command = ["strace", "-f", "-qq", "-o", str(log), *options]
    command += [sys.executable, "-m", "datavc", *arguments, "-j", "1"]
    environment = project.environment | {"PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(
        command, cwd=project.root, env=environment, capture_output=True, text=True, timeout=_SECONDS
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode <= 0 or says_what_next(ended.stderr), ended.stderr
    return ended.returncode


def _names(calls: tuple[str, ...]) -> str:
    # A question mark: not every machine's system has every call.
    return ",".join(f"?{name}" for name in calls)


def _changes_a_file(name: str, rest: str) -> bool:
    if name in ("open", "openat"):
        return ("O_CREAT" in rest or "O_WRONLY" in rest or "O_RDWR" in rest) and '"/dev/' not in rest
    if name == "ioctl":
        return "FICLONE" in rest
    if name in _BY_DESCRIPTOR:
        # Not to pipes and sockets, nor to the terminal.
        target = _FILE.search(rest)
        return target is not None and not target["path"].startswith("/dev/")
    return True
