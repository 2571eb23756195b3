"""Connections between the nodes of a cluster: many calls and requests at a time on one connection.

    frame: length (4 bytes, big-endian), then MessagePack [number, kind, ...]

    to the callee    number CALL    shard, service, method, arguments, context
                     number REQUEST shard, scope, body            an HTTP request for its owner
                     number TAKEN                                 the client has taken a PART
                     number CANCEL
    to the caller    number ANSWER  value
                     number PART    message of ASGI               one at a time: TAKEN asks for more
                     number REFUSAL kind, code, message, reason

Each side first proves that it knows the cluster's key, which is derived from the database's secret,
by an HMAC of the other's nonce. What follows is neither signed nor encrypted: the network between
nodes is private, as the one to the database.

A peer that answers no ping of `node_silence_seconds` is taken for dead: what was called on it ends
with LostAnswerError.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from stepwell.engine.errors import ApiError
from stepwell.engine.store.keepalive import end_when_silent
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import Limits

log: Final = logging.getLogger("stepwell.cluster")

CALL, REQUEST, TAKEN, CANCEL, ANSWER, PART, REFUSAL, PING = range(8)
_API, _AWAY, _FAILED = range(3)  # kinds of REFUSAL
_NONCE: Final = 32
_HELLO: Final = b"stepwell 1 "
_PINGS: Final = 4  # in node_silence_seconds

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Call(NamedTuple):
    """See host.Peers.call(). context: of the caller, for the policies and the traces."""

    shard: int
    service: str
    method: str
    arguments: Mapping[str, Any]
    context: Mapping[str, Any]


class Owner(Protocol):
    """What a node does for the others. Both raise UnreachableError if the shard is not here."""

    async def answer(self, call: Call) -> Any: ...

    async def respond(self, shard: int, scope: Message, body: bytes, send: Send) -> None: ...


# --- frames ---------------------------------------------------------------------------------------


class _Wire:
    """One connection, after the handshake."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int
    ) -> None:
        self._reader, self._writer, self._most = reader, writer, most

    async def read(self) -> list[Any]:
        """The next frame. Raises ConnectionError, OSError, asyncio.IncompleteReadError."""
        length = int.from_bytes(await self._reader.readexactly(4), "big")
        if length > self._most:
            raise ConnectionError(f"a frame of {length} bytes is longer than {self._most}")
        frame: list[Any] = _decode(await self._reader.readexactly(length))
        return frame

    async def write(self, *frame: Any) -> None:
        """Raises ConnectionError, OSError."""
        self.put(*frame)
        await self._writer.drain()

    def put(self, *frame: Any) -> None:
        """Write, and do not wait until the other end takes it."""
        data = _encode(frame)
        if len(data) > self._most:
            raise ValueError(f"a frame of {len(data)} bytes is longer than {self._most}")
        try:
            self._writer.write(len(data).to_bytes(4, "big"))
            self._writer.write(data)
        except RuntimeError as error:  # uvloop: the connection has just been closed
            raise ConnectionError(str(error)) from error

    def close(self) -> None:
        self._writer.close()


def _proof(key: bytes, role: bytes, first: bytes, second: bytes) -> bytes:
    return hmac.digest(key, _HELLO + role + first + second, hashlib.sha256)


def _with_pairs(message: Message) -> Message:
    """The message of ASGI as it was sent: its headers are tuples, which MessagePack has not."""
    if "headers" in message:
        message["headers"] = [(name, value) for name, value in message["headers"]]
    return message


_BROKEN: Final = (OSError, EOFError, msgspec.DecodeError)  # ConnectionError is an OSError


# --- the caller -----------------------------------------------------------------------------------


class _Pending:
    """A call under way. parts: messages of a response, at most one at a time: the callee waits for
    TAKEN.
    """

    def __init__(self, number: int) -> None:
        self.number, self.parts = number, asyncio.Queue[Message]()
        self.ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Link:
    """The connection to one other node, opened when it is needed and again after it broke.

    address  HOST:PORT, where the node's Listener listens
    """

    def __init__(self, address: str, key: bytes, limits: Limits) -> None:
        self.address, self._key, self._limits = address, key, limits
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[_Wire] | None = None
        self._calls: dict[int, _Pending] = {}
        self._number = 0
        self._heard = True
        self._tasks: list[asyncio.Task[None]] = []

    async def call(self, call: Call) -> Any:
        """The answer. Raises ApiError, UnreachableError, LostAnswerError."""
        return await self._exchange(self._new(), CALL, *call)

    async def request(self, shard: int, scope: Message, body: bytes, send: Send) -> None:
        """Let the owner of a shard respond to an HTTP request. Raises UnreachableError before
        anything is sent, LostAnswerError.
        """
        call = self._new()
        work = asyncio.ensure_future(self._exchange(call, REQUEST, shard, scope, body))
        passing = asyncio.ensure_future(self._pass_on(call, send))
        try:
            await asyncio.wait((work, passing), return_when=asyncio.FIRST_COMPLETED)
            await (passing if passing.done() else work)  # it ends only by an error
        finally:
            for task in (work, passing):
                task.cancel()
            await asyncio.gather(work, passing, return_exceptions=True)

    async def _pass_on(self, call: _Pending, send: Send) -> None:
        while True:
            await send(_with_pairs(await call.parts.get()))
            if self._wire is not None:
                await self._wire.write(call.number, TAKEN)

    def _new(self) -> _Pending:
        self._number += 1
        return _Pending(self._number)

    async def _exchange(self, call: _Pending, *frame: Any) -> Any:
        wire = await self._connected()
        self._calls[call.number] = call
        try:
            try:
                await wire.write(call.number, *frame)
            except _BROKEN as error:
                call.ended.cancel()
                self._broke(wire, error)
                raise LostAnswerError(f"{self}: {error!r}") from error
            return await call.ended
        except asyncio.CancelledError:
            if wire is self._wire and (call.ended.cancelled() or not call.ended.done()):
                with suppress(*_BROKEN):
                    await asyncio.shield(wire.write(call.number, CANCEL))
            raise
        finally:
            del self._calls[call.number]

    def __str__(self) -> str:
        return f"node {self.address}"

    async def _connected(self) -> _Wire:
        """All that call while there is no connection wait for the same attempt."""
        if self._wire is not None:
            return self._wire
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_in_time(), name="stepwell-link")
            self._opening.add_done_callback(self._opened)
        opening = self._opening
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if opening.cancelled():
                raise UnreachableError(f"{self}: the link was closed") from None
            raise

    def _opened(self, opening: asyncio.Task[_Wire]) -> None:
        self._opening = None
        if not opening.cancelled():
            opening.exception()  # all that waited for it may have been cancelled

    async def _open_in_time(self) -> _Wire:
        try:
            async with asyncio.timeout(self._limits.node_silence_seconds):
                wire = await self._open()
        except (*_BROKEN, TimeoutError) as error:
            raise UnreachableError(f"{self}: {error!r}") from error
        for task in self._tasks:
            task.cancel()
        self._wire = wire
        self._tasks = [
            asyncio.create_task(each, name="stepwell-link")
            for each in (self._receive(wire), self._ping(wire))
        ]
        return wire

    async def _open(self) -> _Wire:
        host, _, port = self.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        try:
            end_when_silent(writer.transport, self._limits.node_silence_seconds)
            nonce = secrets.token_bytes(_NONCE)
            theirs = await reader.readexactly(_NONCE)
            writer.write(nonce + _proof(self._key, b"caller", theirs, nonce))
            proof = await reader.readexactly(32)
            if not hmac.compare_digest(proof, _proof(self._key, b"callee", nonce, theirs)):
                raise ConnectionError("it does not belong to this cluster")
        except BaseException:
            writer.close()
            raise
        return _Wire(reader, writer, self._limits.node_frame_bytes)

    async def _receive(self, wire: _Wire) -> None:
        fault: BaseException = ConnectionError("it was closed")
        try:
            while True:
                number, kind, *rest = await wire.read()
                self._heard = True
                call = self._calls.get(number)
                if call is None or call.ended.done():
                    continue
                if kind == PART:
                    call.parts.put_nowait(*rest)
                elif kind == ANSWER:
                    call.ended.set_result(*rest)
                elif kind == REFUSAL:
                    call.ended.set_exception(_refusal(self, *rest))
        except _BROKEN as error:
            fault = error
        finally:
            self._broke(wire, fault)

    async def _ping(self, wire: _Wire) -> None:
        """It counts pings, not time: after a freeze of this process there may be answers to read,
        and it does not wait for room in a connection that takes nothing more.
        """
        silence, unanswered = self._limits.node_silence_seconds, 0
        try:
            while wire is self._wire:
                self._heard = False
                wire.put(0, PING)
                await asyncio.sleep(silence / _PINGS)
                unanswered = 0 if self._heard else unanswered + 1
                if unanswered == _PINGS:
                    raise ConnectionError(f"it was silent for {silence} s")
        except _BROKEN as fault:
            self._broke(wire, fault)

    def _broke(self, wire: _Wire, fault: BaseException) -> None:
        wire.close()
        if wire is not self._wire:
            return
        self._wire = None
        for call in self._calls.values():
            if not call.ended.done():
                call.ended.set_exception(LostAnswerError(f"{self}: {fault!r}"))

    async def close(self, reason: str = "this node is closing") -> None:
        """End its calls."""
        if self._opening is not None:
            self._opening.cancel()
        if self._wire is not None:
            self._broke(self._wire, ConnectionError(reason))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _refusal(link: Link, kind: int, code: str, message: str, reason: str | None) -> Exception:
    if kind == _API:
        return ApiError(code, message, reason)
    return (UnreachableError if kind == _AWAY else LostAnswerError)(f"{link}: {message}")


# --- the callee -----------------------------------------------------------------------------------


class Listener:
    """Answers the calls of other nodes."""

    def __init__(self, owner: Owner, key: bytes, limits: Limits) -> None:
        self._owner, self._key, self._limits = owner, key, limits
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, listening: socket.socket) -> None:
        self._server = await asyncio.start_server(self._accept, sock=listening)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        end_when_silent(writer.transport, self._limits.node_silence_seconds)
        try:
            async with asyncio.timeout(self._limits.node_silence_seconds):
                if not await self._greeted(reader, writer):
                    return
            await _Connection(
                _Wire(reader, writer, self._limits.node_frame_bytes), self._owner, self._limits
            ).serve()
        except (*_BROKEN, TimeoutError) as error:
            log.debug("a connection of another node ended: %r", error)
        except asyncio.CancelledError:
            pass  # close()
        finally:
            writer.close()
            self._connections.discard(task)

    async def _greeted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        nonce = secrets.token_bytes(_NONCE)
        writer.write(nonce)
        theirs = await reader.readexactly(_NONCE)
        proof = await reader.readexactly(32)
        if not hmac.compare_digest(proof, _proof(self._key, b"caller", nonce, theirs)):
            log.warning(
                "refused %s: it does not know the key of this cluster",
                writer.get_extra_info("peername"),
            )
            return False
        writer.write(_proof(self._key, b"callee", theirs, nonce))
        return True


class _Connection:
    """One connection of another node, and what it has asked for."""

    def __init__(self, wire: _Wire, owner: Owner, limits: Limits) -> None:
        self._wire, self._owner, self._limits = wire, owner, limits
        self._work: dict[int, asyncio.Task[None]] = {}
        self._taken: dict[int, asyncio.Event] = {}

    async def serve(self) -> None:
        try:
            while True:
                number, kind, *rest = await self._wire.read()
                if kind == PING:
                    await self._wire.write(number, PING)
                elif kind == CANCEL:
                    if number in self._work:
                        self._work[number].cancel()
                elif kind == TAKEN:
                    if number in self._taken:
                        self._taken[number].set()
                elif len(self._work) >= self._limits.node_calls:
                    await self._wire.write(number, REFUSAL, _AWAY, "", "it is busy", None)
                else:
                    run = self._call if kind == CALL else self._request
                    self._work[number] = task = asyncio.create_task(self._run(number, run, rest))
                    task.add_done_callback(partial(self._forget, number))
        finally:
            for task in list(self._work.values()):
                task.cancel()

    def _forget(self, number: int, task: asyncio.Task[None]) -> None:
        del self._work[number]

    async def _run(self, number: int, run: Callable[..., Awaitable[Any]], frame: list[Any]) -> None:
        try:
            answer: tuple[Any, ...] = (ANSWER, await run(number, *frame))
        except ApiError as error:
            answer = (REFUSAL, _API, error.code, error.message, error.reason)
        except UnreachableError as error:
            answer = (REFUSAL, _AWAY, "", str(error), None)
        except LostAnswerError as error:
            answer = (REFUSAL, _FAILED, "", str(error), None)
        except Exception as error:
            log.error("a call of another node failed: %r", error, exc_info=error)
            answer = (REFUSAL, _FAILED, "", repr(error), None)
        with suppress(*_BROKEN):
            try:
                await self._wire.write(number, *answer)
            except (ValueError, TypeError, OverflowError) as error:  # no frame can hold it
                log.error("the answer to a call of another node cannot be sent: %s", error)
                await self._wire.write(number, REFUSAL, _FAILED, "", str(error), None)

    async def _call(self, number: int, *frame: Any) -> Any:
        return await self._owner.answer(Call(*frame))

    async def _request(self, number: int, shard: int, scope: Message, body: bytes) -> None:
        taken = self._taken[number] = asyncio.Event()

        async def send(message: Message) -> None:
            taken.clear()
            await self._wire.write(number, PART, message)
            await taken.wait()

        try:
            await self._owner.respond(shard, _with_pairs(scope), body, send)
        finally:
            del self._taken[number]
