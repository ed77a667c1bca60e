"""Faults at the n-th file-changing call of a command, in a forked child: killed there, or the call fails.

The child is a fork of this process, so a point costs some 50 milliseconds instead of a Python start. What Python's audit
hooks see (open for writing, rename, remove, mkdir, rmdir, link, symlink, truncate) is counted together with the calls that
they do not see (write, fsync, fchmod, pwrite, ftruncate), which are wrapped.
"""

from __future__ import annotations

import errno
import itertools
import os
import signal
import sys
from collections.abc import Callable

from projects import Project

_EVENTS = {
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_WRAPPED = ("write", "fsync", "fchmod", "pwrite", "ftruncate")
COMPLETED = -1


def run_killed(project: Project, arguments: list[str], point: int) -> int:
    """Run a command in a child that is killed just before its ``point``-th change; COMPLETED where it has fewer."""

    def fault() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    status = _run(project, arguments, point, fault, once=True)
    return COMPLETED if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else status


def run_failing(project: Project, arguments: list[str], point: int, number: int, *, once: bool) -> int:
    """Run a command whose ``point``-th change fails with error ``number`` (and each later one, unless ``once``).

    Returns the command's exit code.
    """

    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return os.waitstatus_to_exitcode(_run(project, arguments, point, fault, once=once))


def _run(project: Project, arguments: list[str], point: int, fault: Callable[[], None], *, once: bool) -> int:
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = 97
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        counter = itertools.count(1)
        armed = True

        def count() -> None:
            nonlocal armed
            number = next(counter)
            if armed and (number == point or (not once and number > point)):
                armed = not once
                fault()

        _install(count)
        code = project.run(*arguments, "-j", "1", code=None).code
    finally:
        os._exit(code)


def _install(count: Callable[[], None]) -> None:
    def hook(event: str, details: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(details[2], int) and details[2] & _WRITING
        if event in _EVENTS or writes:
            count()

    sys.addaudithook(hook)
    for name in _WRAPPED:
        _wrap(name, count)


def _wrap(name: str, count: Callable[[], None]) -> None:
    real = getattr(os, name)

    def counted(*arguments: object) -> object:
        if arguments and isinstance(arguments[0], int) and arguments[0] > 2:
            count()
        return real(*arguments)

    setattr(os, name, counted)


FULL_DISK = errno.ENOSPC
BROKEN_DISK = errno.EIO
