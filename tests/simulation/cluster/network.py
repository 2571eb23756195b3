"""What is between the nodes of a simulated cluster: the calls of Link and the answers of Listener,
which may be lost, late, or come from a node that is dead or frozen.
"""

import asyncio
import socket
from asyncio import FIRST_COMPLETED
from contextvars import Context
from typing import TYPE_CHECKING, Any

import msgspec
from tests.simulation.virtual import PROCESS

from stepwell.engine.errors import ApiError
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import Limits
from stepwell.integrations.nodes.links import Call

if TYPE_CHECKING:
    from tests.simulation.cluster.nodes import Process


class Listener:
    """In place of links.Listener."""

    def __init__(self, owner: Any, key: bytes, limits: Limits) -> None:
        self._process: Process = PROCESS.get()

    async def open(self, listening: socket.socket) -> None:
        self._process.listening = True

    async def close(self) -> None:
        self._process.listening = False


class Link:
    """In place of links.Link."""

    def __init__(self, address: str, key: bytes, limits: Limits) -> None:
        self.address, self._limits, self._closed = address, limits, asyncio.Event()
        self._process: Process = PROCESS.get()

    async def call(self, call: Call) -> Any:
        process, world = self._process, self._process.world
        if process.dead:
            await asyncio.Future()
        callee = world.addresses[self.address]
        frame = msgspec.msgpack.encode(call)
        await world.pause()
        if not callee.listening or (callee.frozen and world.rng.random() < 0.3):
            if callee.frozen:
                await asyncio.sleep(self._limits.node_silence_seconds)
            raise UnreachableError(f"{self.address} cannot be reached")
        fault = world.network_fault()
        if fault == "unreachable":
            raise UnreachableError(f"{self.address} cannot be reached")
        if fault == "late":
            delay = world.rng.choice((0.5, 5, 12))
            world.loop.call_later(delay, _begin, callee, frame, context=Context())
            raise LostAnswerError("the connection broke")
        task = _begin(callee, frame)
        if task is None:
            raise LostAnswerError("the connection broke")
        closed = asyncio.create_task(self._closed.wait())
        try:
            while not task.done():
                silence = self._limits.node_silence_seconds
                await asyncio.wait([task, closed], timeout=silence, return_when=FIRST_COMPLETED)
                if not task.done() and closed.done():
                    raise LostAnswerError("the link was closed")
                if not task.done() and (callee.frozen or callee.dead):
                    raise LostAnswerError("it was silent")
        except asyncio.CancelledError:
            if world.rng.random() < 0.8:
                world.loop.call_later(0.01, task.cancel, context=Context())
            raise
        finally:
            closed.cancel()
        await world.pause()
        if fault == "lost answer":
            raise LostAnswerError("the connection broke")
        return _answer(task)

    async def close(self, reason: str = "") -> None:
        self._closed.set()


def _begin(callee: "Process", frame: bytes) -> "asyncio.Task[Any] | None":
    if callee.dead or not callee.listening:
        return None
    task = callee.run(callee.world.loop.create_task, callee.node.answer(Call(*_decoded(frame))))
    task.add_done_callback(_seen, context=Context())
    return task


def _decoded(frame: bytes) -> Any:
    return msgspec.msgpack.decode(frame)


def _seen(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _answer(task: "asyncio.Task[Any]") -> Any:
    if task.cancelled():
        raise LostAnswerError("the connection broke")
    error = task.exception()
    if error is None:
        return _decoded(msgspec.msgpack.encode(task.result()))
    if isinstance(error, ApiError):
        raise ApiError(error.code, error.message, error.reason)
    if isinstance(error, UnreachableError):
        raise UnreachableError(str(error))
    raise LostAnswerError(repr(error))
