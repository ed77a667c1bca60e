"""What transfers have in common: how many requests at once a bound on memory allows, and what was asked of remotes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

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


@contextmanager
def transfer_threads(threads: int, stores: Iterable[RemoteStore]) -> Iterator[Executor]:
    """So many threads for the block. An exception ends them as soon as the requests under way are done: none is repeated."""
    executor = ThreadPoolExecutor(threads)
    try:
        yield executor
    except BaseException:
        for store in stores:
            store.give_up()
        executor.shutdown(cancel_futures=True)
        raise
    executor.shutdown()
