"""Starting a command and waiting for its end: its output shown and kept, what it used, and what signals do to it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, NamedTuple

from datavc.errors import NotFoundError, StorageError

if TYPE_CHECKING:
    from resource import struct_rusage

KEPT_BYTES = 8 << 20
"""How much of the beginning, and how much of the end, of each stream is kept."""
_PIECE = 64 << 10
# Output of what a command left running in the background is not waited for.
_LAST_WORDS_SECONDS = 2.0


class Ended(NamedTuple):
    """How a command ended: ``code``, or the ``signal`` that killed it; times in ms, ``peak_memory`` in bytes."""

    code: int | None
    signal: int | None
    interrupted: bool
    wall_ms: int
    user_ms: int
    system_ms: int
    peak_memory: int

    @property
    def exit_code(self) -> int:
        """As a shell gives it."""
        return self.code if self.code is not None else 128 + (self.signal or 0)

    @property
    def status(self) -> str:
        """The record's word."""
        if self.signal is not None or (self.interrupted and self.code):
            return "killed"
        return "failed" if self.code else "ok"


class Output:
    """One stream of a command: passed on to ``show`` as it comes, its beginning and its end kept."""

    def __init__(self, show: Callable[[bytes], None]) -> None:
        self._show = show
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def take(self, piece: bytes) -> None:
        """The next bytes."""
        self.total += len(piece)
        room = KEPT_BYTES - len(self._head)
        self._head += piece[:room]
        self._tail += piece[max(room, 0) :]
        if len(self._tail) > 2 * KEPT_BYTES:
            del self._tail[:-KEPT_BYTES]
        self._show(piece)

    def kept(self) -> bytes:
        """What is kept, with a line where something was left out."""
        tail = bytes(self._tail[-KEPT_BYTES:])
        left_out = self.total - len(self._head) - len(tail)
        if not left_out:
            return bytes(self._head) + tail
        return bytes(self._head) + f"\n... {left_out} bytes are left out here ...\n".encode() + tail


def run_child(
    argv: Sequence[str | bytes],
    folder: bytes | Path,
    environment: Mapping[str, str],
    out: Output,
    err: Output,
) -> Ended:
    """Run a command to its end, whatever that is. Standard input is this process's own.

    Ctrl-C reaches the command from the terminal; other signals that ask this process to end are passed on, and a second
    one kills.

    Raises:
        NotFoundError: there is no such program. StorageError: it cannot be started.
    """
    from subprocess import PIPE, Popen

    began = time.monotonic()
    try:
        popen = Popen(argv, cwd=folder, env=dict(environment), stdout=PIPE, stderr=PIPE)
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError) or _is_nowhere(argv[0], environment):
            raise NotFoundError(
                f"there is no program {os.fsdecode(argv[0])}", "see where it is: type -a"
            ) from None
        raise StorageError.by_system(f"cannot start {os.fsdecode(argv[0])}", error) from error
    assert popen.stdout is not None and popen.stderr is not None
    readers = [
        Thread(target=_pump, args=(stream, output), daemon=True)
        for stream, output in ((popen.stdout, out), (popen.stderr, err))
    ]
    status, usage, interrupted = _wait(popen.pid, readers)
    popen.returncode = os.waitstatus_to_exitcode(status)
    for reader in readers:
        reader.join(_LAST_WORDS_SECONDS)
    for stream, reader in zip((popen.stdout, popen.stderr), readers, strict=True):
        if not reader.is_alive():
            stream.close()
    return Ended(
        code=popen.returncode if popen.returncode >= 0 else None,
        signal=-popen.returncode if popen.returncode < 0 else None,
        interrupted=interrupted,
        wall_ms=round((time.monotonic() - began) * 1000),
        user_ms=round(usage.ru_utime * 1000),
        system_ms=round(usage.ru_stime * 1000),
        peak_memory=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def _is_nowhere(program: str | bytes, environment: Mapping[str, str]) -> bool:
    """Whether no folder of PATH has it: of a folder that nobody may look into the system says that it may not be started."""
    name = os.fsencode(program)
    folders = map(os.fsencode, os.get_exec_path(environment))
    return b"/" not in name and not any(os.path.lexists(os.path.join(folder, name)) for folder in folders)


def _pump(stream: IO[bytes], output: Output) -> None:
    fd = stream.fileno()
    while piece := os.read(fd, _PIECE):
        output.take(piece)


def _wait(pid: int, readers: Sequence[Thread]) -> tuple[int, struct_rusage, bool]:
    interrupted = False
    while True:
        try:
            # As soon as one is at work, people see what the command says, and may press Ctrl-C.
            for reader in readers:
                if reader.ident is None:
                    reader.start()
            _, status, usage = os.wait4(pid, 0)
            return status, usage, interrupted
        except KeyboardInterrupt as stop:
            number = getattr(stop, "exit_code", 128 + signal.SIGINT) - 128
            if interrupted:
                os.kill(pid, signal.SIGKILL)
            elif number != signal.SIGINT or not _is_at_terminal():
                os.kill(pid, number)
            interrupted = True


def _is_at_terminal() -> bool:
    """Whether Ctrl-C went to the command as well: to everything in the terminal's foreground."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False
