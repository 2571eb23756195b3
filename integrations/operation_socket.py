"""How the process that has a database open carries out a few operations for other processes.

It listens on a Unix socket for processes of the same user: PATH.sock beside the database file, or,
for a database on a server, in the user's data folder. One request a connection, one line of JSON
each way:

    ["stop_execution", ARN, error, cause]  ->  {"answer": {...}} or {"code", "message"}
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.errors import UsageError

OPERATIONS: Final[dict[str, Callable[..., Awaitable[dict[str, Any]]]]] = {
    "stop_execution": lambda engine, arn, error, cause: engine.stop_execution(
        arn, error=error, cause=cause
    ),
    "fire_timer": lambda engine, arn, state: engine.fire_timer(arn, state_name=state),
    "advance_time": lambda engine, seconds, until: engine.advance_time(
        seconds=seconds, until=until
    ),
    "send_task_success": lambda engine, token, output: engine.send_task_success(token, output),
    "send_task_failure": lambda engine, token, error, cause: engine.send_task_failure(
        token, error, cause
    ),
    "send_task_heartbeat": lambda engine, token: engine.send_task_heartbeat(token),
    "get_activity_task": lambda engine, arn, worker, timeout: engine.get_activity_task(
        arn, worker, timeout
    ),
}


def _line_bytes(limits: Limits) -> int:
    """A payload with every character escaped."""
    return 8 * limits.payload_bytes


async def request(
    socket: Path, operation: str, *arguments: Any, limits: Limits = DEFAULT_LIMITS
) -> dict[str, Any]:
    """The answer of the process that has the database open. Raises OSError if it does not listen,
    ApiError, UsageError if it ends meanwhile.
    """
    reader, writer = await asyncio.open_unix_connection(str(socket), limit=_line_bytes(limits))
    with suppress(ConnectionError):
        writer.write(json.dumps([operation, *arguments]).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
        writer.close()
        if line:
            answered: dict[str, Any] = json.loads(line)
            if "code" in answered:
                raise ApiError(answered["code"], answered["message"])
            answer: dict[str, Any] = answered["answer"]
            return answer
    raise UsageError("the process that had the database open has just ended: try again")


@asynccontextmanager
async def listening(engine: Engine, socket: Path) -> AsyncIterator[None]:
    """Answer the requests of other processes meanwhile."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(task := asyncio.current_task())  # type: ignore[arg-type]
        task.add_done_callback(connections.discard)  # type: ignore[union-attr]
        work = asyncio.ensure_future(_carry_out(engine, await reader.readline()))
        disconnected = asyncio.ensure_future(reader.read(1))
        try:
            # a client that disconnects cancels its request: it must not take a task
            await asyncio.wait({work, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                writer.write(json.dumps(work.result()).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            return
        finally:
            for each in (work, disconnected):
                each.cancel()
            await asyncio.gather(work, disconnected, return_exceptions=True)
            writer.close()

    name = str(socket)
    with suppress(FileNotFoundError):
        os.unlink(name)  # left by a process that was killed: this one owns the database now
    umask = os.umask(0o177)
    try:
        server = await asyncio.start_unix_server(serve, name, limit=_line_bytes(engine.limits))
    except OSError:  # the path is too long for a socket, or the file system supports none
        server = None
    finally:
        os.umask(umask)
    try:
        yield
    finally:
        if server is not None:
            server.close()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)
            with suppress(FileNotFoundError):
                os.unlink(name)


async def _carry_out(engine: Engine, line: bytes) -> dict[str, Any]:
    try:
        operation, *arguments = json.loads(line)
        return {"answer": await OPERATIONS[operation](engine, *arguments)}
    except ApiError as error:
        return {"code": error.code, "message": error.message}
    except (ValueError, KeyError, TypeError) as error:
        return {"code": "ValidationException", "message": f"not a request: {error!r}"}
