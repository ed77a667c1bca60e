"""A backend that asks again when a server fails in a way that may pass: for a bounded time, and not in step with others."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from datavc.backends.base import Backend, StoredFile
from datavc.backends.wrapping import WrappingBackend
from datavc.errors import TransientError

Result = TypeVar("Result")

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 20.0


class RetryingBackend(WrappingBackend):
    """Repeats what ``inner`` fails at with a TransientError, for at most ``patience`` seconds a call.

    Until a first call has gone well it is patient for ``first_patience`` seconds only: somebody with a typing error in an
    address should not wait for minutes. ``retries`` counts the repetitions of all threads, for who shows progress.
    """

    def __init__(self, inner: Backend, *, patience: float = 180.0, first_patience: float = 15.0) -> None:
        super().__init__(inner)
        self.retries = 0
        self._patience = patience
        self._first_patience = first_patience
        self._has_worked = False
        self._given_up = threading.Event()
        self._counting = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (self.inner, self._patience, self._first_patience)

    def give_up(self) -> None:
        """From now on repeat nothing, and end the pauses that threads are in: the command is being interrupted."""
        self._given_up.set()

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        return self._persist(lambda: self.inner.read(name, start, length))

    def head(self, name: str) -> StoredFile:
        return self._persist(lambda: self.inner.head(name))

    def kept_xxh128(self, name: str) -> bytes | None:
        return self._persist(lambda: self.inner.kept_xxh128(name))

    def list(self, prefix: str) -> Iterator[StoredFile]:
        # A listing that breaks is begun again, and what the caller has seen is left out.
        seen: set[str] = set()
        effort = _Effort(self)
        while True:
            try:
                for file in self.inner.list(prefix):
                    if file.name not in seen:
                        seen.add(file.name)
                        effort = _Effort(self)
                        yield file
                self._has_worked = True
                return
            except TransientError as error:
                effort.pause_or_raise(error)

    def write(self, name: str, data: bytes) -> bool:
        return self._persist(lambda: self.inner.write(name, data))

    def write_file(self, name: str, source: Path) -> bool:
        return self._persist(lambda: self.inner.write_file(name, source))

    def replace(self, name: str, data: bytes) -> None:
        self._persist(lambda: self.inner.replace(name, data))

    def delete(self, name: str) -> None:
        self._persist(lambda: self.inner.delete(name))

    def now(self) -> float:
        return self._persist(self.inner.now)

    def _persist(self, call: Callable[[], Result]) -> Result:
        effort = _Effort(self)
        while True:
            try:
                result = call()
            except TransientError as error:
                effort.pause_or_raise(error)
            else:
                self._has_worked = True
                return result

    def _pause(self, seconds: float) -> bool:
        """Count and wait; False when the wait was cut short because the command is being interrupted."""
        with self._counting:
            self.retries += 1
        return not self._given_up.wait(seconds)


class _Effort:
    """The tries of one call, and how much longer they may go on."""

    def __init__(self, backend: RetryingBackend) -> None:
        self._backend = backend
        self._failures = 0
        self._first_failure = 0.0

    def pause_or_raise(self, error: TransientError) -> None:
        """Wait before the next try, or raise ``error`` when there shall be none."""
        backend = self._backend
        now = time.monotonic()
        # A slow upload that breaks after minutes is tried again as well, so the time before the first failure is not counted.
        self._first_failure = self._first_failure or now
        self._failures += 1
        # Full jitter: clients that failed together do not come back together.
        pause = random.uniform(0, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._failures))
        patience = backend._patience if backend._has_worked else backend._first_patience
        if backend._given_up.is_set() or now - self._first_failure + pause > patience:
            raise error
        if not backend._pause(pause):
            raise error


def _rebuilt(inner: Backend, patience: float, first_patience: float) -> RetryingBackend:
    return RetryingBackend(inner, patience=patience, first_patience=first_patience)
