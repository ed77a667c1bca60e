"""Watching a part of this process: what it opens, imports and starts, what it prints, and what it takes of the machine.

An audit hook cannot be taken away again, so there is one for the life of the process, which asks whether anybody watches.
Processes that are started meanwhile are watched like those of ``datavc run``, through their environment.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

from datavc.errors import UsageError
from datavc.lineage.child import Ended, Output
from datavc.lineage.hook.sitecustomize import Observer, seed_imports
from datavc.lineage.observed import RUN_LOG, Observed, hook_environment, read_log, seed_environment
from datavc.lineage.preload import is_log, library_for, read_events

_watches: list[Watch] = []  # the innermost last: it sees, and tells the others in the end
_is_hooked = False


class Terminated(BaseException):
    """SIGTERM came while a part of this process was watched; the process is to end."""


class Watch:
    """Watches from :meth:`begin` to :meth:`end`; what is seen goes to the empty folder ``log`` until then.

    Without ``is_on`` only what is printed and used is seen. ``seed`` seeds what there is, what comes, and child processes.
    """

    def __init__(self, log: Path, *, is_on: bool, seed: int | None) -> None:
        self._log = log
        self._seed = seed
        self._thread = threading.get_ident()
        self._is_on = is_on
        self.observer: Observer | None = None
        self._inner: list[Observed] = []
        self._environment: dict[str, tuple[str | None, str]] = {}
        self._seeder: type | None = None
        self._streams: dict[str, _Tee] = {}
        self._asks_to_end = False
        self.out, self.err = Output(_drop), Output(_drop)

    def begin(self) -> None:
        """From now on. Raises UsageError: another thread is watched, and nobody could tell which of both opens a file."""
        if any(other._thread != self._thread for other in _watches):
            raise UsageError(
                "a run is being recorded in another thread of this process",
                "record one at a time, or start processes",
            )
        if self._is_on:
            self._log_at_start = self._log.stat()
            self.observer = Observer(str(self._log))
            _note_what_is_loaded(self.observer)
        self._set_environment()
        self._streams = {"stdout": _tee("stdout", self.out), "stderr": _tee("stderr", self.err)}
        if threading.current_thread() is threading.main_thread():
            # Who is told to end by a batch system is to leave a record.
            self._asks_to_end = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            if self._asks_to_end:
                signal.signal(signal.SIGTERM, _terminate)
        self._began = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF), _children()
        if self._seed is not None:
            note = self.observer.note if self.observer is not None else _note_nothing
            self._seeder = seed_imports(self._seed, note)
        _watches.append(self)
        _hook_once()

    def end(self, error: BaseException | None) -> tuple[Ended, Observed]:
        """Until now: how it ended, by the exception that did it, and what was seen."""
        _watches.remove(self)
        wall, own, children = self._began
        ended = _ended(error, time.monotonic() - wall, own, children)
        if self._seeder is not None:
            sys.meta_path.remove(self._seeder)  # type: ignore[arg-type]
        if self._asks_to_end:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for name, stream in self._streams.items():
            stream.let_go(name)
        for name, (before, ours) in self._environment.items():
            if os.environ.get(name) == ours:
                os.environ.pop(name)
                if before is not None:
                    os.environ[name] = before
        observed = read_log(self._log, self._log_at_start) if self._is_on else Observed()
        for inner in self._inner:
            observed.include(inner)
        if _watches:
            _watches[-1]._inner.append(observed)
        elif self._is_on:
            _tell_the_run_outside(self._log)
        return ended, observed

    def _set_environment(self) -> None:
        before = dict(os.environ)
        given = seed_environment(before, self._seed)
        if self._is_on:
            given = hook_environment(before, self._log, self._seed, library_for(self._log))
        given.pop("PYTHONUNBUFFERED", None)  # a matter of pipes, and there are none
        for name, value in given.items():
            if before.get(name) != value:
                self._environment[name] = before.get(name), value
                os.environ[name] = value


def _hook(event: str, arguments: Any) -> None:
    if _watches:
        observer = _watches[-1].observer
        if observer is not None:
            observer.hook(event, arguments)


def _hook_once() -> None:
    global _is_hooked
    if not _is_hooked:
        _is_hooked = True
        os.register_at_fork(after_in_child=_after_fork)
        sys.addaudithook(_hook)


def _after_fork() -> None:
    for watch in _watches:
        if watch.observer is not None:
            watch.observer.begin()


def _note_what_is_loaded(observer: Observer) -> None:
    """What the process imported before counts as well: its code is what runs."""
    observer.note_interpreter()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        observer.hook("import", (name, file if isinstance(file, str) else None))
        if isinstance(file, str) and file.endswith(".py"):
            observer.hook("open", (file, "r", os.O_RDONLY))


def _tell_the_run_outside(log: Path) -> None:
    """This process belongs to a ``datavc run``, which is to know what was started meanwhile."""
    outer = os.environ.get(RUN_LOG)
    if outer and os.path.isdir(outer):
        for file in log.iterdir():
            events = b"\0".join(read_events(file)) if is_log(file) else file.read_bytes()
            (Path(outer) / f"{os.getpid()}-{os.urandom(8).hex()}").write_bytes(events)


class _Tee:
    """A text stream that keeps what passes through it."""

    def __init__(self, stream: Any, output: Output) -> None:
        self._stream = stream
        self._output: Output | None = output

    def write(self, text: str) -> Any:
        if self._output is not None:
            self._output.take(text.encode("utf-8", "replace"))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def let_go(self, name: str) -> None:
        """Whoever took it for the stream meanwhile may go on with it."""
        self._output = None
        if getattr(sys, name) is self:
            setattr(sys, name, self._stream)


def _tee(name: str, output: Output) -> _Tee:
    tee = _Tee(getattr(sys, name), output)
    if getattr(sys, name) is not None:
        setattr(sys, name, tee)
    return tee


def _ended(
    error: BaseException | None,
    wall: float,
    own: resource.struct_rusage,
    children: resource.struct_rusage,
) -> Ended:
    code, number = _code(error), None
    if isinstance(error, KeyboardInterrupt | Terminated):
        code, number = None, signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
    now, theirs = resource.getrusage(resource.RUSAGE_SELF), _children()
    return Ended(
        code=code,
        signal=int(number) if number is not None else None,
        interrupted=number is not None,
        wall_ms=round(wall * 1000),
        user_ms=round((now.ru_utime - own.ru_utime + theirs.ru_utime - children.ru_utime) * 1000),
        system_ms=round((now.ru_stime - own.ru_stime + theirs.ru_stime - children.ru_stime) * 1000),
        peak_memory=max(now.ru_maxrss, theirs.ru_maxrss) * (1 if sys.platform == "darwin" else 1024),
    )


def _code(error: BaseException | None) -> int | None:
    """The exit code that the process would have, if nobody caught the exception."""
    if isinstance(error, SystemExit):
        return error.code & 255 if isinstance(error.code, int) else int(error.code is not None)
    return int(error is not None)


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _drop(piece: bytes) -> None:
    """The stream itself shows it."""


def _note_nothing(letter: bytes, text: bytes) -> None:
    """Nobody watches."""
