"""A fast HTTP client: one persistent connection, no parsing beyond Content-Length.

boto3 is too slow to measure the server: it makes about 1,000 calls per second.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

SIGNED = (  # a server without configured credentials accepts any signature
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/states/aws4_request, "
    "SignedHeaders=host, Signature=" + "0" * 64
)


class Connection:
    """Sequential calls on one connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    async def open(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)
        return self

    async def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """Raises RuntimeError with the error's body if the status is not 200."""
        body = json.dumps(members).encode()
        self._writer.write(
            f"POST / HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: "
            "application/x-amz-json-1.0\r\n"
            f"X-Amz-Target: AWSStepFunctions.{operation}\r\nAuthorization: "
            f"{SIGNED}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        answer = await self._reader.readexactly(length)
        if b"connection: close" in head or head.startswith(b"http/1.0"):
            self.close()
            await self.open()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(answer.decode())
        result: dict[str, Any] = json.loads(answer)
        return result

    def close(self) -> None:
        self._writer.close()


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
        "per_second": len(ranked) / wall,
        "p50_ms": ranked[len(ranked) // 2] * 1000,
        "p99_ms": ranked[len(ranked) * 99 // 100] * 1000,
    }
