"""A TCP proxy that breaks connections on purpose: it cuts, stalls or mangles at chosen bytes, and counts what passes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["up", "down"]


@dataclass
class Fault:
    """At byte ``at`` (counted over all connections, from 0) in one direction: ``up`` is to the server."""

    action: Literal["cut", "stall", "mangle"]
    at: int
    direction: Direction = "down"


@dataclass
class Proxy:
    """Passes bytes between clients and a server on the loopback. ``passed`` counts the bytes each way since a reset.

    A fault happens once. A stalled connection passes nothing more, either way, until the client gives it up.
    """

    target: int
    port: int = 0
    faults: list[Fault] = field(default_factory=list)
    passed: dict[Direction, int] = field(default_factory=lambda: {"up": 0, "down": 0})
    connections: int = 0

    def reset(self, *faults: Fault) -> None:
        """Count from 0 again, with these faults to come."""
        self.faults = list(faults)
        self.passed = {"up": 0, "down": 0}
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        writers = [writer]
        ways: list[asyncio.Task[None]] = []
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.target)
                writers.append(inner_writer)
                ways += [
                    asyncio.ensure_future(self._pass(reader, inner_writer, "up", writers)),
                    asyncio.ensure_future(self._pass(inner_reader, writer, "down", writers)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for open_writer in writers:
                open_writer.close()

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        direction: Direction,
        writers: list[asyncio.StreamWriter],
    ) -> None:
        while data := await reader.read(1 << 16):
            start = self.passed[direction]
            self.passed[direction] += len(data)
            fault = self._due(direction, start, len(data))
            if fault is not None:
                place = fault.at - start
                if fault.action == "mangle":
                    data = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
                else:
                    writer.write(data[:place])
                    await writer.drain()
                    if fault.action == "stall":
                        # Until the client closes its end.
                        while await reader.read(1 << 16):
                            pass
                        await asyncio.Event().wait()
                    for open_writer in writers:
                        open_writer.transport.abort()
                    return
            writer.write(data)
            await writer.drain()

    def _due(self, direction: Direction, start: int, length: int) -> Fault | None:
        for fault in self.faults:
            if fault.direction == direction and start <= fault.at < start + length:
                self.faults.remove(fault)
                return fault
        return None


@contextlib.contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A proxy in a thread of its own, in front of a server's port."""
    proxy = Proxy(port)
    loop = asyncio.new_event_loop()
    is_ready = threading.Event()
    stop = asyncio.Event()

    async def main() -> None:
        tasks: set[asyncio.Task[None]] = set()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await proxy.serve(reader, writer)
            finally:
                tasks.discard(task)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        is_ready.set()
        await stop.wait()
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    is_ready.wait()
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
