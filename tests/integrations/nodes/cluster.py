"""A cluster as its users have one: several `stepwell serve` on one PostgreSQL, behind a load
balancer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.integrations.server.live import Live, eventually


class Balancer:
    """An HTTP proxy that sends each request to the next node that is ready. A node that refuses the
    connection is left out, and the request goes to the next.
    """

    def __init__(self) -> None:
        self.nodes: list[tuple[str, int]] = []
        self.ready: list[tuple[str, int]] = []
        self._turn = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = threading.Event()
        self._thread.start()
        self._started.wait(60)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._started.set()
        while not self._stop.is_set():
            self.ready = [each for each in list(self.nodes) if await self._is_ready(each)]
            with suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await self._stop.wait()
        server.close()
        open_requests = asyncio.all_tasks() - {asyncio.current_task()}
        for task in open_requests:
            task.cancel()
        await asyncio.gather(*open_requests, return_exceptions=True)

    async def _is_ready(self, node: tuple[str, int]) -> bool:
        with suppress(OSError, TimeoutError, EOFError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(*node)
                writer.write(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                head = await reader.readline()
                writer.close()
                return b" 200 " in head
        return False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head[:-4].split(b"\r\n")
            names = {line.partition(b":")[0].lower(): line for line in lines[1:]}
            length = int(names.get(b"content-length", b"x:0").partition(b":")[2])
            if b"expect" in names:
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                lines.remove(names[b"expect"])
            body = await reader.readexactly(length)
            kept = [line for line in lines if not line.lower().startswith(b"connection:")]
            request = b"\r\n".join([*kept, b"Connection: close", b"", b""]) + body
            there, back = await self._connected()
            back.write(request)
            left = asyncio.ensure_future(reader.read())  # the client has nothing more to say
            left.add_done_callback(lambda _: back.close())
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()
            left.cancel()
        except (OSError, EOFError):
            pass
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        for _ in range(100):
            nodes = self.ready or self.nodes
            self._turn += 1
            with suppress(OSError):
                return await asyncio.open_connection(*nodes[self._turn % len(nodes)])
            await asyncio.sleep(0.02)
        raise ConnectionError("no node is ready")


class Cluster:
    """Nodes and their balancer. Has what tests use of Live: url, client()."""

    def __init__(self, home: dict[str, str], db: str, **limits: Any) -> None:
        self._home, self.db = home, db
        self._limits = Path(home["HOME"]) / "limits.json"
        self._limits.write_text(json.dumps(QUICK | limits))
        self.nodes: list[Live] = []
        self.balancer = Balancer()

    def start(self, *options: object, **settings: Any) -> Live:
        """Another node, once it listens."""
        limits = ("--limits", self._limits)
        node = Live(self._home, self.db, *options, *limits, **settings)  # type: ignore[arg-type]
        self.nodes.append(node)
        self.balancer.nodes.append(_address(node))
        return node

    def settled(self, seconds: float = 60) -> None:
        """Wait until each node that runs owns its share of the shards."""

        def shares() -> bool:
            running = [each for each in self.nodes if each.process.poll() is None]
            owned = [owned_shards(each) for each in running]
            return sum(owned) == SHARDS and max(owned) - min(owned) <= 1

        try:
            eventually(shares, seconds)
            eventually(lambda: len(self.balancer.ready) == len(self.balancer.nodes))
        except AssertionError:
            raise AssertionError("\n".join(map(_state, self.nodes))) from None

    def end(self, node: Live, number: int) -> None:
        """Send a signal and take the node out once it has ended."""
        node.process.send_signal(number)
        node.process.wait(60)
        self.balancer.nodes.remove(_address(node))
        self.nodes.remove(node)
        node.close()

    @property
    def url(self) -> str:
        return self.balancer.url

    def client(self, service: str = "stepfunctions", **config: Any) -> Any:
        return Live.client(self, service, **config)  # type: ignore[arg-type]

    def close(self) -> None:
        self.balancer.close()
        for each in self.nodes:
            each.close()


SHARDS = 8
QUICK = {"untaken_seconds": 0.5, "linger_seconds": 1.0}
"""Limits of the nodes: so that shards move without long waits."""


def _address(node: Live) -> tuple[str, int]:
    parts = urlsplit(node.url)
    return str(parts.hostname), int(parts.port or 0)


def owned_shards(node: Live) -> int:
    for line in node.get("/metrics").splitlines():
        if line.startswith("stepwell_shards_owned "):
            return int(float(line.split()[1]))
    raise AssertionError("no metric of shards")


def _state(node: Live) -> str:
    ready = "?"
    with suppress(OSError):
        ready = f"{owned_shards(node)} {node.get('/ready')}"
    lines = "\n".join(f"  {each}" for each in node.log[-40:])
    return f"{node.process.pid}: {node.process.poll()} {ready!r}\n{lines}"


@contextmanager
def cluster(home: dict[str, str], db: str, nodes: int = 2, **limits: Any) -> Iterator[Cluster]:
    whole = Cluster(home, db, **limits)
    try:
        for _ in range(nodes):
            whole.start()
        whole.settled()
        yield whole
    finally:
        whole.close()
