"""The connection between nodes: real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from stepwell.engine.errors import ApiError
from stepwell.integrations import loop
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.nodes.links import Call, Link, Listener, Message, Send

PATIENT = replace(DEFAULT_LIMITS, node_silence_seconds=60)  # a busy machine is not a silent node
LIMITS = replace(DEFAULT_LIMITS, node_silence_seconds=0.5)
CONTEXT = {"reached": "", "anonymous": False}


class Owner:
    """Shard 0 is here. Its methods are those of a test."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()
        self.sent: list[bytes] = []

    async def answer(self, call: Call) -> Any:
        if call.shard:
            raise UnreachableError("not here")
        return await getattr(self, call.method)(**call.arguments)

    async def echo(self, value: Any) -> Any:
        return value

    async def make(self, size: int) -> Any:
        return object() if size < 0 else "x" * size  # no MessagePack, or so much of it

    async def refuse(self) -> None:
        raise ApiError("InvalidName", "text", "REASON")

    async def fail(self) -> None:
        raise RuntimeError("a bug")

    async def hang(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def respond(self, shard: int, scope: Message, body: bytes, send: Send) -> None:
        self.begun.set()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"a", body)]})
            for number in range(scope["parts"]):
                self.sent.append(b"%d" % number)
                await send({"type": "http.response.body", "body": b"%d" % number})
        finally:
            self.cancelled.set()


async def opened(listener: Listener) -> str:
    """Its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    await listener.open(listening)
    return f"127.0.0.1:{listening.getsockname()[1]}"


def address_of(server: asyncio.Server) -> str:
    return f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def linked(
    key: bytes = b"key", limits: Limits = PATIENT
) -> AsyncIterator[tuple[Owner, Link]]:
    owner = Owner()
    listener = Listener(owner, b"key", limits)
    link = Link(await opened(listener), key, limits)
    try:
        yield owner, link
    finally:
        await link.close()
        await listener.close()


@asynccontextmanager
async def proxied(reads: bool) -> AsyncIterator[tuple[Link, asyncio.Event]]:
    """A link through a proxy, which passes nothing on any more once the event is set. reads: it
    still takes what is sent.
    """
    listener, stopped = Listener(Owner(), b"key", LIMITS), asyncio.Event()
    port = int((await opened(listener)).rpartition(":")[2])

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while (reads or not stopped.is_set()) and (data := await source.read(9999)):
            if not stopped.is_set():
                sink.write(data)

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    proxy = await asyncio.start_server(through, "127.0.0.1", 0)
    link = Link(address_of(proxy), b"key", LIMITS)
    try:
        yield link, stopped
    finally:
        await link.close()
        proxy.close()
        await listener.close()


async def test_calls_are_answered_in_any_order() -> None:
    async with linked() as (_, link):
        hanging = asyncio.create_task(link.call(Call(0, "s", "hang", {}, CONTEXT)))
        values = [
            {"text": "é", "data": b"\0\xff", "number": 1.5, "none": None},
            [1, [2]],
            "x" * 9_999,
        ]
        for value in values:
            assert await link.call(Call(0, "s", "echo", {"value": value}, CONTEXT)) == value
        hanging.cancel()
        with suppress(asyncio.CancelledError):
            await hanging


async def test_errors_tell_whether_the_call_may_have_been_carried_out() -> None:
    async with linked() as (_, link):
        with pytest.raises(ApiError) as refused:
            await link.call(Call(0, "s", "refuse", {}, CONTEXT))
        assert (refused.value.code, refused.value.reason) == ("InvalidName", "REASON")
        with pytest.raises(UnreachableError):
            await link.call(Call(7, "s", "echo", {"value": 1}, CONTEXT))
        with pytest.raises(LostAnswerError):
            await link.call(Call(0, "s", "fail", {}, CONTEXT))
    with pytest.raises(UnreachableError):
        await link.call(Call(0, "s", "echo", {"value": 1}, CONTEXT))


async def test_an_answer_that_no_frame_can_hold_is_an_error_of_its_call() -> None:
    async with linked(limits=replace(PATIENT, node_frame_bytes=2_000)) as (_, link):
        for size in (5_000, -1):
            with pytest.raises(LostAnswerError):
                call = Call(0, "s", "make", {"size": size}, CONTEXT)
                await asyncio.wait_for(link.call(call), 10)
        assert await link.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)) == 1


async def test_a_cancelled_call_is_cancelled_at_the_other_node() -> None:
    async with linked() as (owner, link):
        task = asyncio.create_task(link.call(Call(0, "s", "hang", {}, CONTEXT)))
        await asyncio.wait_for(owner.begun.wait(), 60)
        task.cancel()
        await asyncio.wait_for(owner.cancelled.wait(), 60)


async def test_a_node_that_ends_loses_the_answers_of_its_calls() -> None:
    owner = Owner()
    listener = Listener(owner, b"key", PATIENT)
    link = Link(await opened(listener), b"key", PATIENT)
    task = asyncio.create_task(link.call(Call(0, "s", "hang", {}, CONTEXT)))
    await asyncio.wait_for(owner.begun.wait(), 60)
    await listener.close()
    with pytest.raises(LostAnswerError):
        await asyncio.wait_for(task, 60)
    await link.close()


def test_a_call_on_a_connection_that_has_just_closed_is_a_lost_one() -> None:
    """uvloop, on which servers run, raises another error then than asyncio."""

    async def call() -> None:
        async with linked() as (_, link):
            assert await link.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)) == 1
            assert link._wire is not None
            link._wire._writer.transport.abort()
            await asyncio.sleep(0)  # closed, and the link has not heard of it yet
            with pytest.raises(LostAnswerError):
                await link.call(Call(0, "s", "echo", {"value": 2}, CONTEXT))
            assert await link.call(Call(0, "s", "echo", {"value": 3}, CONTEXT)) == 3

    loop.run(call())


async def test_a_silent_node_is_taken_for_dead() -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link(address_of(server), b"key", LIMITS)
    with pytest.raises(UnreachableError):
        await asyncio.wait_for(link.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)), 60)
    server.close()

    async with proxied(reads=True) as (far, silent):
        assert await far.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)) == 1
        silent.set()
        with pytest.raises(LostAnswerError):
            await asyncio.wait_for(far.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)), 60)


async def test_all_calls_wait_for_one_attempt_to_connect() -> None:
    """One after the other, a thousand calls to a node without power would wait for an hour."""
    accepted, connecting = 0, asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        connecting.set()
        await asyncio.Event().wait()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    link = Link(address_of(server), b"key", LIMITS)
    calls = [asyncio.create_task(link.call(Call(0, "s", "e", {}, CONTEXT))) for _ in range(50)]
    await asyncio.wait_for(connecting.wait(), 60)
    calls[0].cancel()  # the others still wait
    ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)
    assert isinstance(ended[0], asyncio.CancelledError)
    assert all(isinstance(each, UnreachableError) for each in ended[1:])
    assert accepted == 1
    server.close()


async def test_a_link_that_is_closed_ends_its_calls() -> None:
    """Those that connect have not been carried out; those that were sent may have been."""
    silent = await asyncio.start_server(lambda *_: asyncio.Event().wait(), "127.0.0.1", 0)
    far = Link(address_of(silent), b"key", replace(LIMITS, node_silence_seconds=600))
    connecting = asyncio.create_task(far.call(Call(0, "s", "echo", {}, CONTEXT)))
    async with linked() as (owner, link):
        hanging = asyncio.create_task(link.call(Call(0, "s", "hang", {}, CONTEXT)))
        await asyncio.wait_for(owner.begun.wait(), 60)
        await far.close()
        await link.close("the node is dead")
        with pytest.raises(UnreachableError):
            await asyncio.wait_for(connecting, 60)
        with pytest.raises(LostAnswerError, match="the node is dead"):
            await asyncio.wait_for(hanging, 60)
    silent.close()


async def test_a_node_that_takes_no_bytes_is_taken_for_dead() -> None:
    """Its connection is full: the ping must not wait until there is room."""
    async with proxied(reads=False) as (far, full):
        assert await far.call(Call(0, "s", "echo", {"value": 1}, CONTEXT)) == 1
        full.set()
        value = "x" * 30_000_000  # more than the kernel takes for a reader that does not read
        calls = [far.call(Call(0, "s", "echo", {"value": value}, CONTEXT)) for _ in range(2)]
        ended = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 20)
        assert all(isinstance(each, LostAnswerError) for each in ended), ended


async def test_a_node_without_the_key_is_refused() -> None:
    async with linked(b"another key") as (_, link):
        with pytest.raises(UnreachableError):
            await link.call(Call(0, "s", "echo", {"value": 1}, CONTEXT))


async def test_a_response_waits_for_its_client() -> None:
    async with linked() as (owner, link):
        got: list[Message] = []
        slow, waits = asyncio.Event(), asyncio.Event()

        async def send(message: Message) -> None:
            got.append(message)
            if len(got) == 3:
                waits.set()
                await slow.wait()

        task = asyncio.create_task(link.request(0, {"parts": 50}, b"body", send))
        await asyncio.wait_for(waits.wait(), 60)
        await asyncio.sleep(0.2)  # for one too many
        assert len(owner.sent) == 2  # a client that does not read holds the owner up
        slow.set()
        await asyncio.wait_for(task, 60)
        assert got[0]["headers"] == [(b"a", b"body")]  # a server looks them up
        assert [each["body"] for each in got[1:]] == [b"%d" % each for each in range(50)]


async def test_a_client_that_leaves_ends_the_response() -> None:
    async with linked() as (owner, link):

        async def send(message: Message) -> None:
            sending.set()
            await asyncio.Event().wait()

        sending = asyncio.Event()
        task = asyncio.create_task(link.request(0, {"parts": 50}, b"", send))
        await asyncio.wait_for(sending.wait(), 60)
        assert not owner.cancelled.is_set()
        task.cancel()
        await asyncio.wait_for(owner.cancelled.wait(), 60)
