"""Seeing every file that a command opens, whatever opens it: through strace, which the system calls pass one by one.

It costs about 150 microseconds for each file, so it is asked for, and never the rule.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from datavc.errors import NotFoundError
from datavc.lineage.observed import Observed, Raw, take_paths

_CALLS = "open,openat,openat2,creat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,execve"
_OPENED = re.compile(rb"^\d+ +(?:open|openat|openat2|creat)\(.* = \d+<(.*)>$")
# The folder of a descriptor is shown behind it: 3</folder>.
_PATH = rb'(?:(?:AT_FDCWD|\d+)<((?:[^>\\]|\\.)*)>, )?"((?:[^"\\]|\\.)*)"'
_RENAMED = re.compile(rb"^\d+ +rename\w*\(" + _PATH + rb", " + _PATH)
_LINKED = re.compile(rb"^\d+ +link\w*\(" + _PATH + rb", " + _PATH)
_REMOVED = re.compile(rb"^\d+ +unlink\w*\(" + _PATH + rb"(?!, AT_REMOVEDIR)")
_STARTED = re.compile(rb'^\d+ +execve\("((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)")
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}


def traced(argv: Sequence[str], log: Path) -> list[str]:
    """The command that runs ``argv`` under strace, which writes to ``log``.

    Raises:
        NotFoundError: strace is not installed.
    """
    from shutil import which

    program = which("strace") if sys.platform == "linux" else None
    if program is None:
        raise NotFoundError("--trace full needs strace, which is not installed here", "or: --trace auto")
    options = [
        "-f",
        "-qq",
        "-y",
        "-s",
        "4096",
        "--seccomp-bpf",
        "-e",
        f"trace={_CALLS}",
        "-e",
        "status=successful",
    ]
    return [program, *options, "-o", str(log), "--", *argv]


def read_trace(log: Path, folder: bytes, observed: Observed, began: os.stat_result | None = None) -> Observed:
    """``observed``, with what strace saw of a command that began in ``folder``."""
    raw = Raw()
    with open(log, "rb") as lines:
        for line in lines:
            _take(line, folder, raw, observed)
    observed.is_traced = True
    take_paths(observed, raw, began)
    return observed


def _take(line: bytes, folder: bytes, raw: Raw, observed: Observed) -> None:
    """One call that succeeded."""
    opened = _OPENED.match(line)
    if opened is not None:
        path = _plain(opened[1])
        if b"O_WRONLY" in line or b"O_RDWR" in line or b"O_CREAT" in line or b" creat(" in line:
            raw.written.add(path)
        if b"O_WRONLY" not in line and b" creat(" not in line:
            raw.read.add(path)
    elif renamed := _RENAMED.match(line):
        raw.removed.add(_joined(folder, renamed[1], renamed[2]))
        raw.moved.add(_joined(folder, renamed[3], renamed[4]))
    elif linked := _LINKED.match(line):
        raw.written.add(_joined(folder, linked[3], linked[4]))
    elif removed := _REMOVED.match(line):
        raw.removed.add(_joined(folder, removed[1], removed[2]))
    elif started := _STARTED.match(line):
        observed.started.add(os.fsdecode(_plain(started[1])))


def _joined(folder: bytes, top: bytes | None, path: bytes) -> bytes:
    """An absolute path. Calls that know no descriptor say nothing of the folder: then it is the one that it all began in."""
    return os.path.join(folder, _plain(top or b""), _plain(path))


def _plain(text: bytes) -> bytes:
    """A string as strace quotes it, in octal where it does not print."""

    def letter(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 255]) if code[:1].isdigit() else _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, text)
