"""What transfers have in common: how many requests at once a bound on memory allows, and what was asked of remotes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from datavc.store.remote import RemoteStore

DEFAULT_MEMORY = 512 << 20
# Measured: four threads fill a fast line, and more only hold more.
_MOST_THREADS = 4
# A pack, and as much again for what a client library or the decoding of its entries holds.
_BYTES_PER_THREAD = 128 << 20


@dataclass(slots=True)
class Traffic:
    """Requests by kind, how many of them were ``retries``, and bytes each way."""

    requests: dict[str, int] = field(default_factory=dict)
    retries: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    @property
    def total(self) -> int:
        """All requests."""
        return sum(self.requests.values())


def traffic_of(stores: Iterable[RemoteStore]) -> Traffic:
    """What was asked of these remotes, added up."""
    traffic = Traffic()
    for store in stores:
        for kind, number in store.requests.requests.items():
            traffic.requests[kind] = traffic.requests.get(kind, 0) + number
        traffic.retries += store.retries
        traffic.sent_bytes += store.requests.written_bytes
        traffic.received_bytes += store.requests.read_bytes
    return traffic


def threads_for(memory: int) -> int:
    """How many requests may be under way at once in ``memory`` bytes; at least one."""
    return max(1, min(_MOST_THREADS, memory // _BYTES_PER_THREAD))


class TransferThreads(Executor):
    """Threads that no process waits for when it ends: a request that hangs must not keep Ctrl-C from ending the command."""

    def __init__(self, threads: int) -> None:
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        """See :class:`concurrent.futures.Executor`."""
        future: Future[Any] = Future()
        self._work.put((future, partial(function, *arguments, **named)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See :class:`concurrent.futures.Executor`; nothing may be submitted afterwards."""
        while cancel_futures and not self._work.empty():
            with suppress(Empty):
                item = self._work.get_nowait()
                if item is not None:
                    item[0].cancel()
        for _ in self._threads:
            self._work.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            future, call = item
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # noqa: BLE001  whoever waits for the future raises it
                    future.set_exception(error)
            # What it holds, a pack perhaps, must not wait for the next piece of work.
            del item, future, call


@contextmanager
def transfer_threads(threads: int, stores: Iterable[RemoteStore]) -> Iterator[Executor]:
    """So many threads for the block. An exception ends the work: no request is repeated; an interruption waits for none."""
    executor = TransferThreads(threads)
    try:
        yield executor
    except BaseException as error:
        for store in stores:
            store.give_up()
        executor.shutdown(not isinstance(error, KeyboardInterrupt), cancel_futures=True)
        raise
    executor.shutdown()
