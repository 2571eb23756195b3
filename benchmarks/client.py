"""A fast HTTP client: one persistent connection, no parsing beyond Content-Length.

boto3 is too slow to measure the server: it makes about 1,000 calls per second. So are asyncio's
streams: with them, 64 clients take more time than the server.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

SIGNED = (  # a server without configured credentials accepts any signature
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/states/aws4_request, "
    "SignedHeaders=host, Signature=" + "0" * 64
)


class Connection(asyncio.Protocol):
    """Sequential calls on one connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._heads: dict[str, bytes] = {}
        self._answer: asyncio.Future[bytes] | None = None

    async def open(self) -> "Connection":
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self.host, self.port)
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._received, self._closing = b"", False

    async def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Raises RuntimeError with the error's body if the status is not 200."""
        head = self._heads.get(operation)
        if head is None:
            head = self._heads[operation] = (
                f"POST / HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: "
                "application/x-amz-json-1.0\r\n"
                f"X-Amz-Target: AWSStepFunctions.{operation}\r\nAuthorization: "
                f"{SIGNED}\r\nContent-Length: "
            ).encode()
        body = msgspec.json.encode(members)
        if self._closing:
            self.close()
            await self.open()
        answer = self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        result: dict[str, Any] = msgspec.json.decode(await answer)
        return result

    def data_received(self, data: bytes) -> None:
        data = self._received = self._received + data if self._received else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = data[:end].lower() + b"\r\n"
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(data) < end + 4 + length:
            return
        body, self._received = data[end + 4 :], b""
        self._closing = b"connection: close" in head or head.startswith(b"http/1.0")
        answer, self._answer = self._answer, None
        assert answer is not None, "the server answered without a call"
        if head.split(b" ", 2)[1] == b"200":
            answer.set_result(body)
        else:
            answer.set_exception(RuntimeError(body.decode()))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(error or RuntimeError("the server closed the connection"))

    def close(self) -> None:
        self._transport.close()


async def load(
    port: int, clients: int, seconds: float, once: Callable[[Connection], Awaitable[None]]
) -> dict[str, float]:
    """Calls of `once` per second by concurrent clients, and their latencies."""
    connections = await asyncio.gather(
        *(Connection("127.0.0.1", port).open() for _ in range(clients))
    )
    latencies: list[float] = []
    began = time.perf_counter()

    async def client(connection: Connection) -> None:
        while (started := time.perf_counter()) - began < seconds:
            await once(connection)
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*map(client, connections))
    wall = time.perf_counter() - began
    for connection in connections:
        connection.close()
    ranked = sorted(latencies)
    return {
        "clients": clients,
        "count": len(ranked),
        "per_second": len(ranked) / wall,
        "p50_ms": ranked[len(ranked) // 2] * 1000,
        "p99_ms": ranked[len(ranked) * 99 // 100] * 1000,
    }
