"""Faults at the n-th file-changing call of a command, in a forked child: killed there, the call fails, or writes less.

The child is a fork of this process, so a point costs some 50 milliseconds instead of a Python start. What Python's audit
hooks see (open for writing, rename, remove, mkdir, rmdir, link, symlink, truncate) is counted together with the calls that
they do not see (write, fsync, fchmod, pwrite, ftruncate), which are wrapped.
"""

from __future__ import annotations

import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from projects import Project, Result

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
_WRITES = ("write", "pwrite", "copy_file_range")
_WRAPPED = (*_WRITES, "fsync", "fchmod", "ftruncate")
COMPLETED = -1
_MOST_POINTS = 2000
_SHORT_COPY = 4096
# No command ends with these on purpose.
CRASHED = 97  # a traceback
AT_A_LOSS = 98  # an error without a word on what to do next
_tell = os.write  # as it is before any fault is put into it
# 125: `run`, where datavc itself failed.
DOCUMENTED_CODES = frozenset({0, 1, 3, 11, 12, 125})


def run_killed(project: Project, arguments: list[str], point: int) -> int:
    """Run a command in a child that is killed just before its ``point``-th change; COMPLETED where it has fewer."""

    def fault() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    status = _run(project, arguments, point, fault, once=True)
    return COMPLETED if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0 else status


def run_watched(project: Project, arguments: list[str], at_change: Callable[[int], None]) -> int:
    """Run a command to its end in a child that calls ``at_change`` with the number of each change before it is made.

    Returns how many there were.
    """
    reached, tell = os.pipe()
    busy = threading.RLock()
    watching = threading.local()

    def install() -> None:
        counter = itertools.count(1)

        def count() -> None:
            # What the watcher changes is not watched, and nothing else changes meanwhile.
            if getattr(watching, "within", False):
                return
            with busy:
                watching.within = True
                try:
                    at_change(next(counter))
                    _tell(tell, b"!")
                finally:
                    watching.within = False

        _install(count)

    status = _in_child(project, arguments, install)
    os.close(tell)
    with open(reached, "rb") as file:
        points = len(file.read())
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, f"{arguments} ended with {status}"
    return points


def killed_at_each(
    project: Project, arguments: list[str], fresh: Callable[[], object], stride: int = 1, first: int = 1
) -> Iterator[int]:
    """Each ``stride``-th change of a command that starts from ``fresh``, once it was killed just before that change."""
    for point in range(first, _MOST_POINTS, stride):
        fresh()
        if run_killed(project, arguments, point) == COMPLETED:
            return
        yield point
    pytest.fail(f"{_MOST_POINTS} points were not enough")


def failing_at_each(
    project: Project,
    arguments: list[str],
    fresh: Callable[[], object],
    number: int,
    *,
    once: bool,
    stride: int = 1,
    first: int = 1,
) -> Iterator[tuple[int, int]]:
    """As :func:`killed_at_each`, for changes that fail with error ``number``; with each its point and the exit code.

    The code is one that is documented. The last is of a run that came to no such change.
    """
    for point in range(first, _MOST_POINTS, stride):
        fresh()
        code, reached = run_failing(project, arguments, point, number, once=once)
        assert code in DOCUMENTED_CODES, point
        yield point, code
        if not reached:
            return
    pytest.fail(f"{_MOST_POINTS} points were not enough")


@dataclass
class Kept:
    """Folders as they are now, and how to put them back."""

    folders: tuple[Path, ...]
    start: Path

    @classmethod
    def of(cls, start: Path, *folders: Path) -> Kept:
        """Takes the ``folders`` away into the new folder ``start``; :meth:`fresh` brings them."""
        start.mkdir()
        for folder in folders:
            folder.rename(start / folder.name)
        return cls(folders, start)

    def fresh(self) -> None:
        """All that they were, with hard links between files of one folder."""
        for folder in self.folders:
            if folder.exists():
                shutil.rmtree(folder)
            subprocess.run(["cp", "-a", "--", str(self.start / folder.name), str(folder)], check=True)


def run_failing(
    project: Project, arguments: list[str], point: int, number: int, *, once: bool
) -> tuple[int, bool]:
    """Run a command whose ``point``-th change fails with error ``number`` (and each later one, unless ``once``).

    Returns the command's exit code, and whether it came to that point at all.
    """
    reached, tell = os.pipe()

    def fault() -> None:
        _tell(tell, b"!")
        raise OSError(number, os.strerror(number))

    status = _run(project, arguments, point, fault, once=once)
    return os.waitstatus_to_exitcode(status), _was_told(reached, tell)


def run_writing_short(project: Project, arguments: list[str], point: int, *, once: bool) -> tuple[int, bool]:
    """Run a command whose ``point``-th write takes only half of its bytes (and each later one, unless ``once``).

    Returns the command's exit code, and whether it came to that point at all.
    """
    reached, tell = os.pipe()

    def install() -> None:
        counter = itertools.count(1)

        def is_due() -> bool:
            due = _is_due(next(counter), point, once=once)
            if due:
                _tell(tell, b"!")
            return due

        for name in _WRITES:
            if hasattr(os, name):
                _wrap_short(name, is_due)

    status = _in_child(project, arguments, install)
    return os.waitstatus_to_exitcode(status), _was_told(reached, tell)


def run_with_few_files(project: Project, arguments: list[str], most: int) -> int:
    """Run a command that may open ``most`` descriptors (EMFILE), beside those that are open; returns its exit code."""

    def install() -> None:
        taken = {int(name) for name in os.listdir("/dev/fd")}
        free = (number for number in itertools.count() if number not in taken)
        limit = next(itertools.islice(free, most, None))
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    return os.waitstatus_to_exitcode(_in_child(project, arguments, install))


def _was_told(reached: int, tell: int) -> bool:
    os.close(tell)
    with open(reached, "rb") as file:
        return bool(file.read())


def _is_due(number: int, point: int, *, once: bool) -> bool:
    return number == point or (not once and number > point)


def _run(project: Project, arguments: list[str], point: int, fault: Callable[[], None], *, once: bool) -> int:
    def install() -> None:
        counter = itertools.count(1)

        def count() -> None:
            if _is_due(next(counter), point, once=once):
                fault()

        _install(count)

    return _in_child(project, arguments, install)


def _in_child(project: Project, arguments: list[str], install: Callable[[], None]) -> int:
    """Run a command in a child after ``install``; its wait status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    code = CRASHED
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.close(null)
        install()
        ended = project.run("-j", "1", *arguments, code=None)
        code = _judged(ended)
    finally:
        os._exit(code)


def says_what_next(err: str) -> bool:
    """Whether what a command said on standard error has a line on what to do."""
    return any(word in err for word in ("hint: ", "next: "))


def _judged(ended: Result) -> int:
    if "Traceback" in ended.err:
        return CRASHED
    if ended.code and not says_what_next(ended.err):
        return AT_A_LOSS
    return ended.code


def _install(count: Callable[[], None]) -> None:
    def hook(event: str, details: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(details[2], int) and details[2] & _WRITING
        if event in _EVENTS or writes:
            count()

    sys.addaudithook(hook)
    for name in _WRAPPED:
        if hasattr(os, name):
            _wrap(name, count)


def _wrap(name: str, count: Callable[[], None]) -> None:
    real = getattr(os, name)

    def counted(*arguments: object) -> object:
        if arguments and isinstance(arguments[0], int) and arguments[0] > 2:
            count()
        return real(*arguments)

    setattr(os, name, counted)


def _wrap_short(name: str, is_due: Callable[[], bool]) -> None:
    real = getattr(os, name)

    def shortened(first: int, second: Any, *others: Any) -> int:
        if first > 2 and is_due():
            if name == "copy_file_range":
                others = (min(others[0], _SHORT_COPY), *others[1:])
            else:
                view = memoryview(second)
                second = view[: (len(view) + 1) // 2]
        return real(first, second, *others)

    setattr(os, name, shortened)
