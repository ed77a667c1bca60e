"""Several actors on one store, one request at a time, in an order that a test chooses; and a clock that the test moves."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
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
        self.waiting: Callable[[], None] = lambda: None

    def module(self) -> SimpleNamespace:
        """What stands in for the module ``time``."""

        def gmtime(seconds: float | None = None) -> time.struct_time:
            return time.gmtime(self.seconds if seconds is None else seconds)

        def now() -> float:
            return self.seconds

        return SimpleNamespace(
            time=now, monotonic=now, perf_counter=now, gmtime=gmtime, strftime=time.strftime, sleep=self.sleep
        )

    def sleep(self, seconds: float) -> None:
        """Whoever waits lets the others first."""
        self.waiting()
        self.seconds += seconds


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


class Killed(BaseException):
    """What an actor gets instead of its request, and for each that follows, as after kill -9; no ``except`` expects it."""


Choose = Callable[[Sequence[int], int | None], int]
"""Which of the living goes on, by number, after the one that went last."""


def at_random(seed: int) -> Choose:
    """Anyone; an actor is preferred for some time, as in life."""
    chance = random.Random(seed)

    def choose(living: Sequence[int], last: int | None) -> int:
        return last if last in living and chance.random() > 0.3 else chance.choice(living)

    return choose


def in_turns(*turns: tuple[int, int]) -> Choose:
    """Each turn is an actor and for how many requests it goes on; then the rest, each to its end."""
    order = [actor for actor, requests in turns for _ in range(requests)][::-1]

    def choose(living: Sequence[int], last: int | None) -> int:
        while order:
            if (actor := order.pop()) in living:
                return actor
        return last if last in living else living[0]

    return choose


class Schedule:
    """Runs actors, each in a thread of its own, of which one goes on at a time until its next request."""

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._turns: list[threading.Semaphore] = []
        self._done = threading.Semaphore(0)
        self._local = threading.local()
        self._living: list[int] = []
        self._dying: dict[int, int] = {}
        self.requests: list[int] = []
        self.failures: list[BaseException] = []

    def add(self, actor: Callable[[], None], dies_at: int | None = None) -> None:
        """Another actor, which starts when :meth:`run` gives it a turn; it is killed at its request ``dies_at``."""
        number, turn = len(self._turns), threading.Semaphore(0)
        self._turns.append(turn)
        self._living.append(number)
        self.requests.append(0)
        if dies_at is not None:
            self._dying[number] = dies_at

        def body() -> None:
            self._local.number = number
            turn.acquire()
            try:
                actor()
            except BaseException as error:  # noqa: BLE001
                self.failures.append(error)
            self._living.remove(number)
            self._done.release()

        threading.Thread(target=body, daemon=True).start()

    def pause(self) -> None:
        """Let the others; called by actors before each request. Raises Killed."""
        number = getattr(self._local, "number", None)
        if number is None:
            return
        if self.requests[number] >= self._dying.get(number, sys.maxsize):
            raise Killed
        self._done.release()
        self._turns[number].acquire()
        self.requests[number] += 1

    def revive(self) -> None:
        """The actor that was killed is started again, and lives for ever."""
        self._dying.pop(self._local.number, None)

    def run(self, after_each: Callable[[], None]) -> None:
        """One request after the other until all are done."""
        last = None
        while self._living:
            last = self._choose(self._living, last)
            self._turns[last].release()
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
        try:
            self._schedule.pause()
        finally:
            self.deleting -= 1
        super().delete(name)

    def now(self) -> float:
        self._schedule.pause()
        return super().now()
