"""Seeing every file that a command opens, whatever opens it: through strace, which the system calls pass one by one.

It costs about 150 microseconds for each file, so it is asked for, and never the rule.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from datavc.errors import NotFoundError
from datavc.lineage.observed import Observed, telling_files

_CALLS = "open,openat,openat2,creat,rename,renameat,renameat2,execve"
_OPENED = re.compile(rb"^\d+ +(?:open|openat|openat2|creat)\(.* = \d+<(.*)>$")
_RENAMED = re.compile(rb'^\d+ +rename\w*\(.*?"((?:[^"\\]|\\.)*)"(?:, \d+|, 0)?\)')
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


def read_trace(log: Path, folder: bytes, observed: Observed) -> Observed:
    """``observed``, with what strace saw of a command that began in ``folder``."""
    read: set[bytes] = set()
    written: set[bytes] = set()
    for line in log.read_bytes().split(b"\n"):
        opened = _OPENED.match(line)
        if opened is not None:
            path = _plain(opened[1])
            if b"O_WRONLY" in line or b"O_RDWR" in line or b"O_CREAT" in line or b" creat(" in line:
                written.add(path)
            if b"O_WRONLY" not in line and b" creat(" not in line:
                read.add(path)
        elif renamed := _RENAMED.match(line):
            written.add(os.path.join(folder, _plain(renamed[1])))
        elif started := _STARTED.match(line):
            observed.started.add(os.fsdecode(_plain(started[1])))
    prefixes = tuple(_prefixes(observed))
    observed.read |= set(telling_files(read, prefixes))
    observed.written |= set(telling_files(written, prefixes))
    observed.is_traced = True
    return observed


def _prefixes(observed: Observed) -> Iterator[bytes]:
    for found in observed.interpreters:
        for prefix in {found.prefix, found.base_prefix} - {"/", "/usr", "/usr/local"}:
            yield os.fsencode(os.path.join(prefix, ""))


def _plain(text: bytes) -> bytes:
    """A string as strace quotes it, in octal where it does not print."""

    def letter(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 255]) if code[:1].isdigit() else _LETTERS.get(code, code)

    return _ESCAPE.sub(letter, text)
