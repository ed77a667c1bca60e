"""Spreading work: batches on a ``concurrent.futures`` executor, or in this process when there is little of it.

Processes for the many small files, because the interpreter lock is what those wait for; the caller decides what a
batch is. Workers start from a fork server (spawn on macOS), never by forking a process that may hold threads.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from datavc.errors import StorageError

if TYPE_CHECKING:
    import threading
    from concurrent.futures import Executor, Future, ProcessPoolExecutor

B = TypeVar("B")
R = TypeVar("R")

# Below this much work a pool costs more to start (0.1 to 0.2 s) than it saves.
SERIAL_BELOW_SECONDS = 0.3


def default_jobs() -> int:
    """As many as this process may use processors, at most 16."""
    if hasattr(os, "sched_getaffinity"):
        available = len(os.sched_getaffinity(0))
    else:
        available = os.cpu_count() or 1
    return max(1, min(16, available))


class Workers:
    """Worker processes for one piece of work: started when there is enough of it, or ahead of time by :meth:`start`.

    ``preload`` is the module of the batch function, imported once in the fork server. The processes are stopped when the
    block is left; at once, and their queued batches dropped, when an exception leaves it.
    """

    def __init__(self, jobs: int, *, preload: str) -> None:
        self.jobs = jobs
        self._preload = preload
        self._executor: ProcessPoolExecutor | None = None
        self._starting: threading.Thread | None = None

    def start(self) -> None:
        """Begin to start the processes, without waiting: that takes 0.15 s, in which the caller has other things to do."""
        if self.jobs <= 1 or self._executor is not None:
            return
        import threading

        self._executor = executor = self._make()
        self._starting = threading.Thread(target=_await_worker, args=(executor,), daemon=True)
        self._starting.start()

    def executor(self, *, expected_seconds: float) -> Executor | None:
        """The pool, or None where working in this process is faster."""
        if self._executor is None and self.jobs > 1 and expected_seconds >= SERIAL_BELOW_SECONDS:
            self._executor = self._make()
        return self._executor

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._executor is None:
            return
        if self._starting is not None:
            self._starting.join()
        if kind is None:
            self._executor.shutdown()
        else:
            _stop_now(self._executor)

    def _make(self) -> ProcessPoolExecutor:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")
        if sys.platform != "darwin":
            context.set_forkserver_preload([self._preload])
        return ProcessPoolExecutor(self.jobs, mp_context=context, initializer=_prepare_worker)


@contextmanager
def process_pool(jobs: int, *, expected_seconds: float, preload: str) -> Iterator[Executor | None]:
    """A pool of ``jobs`` worker processes for the block, or None where working in this process is faster."""
    with Workers(jobs, preload=preload) as workers:
        yield workers.executor(expected_seconds=expected_seconds)


def run_batches(
    function: Callable[[B], R], batches: Iterable[B], executor: Executor | None, *, ahead: int = 64
) -> Iterator[R]:
    """Apply ``function`` to each batch and yield the results as they are finished, in any order.

    At most ``ahead`` batches wait or run at a time, so that an endless iterator of batches needs bounded memory. The
    first exception stops everything.

    Raises:
        StorageError: a worker process died (killed, or out of memory).
    """
    if executor is None:
        yield from map(function, batches)
        return
    from concurrent.futures import FIRST_COMPLETED, wait
    from concurrent.futures.process import BrokenProcessPool

    running: set[Future[R]] = set()
    try:
        for batch in batches:
            running.add(executor.submit(function, batch))
            if len(running) >= ahead:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise StorageError(
            "a worker process died before it was done, killed or out of memory",
            "run the same command again, with fewer workers: -j 1",
        ) from error
    finally:
        for future in running:
            future.cancel()


def map_ahead(
    function: Callable[[B], R], items: Iterable[B], executor: Executor, ahead: int
) -> Generator[R, None, None]:
    """Apply ``function`` to ``items`` and yield the results in their order, at most ``ahead`` of them ahead of the caller."""
    from collections import deque

    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(executor.submit(function, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def read_ahead(items: Iterator[B], ahead: int) -> Generator[B, None, None]:
    """Yield ``items``, which are made in a thread of their own, at most ``ahead`` of them before they are asked for."""
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    end = object()
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, end) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]
        finally:
            for future in waiting:
                future.cancel()


def _await_worker(executor: Executor) -> None:
    """The first batch makes a pool start all its processes. Whoever uses it next meets what went wrong with that."""
    with suppress(Exception):
        executor.submit(os.getpid).result()


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it even when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    import multiprocessing
    import threading
    from multiprocessing.connection import wait as wait_for

    parent = multiprocessing.parent_process()
    if parent is None:
        return
    sentinel = parent.sentinel

    def follow_parent() -> None:
        wait_for([sentinel])
        os._exit(1)

    threading.Thread(target=follow_parent, daemon=True).start()


def _stop_now(executor: Executor) -> None:
    processes = list((getattr(executor, "_processes", None) or {}).values())
    executor.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(5)
