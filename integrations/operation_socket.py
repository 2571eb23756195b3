"""How the process that has a database open carries out operations for other processes.

It listens on a Unix socket for processes of the same user: PATH.sock beside the database file, or,
for a database on a server, one of its own in the user's data folder. The operations are those of
the API, by the names of the Engine's methods. One request a connection, one line of JSON each way:

    {"operation": "stop_execution", "arguments": {"execution_arn": ARN}}
        ->  {"answer": {...}} or {"code", "message"}

The operation `owner` answers with the process itself: {"pid", "url"?}; url: of a server.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import socket as sockets
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.errors import UsageError

OWNER: Final = "owner"
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid
NOT_OFFERED: Final = frozenset({"open", "close"})


PATH_BYTES: Final = 103  # of the path of a socket that every system takes
_FOLDERS: Final = "/proc/self/fd"  # of Linux: a short path to a folder that is open


def reachable(socket: Path) -> bool:
    """Whether a process can listen there, however long the path is."""
    name = f"{_FOLDERS}/{1 << 20}/{socket.name}" if os.path.isdir(_FOLDERS) else str(socket)
    return len(os.fsencode(name)) <= PATH_BYTES


@contextmanager
def _address(socket: Path) -> Iterator[str]:
    """A path that is short enough. Raises OSError."""
    if len(os.fsencode(socket)) <= PATH_BYTES:
        yield str(socket)
        return
    folder = os.open(socket.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"{_FOLDERS}/{folder}/{socket.name}"
    finally:
        os.close(folder)


def _of_this_user(connection: Any) -> bool:
    """Whether the listener runs as this user, or as root, who owns all."""
    option = getattr(sockets, "SO_PEERCRED", None)
    if option is None:
        return True
    credentials = connection.getsockopt(sockets.SOL_SOCKET, option, _CREDENTIALS.size)
    return _CREDENTIALS.unpack(credentials)[1] in (0, os.geteuid())


async def carry_out(engine: Any, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of an operation. Raises ApiError.

    engine  an Engine, or what has its operations
    """
    from stepwell.engine.engine import Engine  # imported late: those that only ask need none

    method = getattr(Engine, operation, None)
    if operation.startswith("_") or operation in NOT_OFFERED or not _is_operation(method):
        raise ApiError("UnknownOperationException", f"{operation} is not an operation")
    answer: dict[str, Any] = await getattr(engine, operation)(**arguments)
    return answer


def _is_operation(method: object) -> bool:
    return inspect.iscoroutinefunction(method)


def _line_bytes(limits: Limits) -> int:
    """A definition, or a payload, with every character escaped."""
    return 8 * max(limits.payload_bytes, limits.definition_bytes)


async def request(
    socket: Path,
    operation: str,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """The answer of the process that has the database open. Raises OSError if it does not listen,
    ApiError, UsageError if it ends meanwhile.
    """
    with _address(socket) as path:
        reader, writer = await asyncio.open_unix_connection(path, limit=_line_bytes(limits))
    if not _of_this_user(writer.get_extra_info("socket")):
        writer.close()
        raise PermissionError(f"{socket} is a socket of another user")
    with suppress(ConnectionError):
        asked = {"operation": operation, "arguments": arguments or {}}
        writer.write(json.dumps(asked).encode() + b"\n")
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
async def listening(engine: Any, socket: Path, url: str | None = None) -> AsyncIterator[None]:
    """Answer the requests of other processes meanwhile.

    engine  an Engine, or what has its operations
    url     of the server that this process is; None: it is another command
    """
    owner = {"pid": os.getpid(), **({} if url is None else {"url": url})}
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(task := asyncio.current_task())  # type: ignore[arg-type]
        task.add_done_callback(connections.discard)  # type: ignore[union-attr]
        work = asyncio.ensure_future(_answered(engine, owner, await reader.readline()))
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

    with suppress(OSError):
        os.unlink(socket)  # left by a process that was killed: this one owns the database now
    umask = os.umask(0o177)
    try:
        with _address(socket) as path:
            server = await asyncio.start_unix_server(serve, path, limit=_line_bytes(engine.limits))
    except OSError:  # the file system has no sockets, or something else is there
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
                os.unlink(socket)


async def _answered(engine: Any, owner: dict[str, Any], line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
        if asked["operation"] == OWNER:
            return {"answer": owner}
        return {"answer": await carry_out(engine, asked["operation"], asked["arguments"])}
    except ApiError as error:
        return {"code": error.code, "message": error.message}
    except (ValueError, KeyError, TypeError) as error:
        return {"code": "ValidationException", "message": f"not a request: {error!r}"}
