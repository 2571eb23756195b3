"""A real MQTT broker beside the rules: what comes from it is acknowledged when it is durable here.

    broker --QoS 1--> paho's thread --bounded--> the loop --one commit for many--> deliveries
    --then--> PUBACK

The session is one that the broker keeps (3.1.1, no clean session, a client id of this database's
own): what is published while nobody runs here waits there. paho connects again by itself, with
pauses that double. A message that came over a connection that has ended since is not acknowledged:
the broker sends it again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

from stepwell.engine.errors import ApiError, StoreError
from stepwell.engine.supervisor import SetbackError, Supervisor
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.iot import messages

log: Final = logging.getLogger("stepwell.mqtt")

PORTS: Final = {"mqtt": 1883, "mqtts": 8883}
_QOS: Final = 1
_KEEPALIVE_SECONDS: Final = 30


class Address(NamedTuple):
    """Of a broker. tls: with the certificates of the system."""

    host: str
    port: int
    tls: bool
    user: str | None
    password: str | None


def parse_address(url: str) -> Address:
    """mqtt[s]://[USER:PASSWORD@]HOST[:PORT]. Raises ValueError."""
    parts = urlsplit(url)
    if (
        parts.scheme not in PORTS
        or not parts.hostname
        or parts.path not in ("", "/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError(url)
    user, password = (
        None if each is None else unquote(each) for each in (parts.username, parts.password)
    )
    return Address(
        parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "mqtts", user, password
    )


class Came(NamedTuple):
    """A message from the broker, and over which connection it came."""

    topic: str
    payload: bytes
    qos: int
    mid: int
    connection: int


class Broker:
    """The connection to one. Its methods are of the event loop that `open` ran in.

    take  stores messages: durable when it returns
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        take: Callable[[Sequence[Came]], Awaitable[None]],
        limits: Limits,
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self._address, self._take, self._limits = address, take, limits
        self._filters: frozenset[str] = frozenset()  # that the broker is to send
        self._stale: frozenset[str] = frozenset()  # that it was told once, and is to forget
        self._waiting: dict[int, asyncio.Future[bool]] = {}  # by packet id
        self._queue: list[Came] = []
        self._storing: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._room = threading.Semaphore(limits.mqtt_unstored)
        self._connection, self.connected, self._closed = 0, False, False
        version, protocol = CallbackAPIVersion.VERSION2, MQTTProtocolVersion.MQTTv311
        self._client = client = paho.Client(
            version, client_id, clean_session=False, protocol=protocol, manual_ack=True
        )
        if address.user is not None:
            client.username_pw_set(address.user, address.password)
        if address.tls:
            client.tls_set()
        client.reconnect_delay_set(limits.mqtt_pause_seconds, limits.mqtt_pause_most_seconds)
        client.on_connect, client.on_disconnect, client.on_message = (
            self._on_connect,
            self._on_disconnect,
            self._on_message,
        )
        client.on_connect_fail = self._on_connect_fail
        client.on_subscribe = lambda client, data, mid, codes, properties: self._on_answer(
            mid, not any(each.is_failure for each in codes)
        )
        client.on_unsubscribe = lambda client, data, mid, codes, properties: self._on_answer(
            mid, True
        )
        client.on_publish = lambda client, data, mid, code, properties: self._on_answer(
            mid, not code.is_failure
        )

    async def open(self, filters: Iterable[str], told: Iterable[str]) -> None:
        """Begins to connect; it need not be there yet. told: by earlier processes."""
        self._loop, self._filters = asyncio.get_running_loop(), frozenset(filters)
        self._stale = frozenset(told) - self._filters
        self._client.connect_async(self._address.host, self._address.port, _KEEPALIVE_SECONDS)
        self._client.loop_start()

    async def close(self) -> None:
        self._closed = True
        self._room.release()  # paho's thread may wait for it
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        tasks: list[asyncio.Task[Any]] = [
            task for task in (self._storing, self._telling) if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._forget()

    # --- what the loop asks -----------------------------------------------------------------------

    async def subscribe(self, filters: Iterable[str]) -> bool:
        """From now on messages of these topics and of no others. Whether the broker has confirmed
        it; else it is told later.
        """
        before, self._filters = self._filters, frozenset(filters)
        self._stale = (self._stale | before) - self._filters
        told = await self._tell(self._filters - before)
        if not told and self.connected:
            self._tell_again(self._filters)
        return told

    async def _tell(self, new: frozenset[str]) -> bool:
        stale, asked = self._stale, []
        if not self.connected:
            return False
        if new:
            asked.append(
                self._answer(*self._client.subscribe([(each, _QOS) for each in sorted(new)]))
            )
        if stale:
            asked.append(self._answer(*self._client.unsubscribe(sorted(stale))))
        if not all([await self._confirmed(each) for each in asked]):
            return False
        self._stale -= stale
        return True

    def _tell_again(self, new: frozenset[str]) -> None:
        """Until the broker has confirmed it, or is gone: then it is told all when it is back."""
        connection = self._connection

        async def tell() -> None:
            if connection == self._connection and not await self._tell(new) and self.connected:
                raise SetbackError(
                    f"the broker did not confirm what it is to send: {', '.join(sorted(new))}"
                )

        if self._telling is not None:
            self._telling.cancel()
        self._telling = self._supervisor.start("broker_subscriptions", tell)

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """QoS 1: the broker has it when it returns. Raises ApiError ServiceUnavailable."""
        if self.connected:
            sent = self._client.publish(topic, payload, min(qos, _QOS), retain)
            if await self._confirmed(self._answer(sent.rc, sent.mid)):
                return
        raise ApiError("ServiceUnavailable", messages.BROKER_AWAY)

    def _answer(self, code: MQTTErrorCode, mid: int | None) -> asyncio.Future[bool]:
        """Of the broker to a packet: whether it is good. To be asked for before the loop goes on,
        lest the answer come first.
        """
        future = self._loop.create_future()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            future.set_result(False)
        else:
            self._waiting[mid] = future
            future.add_done_callback(lambda _: self._waiting.pop(mid, None))
        return future

    async def _confirmed(self, answer: asyncio.Future[bool]) -> bool:
        try:
            return await asyncio.wait_for(answer, self._limits.mqtt_seconds)
        except TimeoutError:
            return False

    # --- what paho's thread tells -----------------------------------------------------------------

    def _call(self, what: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, *arguments)

    def _on_connect(self, client: Any, data: Any, flags: Any, code: Any, properties: Any) -> None:
        if code.is_failure:
            log.error(
                "the broker %s:%d refused the connection: %s",
                self._address.host,
                self._address.port,
                code,
            )
            return
        self._connection += 1
        self._call(self._begun)

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        log.warning("the broker %s:%d cannot be reached", self._address.host, self._address.port)

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        self._connection += 1
        self._call(self._ended, str(code))

    def _on_answer(self, mid: int, good: bool) -> None:
        self._call(self._answered, mid, good)

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        self._room.acquire()  # when too many wait for the disk, the broker waits
        if self._closed:
            self._room.release()
            return
        self._call(self._came, message, self._connection)

    # --- the same in the loop ---------------------------------------------------------------------

    def _begun(self) -> None:
        log.info(
            "connected to the broker",
            extra={"fields": {"host": self._address.host, "port": self._address.port}},
        )
        self.connected = True
        self._tell_again(self._filters)

    def _ended(self, why: str) -> None:
        if self.connected and not self._closed:
            log.warning("the broker is gone: %s", why)
        self.connected = False
        self._forget()

    def _forget(self) -> None:
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_result(False)

    def _answered(self, mid: int, good: bool) -> None:
        future = self._waiting.get(mid)
        if future is not None and not future.done():
            future.set_result(good)

    def _came(self, message: paho.MQTTMessage, connection: int) -> None:
        if (
            message.retain
        ):  # from before the subscription: rules are for what is published from then on
            self._done(Came("", b"", message.qos, message.mid, connection))
            return
        self._queue.append(
            Came(message.topic, bytes(message.payload), message.qos, message.mid, connection)
        )
        if self._storing is None:
            self._storing = self._supervisor.start("broker_messages", self._store)

    async def _store(self) -> None:
        """Raises StoreError: what is not acknowledged is kept by the broker, and here until the
        next try.
        """
        while self._queue:
            batch = self._queue[: self._limits.mqtt_batch]
            await self._store_batch(batch)
            del self._queue[: len(batch)]
        self._storing = None

    async def _store_batch(self, batch: Sequence[Came]) -> None:
        stored = False
        try:
            await self._take(batch)
            stored = True
        except StoreError:
            raise
        except Exception as error:
            if len(batch) > 1:  # one of them may be bad: that harms no other
                for each in batch:
                    await self._store_batch([each])
                return
            self._supervisor.report(
                "broker_messages", error, f"a message for {batch[0].topic!r} was not taken"
            )
        for each in batch:
            self._done(each, stored)

    def _done(self, came: Came, stored: bool = True) -> None:
        if stored and came.qos and came.connection == self._connection:
            self._client.ack(came.mid, came.qos)
        self._room.release()
