"""Several actors on one store, one request at a time, in an order that a test chooses; and a clock that the test moves."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from types import SimpleNamespace
from typing import Any

from datavc.backends.base import Backend, StoredFile
from datavc.backends.memory import MemoryBackend
from datavc.backends.wrapping import WrappingBackend


class Clock:
    """Seconds since 1970, as long as nobody moves it."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def module(self) -> SimpleNamespace:
        """What stands in for the module ``time``."""

        def gmtime(seconds: float | None = None) -> time.struct_time:
            return time.gmtime(self.seconds if seconds is None else seconds)

        def now() -> float:
            return self.seconds

        return SimpleNamespace(time=now, monotonic=now, gmtime=gmtime, strftime=time.strftime)


class ClockedBackend(MemoryBackend):
    """Stamps files by ``clock``."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> float:
        return self._clock.seconds


class Inline(Executor):
    """Does the work where it is asked for."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)
        return future


class Schedule:
    """Runs actors, each in a thread of its own, of which one goes on at a time until its next request."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._turns: dict[threading.Thread, threading.Semaphore] = {}
        self._done = threading.Semaphore(0)
        self._local = threading.local()
        self.failures: list[BaseException] = []
        self._living: list[threading.Thread] = []

    def add(self, actor: Callable[[], None]) -> None:
        """Another actor; it starts when :meth:`run` gives it a turn."""
        turn = threading.Semaphore(0)

        def body() -> None:
            self._local.turn = turn
            turn.acquire()
            try:
                actor()
            except BaseException as error:  # noqa: BLE001
                self.failures.append(error)
            self._living.remove(thread)
            self._done.release()

        thread = threading.Thread(target=body, daemon=True)
        self._turns[thread] = turn
        self._living.append(thread)
        thread.start()

    def pause(self) -> None:
        """Let the others; called by actors before each request."""
        turn = getattr(self._local, "turn", None)
        if turn is not None:
            self._done.release()
            turn.acquire()

    def run(self, after_each: Callable[[], None]) -> None:
        """One request after the other until all are done; an actor is preferred for some time, as in life."""
        current = None
        while self._living:
            if current not in self._living or self._random.random() < 0.3:
                current = self._random.choice(self._living)
            assert current is not None
            self._turns[current].release()
            self._done.acquire()
            after_each()


class ScheduledBackend(WrappingBackend):
    """Every request waits for its turn. ``deleting`` counts the deletions that were decided on and are not done."""

    def __init__(self, inner: Backend, schedule: Schedule) -> None:
        super().__init__(inner)
        self._schedule = schedule
        self.deleting = 0

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        self._schedule.pause()
        return super().read(name, start, length)

    def head(self, name: str) -> StoredFile:
        self._schedule.pause()
        return super().head(name)

    def list(self, prefix: str) -> Iterator[StoredFile]:
        self._schedule.pause()
        return iter(list(super().list(prefix)))

    def write(self, name: str, data: bytes) -> bool:
        self._schedule.pause()
        return super().write(name, data)

    def replace(self, name: str, data: bytes) -> None:
        self._schedule.pause()
        super().replace(name, data)

    def delete(self, name: str) -> None:
        self.deleting += 1
        self._schedule.pause()
        self.deleting -= 1
        super().delete(name)

    def now(self) -> float:
        self._schedule.pause()
        return super().now()
