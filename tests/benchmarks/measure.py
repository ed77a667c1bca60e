"""How long a command took, and how much memory: one process tree, one measurement. Knows neither tools nor data.

Memory is told three ways, since no single figure is right for a tool that works in several processes:

- ``largest``: the peak of the largest process, from ``wait4``, which counts every descendant that was waited for. A
  child inherits the peak of the process that starts it; so this process must stay small, and where the figure is no
  higher than our own, the highest one sampled is taken instead.
- ``tree_rss``: the highest sampled sum of resident sizes. It counts pages that processes share once for each.
- ``tree_pss``: the same with shared pages split among their users; the truest, but sampled less often, because
  asking costs the kernel a walk over the page tables.

The samples need Linux's ``/proc``; elsewhere, and for commands that end before the first sample, they are None.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A sample may use this share of one core at most, whatever it costs to take.
_SAMPLING_SHARE = 0.02
_RSS_INTERVAL = 0.02
_PSS_INTERVAL = 0.2
# ru_maxrss counts KiB on Linux and bytes on macOS.
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024


class CommandFailed(Exception):
    """A measured command ended with an error; the message holds its last words."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one command cost: ``seconds`` by the clock, ``cpu_seconds`` over all its processes, memory in bytes.

    ``sync_seconds`` is how long ``sync`` took afterwards: what the command left for the kernel to write.
    """

    seconds: float
    cpu_seconds: float
    largest: int | None
    tree_rss: int | None
    tree_pss: int | None
    sync_seconds: float


def measure(
    command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str], log: Path, timeout: float
) -> Measurement:
    """Run ``command`` after a ``sync`` and measure it; what it prints goes to the end of ``log``.

    Raises:
        CommandFailed: it could not be started, ended with another code than 0, or took more than ``timeout`` seconds.
    """
    os.sync()
    with open(log, "ab") as output:
        started = time.perf_counter()
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                process_group=0,
            )
        except OSError as error:
            raise CommandFailed(f"{command[0]}: {error}") from error
        sampler = _Sampler(process.pid)
        killer = threading.Timer(timeout, _kill_group, [process.pid])
        killer.start()
        try:
            sampler.start()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        except BaseException:
            _kill_group(process.pid)
            process.wait()
            raise
        finally:
            killer.cancel()
            sampler.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = " ".join(str(word) for word in command)
        raise CommandFailed(
            f"'{words}' ended with {process.returncode} after {seconds:.1f} s: {_last_line(log)}"
        )
    os.sync()
    synced = time.perf_counter() - started - seconds
    cpu_seconds = usage.ru_utime + usage.ru_stime
    largest = _largest(usage.ru_maxrss * _MAXRSS_UNIT, sampler.largest)
    return Measurement(seconds, cpu_seconds, largest, sampler.rss, sampler.pss, synced)


class _Sampler:
    """Looks at a process tree from a thread, from time to time, until it is stopped."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.largest: int | None = None
        self.rss: int | None = None
        self.pss: int | None = None

    def start(self) -> None:
        if os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        pause = _RSS_INTERVAL
        next_pss = 0.0
        while not self._stopped.wait(pause):
            started = time.perf_counter()
            tree = _tree(self._root)
            self.largest = _higher(self.largest, max(map(_peak, tree), default=0))
            self.rss = _higher(self.rss, sum(map(_rss, tree)))
            pause = max(_RSS_INTERVAL, (time.perf_counter() - started) / _SAMPLING_SHARE)
            if started >= next_pss:
                before = time.perf_counter()
                self.pss = _higher(self.pss, sum(map(_pss, tree)))
                now = time.perf_counter()
                next_pss = now + max(_PSS_INTERVAL, (now - before) / _SAMPLING_SHARE)


def _tree(root: int) -> list[int]:
    """``root`` and its descendants. One whose parent has ended belongs to init by then and is not found."""
    found = [root]
    for process in found:
        with contextlib.suppress(OSError):  # ended meanwhile
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/children") as file:
                    found += map(int, file.read().split())
    return found


def _ended_is_zero(read: Callable[[int], int]) -> Callable[[int], int]:
    """A process may end between being found and being asked: the kernel then says so in one of several ways."""

    def ask(process: int) -> int:
        try:
            return read(process)
        except (OSError, IndexError, ValueError):
            return 0

    return ask


@_ended_is_zero
def _rss(process: int) -> int:
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


@_ended_is_zero
def _pss(process: int) -> int:
    return _kilobytes(f"/proc/{process}/smaps_rollup", "Pss:")


@_ended_is_zero
def _peak(process: int) -> int:
    return _kilobytes(f"/proc/{process}/status", "VmHWM:")


def _kilobytes(path: str, label: str) -> int:
    with open(path) as file:
        for line in file:
            if line.startswith(label):
                return int(line.split()[1]) * 1024
    return 0


def _higher(before: int | None, now: int) -> int | None:
    """The higher figure; a tree of which nothing could be read any more is no figure."""
    return max(before or 0, now) or None


def _largest(waited: int, sampled: int | None) -> int | None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
    return waited if waited > own else sampled


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _last_line(log: Path) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "(it printed nothing)"
