"""The connection to an MQTT broker: a message is acknowledged once it is durable here.

    broker --QoS 1--> paho's thread --bounded queue--> event loop --one commit a batch--> PUBACK

The session is persistent (MQTT 3.1.1, no clean session, a client id of its own for each database):
the broker keeps what is published while the server is down. paho reconnects, with pauses that
double. A message of an earlier connection is not acknowledged: the broker sends it again.
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
    """The address of a broker. tls: it is verified with the certificates of the system."""

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


class Received(NamedTuple):
    """A message from the broker. mid: its packet id; connection: the number of the connection that
    it came over.
    """

    topic: str
    payload: bytes
    qos: int
    mid: int
    connection: int


class Broker:
    """A client of one broker. Methods run in the event loop that `open` ran in, `_on_...` in paho's
    thread.

    store  (messages) -> None: they are durable when it returns
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        store: Callable[[Sequence[Received]], Awaitable[None]],
        limits: Limits,
        supervisor: Supervisor,
    ) -> None:
        self._supervisor = supervisor
        self._address, self._store, self._limits = address, store, limits
        self._filters: frozenset[str] = frozenset()  # to subscribe to
        self._obsolete: frozenset[str] = frozenset()  # to unsubscribe from
        self._unconfirmed: dict[int, asyncio.Future[bool]] = {}  # by packet id
        self._queue: list[Received] = []
        self._storing: asyncio.Task[None] | None = None
        self._subscribing: asyncio.Task[None] | None = None
        self._slots = threading.Semaphore(limits.mqtt_unstored)
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
        client.on_subscribe = lambda client, data, mid, codes, properties: self._on_confirmation(
            mid, not any(each.is_failure for each in codes)
        )
        client.on_unsubscribe = lambda client, data, mid, codes, properties: self._on_confirmation(
            mid, True
        )
        client.on_publish = lambda client, data, mid, code, properties: self._on_confirmation(
            mid, not code.is_failure
        )

    async def open(self, filters: Iterable[str], subscribed: Iterable[str]) -> None:
        """Start to connect, without waiting for it. subscribed: filters of the session at the
        broker, sent by earlier processes.
        """
        self._loop, self._filters = asyncio.get_running_loop(), frozenset(filters)
        self._obsolete = frozenset(subscribed) - self._filters
        self._client.connect_async(self._address.host, self._address.port, _KEEPALIVE_SECONDS)
        self._client.loop_start()

    async def close(self) -> None:
        self._closed = True
        self._slots.release()  # paho's thread may wait for it
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        tasks: list[asyncio.Task[Any]] = [
            task for task in (self._storing, self._subscribing) if task is not None
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._fail_unconfirmed()

    async def subscribe(self, filters: Iterable[str]) -> bool:
        """Receive messages of these filters and of no others. Returns whether the broker has
        confirmed that; if not, it is sent again later.
        """
        before, self._filters = self._filters, frozenset(filters)
        self._obsolete = (self._obsolete | before) - self._filters
        confirmed = await self._send_subscriptions(self._filters - before)
        if not confirmed and self.connected:
            self._retry_subscriptions(self._filters)
        return confirmed

    async def _send_subscriptions(self, new: frozenset[str]) -> bool:
        """Returns whether the broker has confirmed the new filters and the end of obsolete ones."""
        obsolete, confirmations = self._obsolete, []
        if not self.connected:
            return False
        if new:
            confirmations.append(
                self._confirmation(*self._client.subscribe([(each, _QOS) for each in sorted(new)]))
            )
        if obsolete:
            confirmations.append(self._confirmation(*self._client.unsubscribe(sorted(obsolete))))
        if not all([await self._confirmed(each) for each in confirmations]):
            return False
        self._obsolete -= obsolete
        return True

    def _retry_subscriptions(self, new: frozenset[str]) -> None:
        """Until the broker has confirmed them or the connection is lost; a new one sends all."""
        connection = self._connection

        async def send() -> None:
            if (
                connection == self._connection
                and not await self._send_subscriptions(new)
                and self.connected
            ):
                raise SetbackError(
                    f"the broker did not confirm the subscription to {', '.join(sorted(new))}"
                )

        if self._subscribing is not None:
            self._subscribing.cancel()
        self._subscribing = self._supervisor.start("broker_subscriptions", send)

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool = False) -> None:
        """With QoS 1, the broker has the message when it returns. Raises ApiError
        ServiceUnavailable.
        """
        if self.connected:
            sent = self._client.publish(topic, payload, min(qos, _QOS), retain)
            if await self._confirmed(self._confirmation(sent.rc, sent.mid)):
                return
        raise ApiError("ServiceUnavailable", messages.BROKER_UNAVAILABLE)

    def _confirmation(self, code: MQTTErrorCode, mid: int | None) -> asyncio.Future[bool]:
        """The broker's response to a packet: whether it succeeded. Must be called before the event
        loop runs on: else the response could come before its future exists.
        """
        future = self._loop.create_future()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            future.set_result(False)
        else:
            self._unconfirmed[mid] = future
            future.add_done_callback(lambda _: self._unconfirmed.pop(mid, None))
        return future

    async def _confirmed(self, confirmation: asyncio.Future[bool]) -> bool:
        try:
            return await asyncio.wait_for(confirmation, self._limits.mqtt_seconds)
        except TimeoutError:
            return False

    # --- callbacks of paho's thread ---------------------------------------------------------------

    def _call(self, handler: Callable[..., None], *arguments: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(handler, *arguments)

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
        self._call(self._handle_connect)

    def _on_connect_fail(self, client: Any, data: Any) -> None:
        log.warning("the broker %s:%d cannot be reached", self._address.host, self._address.port)

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        self._connection += 1
        self._call(self._handle_disconnect, str(code))

    def _on_confirmation(self, mid: int, succeeded: bool) -> None:
        self._call(self._handle_confirmation, mid, succeeded)

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        self._slots.acquire()  # too many are not stored yet: stop reading from the broker
        if self._closed:
            self._slots.release()
            return
        self._call(self._handle_message, message, self._connection)

    # --- their handlers in the event loop ---------------------------------------------------------

    def _handle_connect(self) -> None:
        log.info(
            "connected to the broker",
            extra={"fields": {"host": self._address.host, "port": self._address.port}},
        )
        self.connected = True
        self._retry_subscriptions(self._filters)

    def _handle_disconnect(self, reason: str) -> None:
        if self.connected and not self._closed:
            log.warning("the connection to the broker is lost: %s", reason)
        self.connected = False
        self._fail_unconfirmed()

    def _fail_unconfirmed(self) -> None:
        for future in list(self._unconfirmed.values()):
            if not future.done():
                future.set_result(False)

    def _handle_confirmation(self, mid: int, succeeded: bool) -> None:
        future = self._unconfirmed.get(mid)
        if future is not None and not future.done():
            future.set_result(succeeded)

    def _handle_message(self, message: paho.MQTTMessage, connection: int) -> None:
        if message.retain:  # published before the subscription: rules apply to later messages only
            self._acknowledge(Received("", b"", message.qos, message.mid, connection))
            return
        self._queue.append(
            Received(message.topic, bytes(message.payload), message.qos, message.mid, connection)
        )
        if self._storing is None:
            self._storing = self._supervisor.start("broker_messages", self._store_queue)

    async def _store_queue(self) -> None:
        """Raises StoreError: the messages stay unacknowledged at the broker, and in the queue here
        until the supervisor's next attempt.
        """
        while self._queue:
            batch = self._queue[: self._limits.mqtt_batch]
            await self._store_batch(batch)
            del self._queue[: len(batch)]
        self._storing = None

    async def _store_batch(self, batch: Sequence[Received]) -> None:
        stored = False
        try:
            await self._store(batch)
            stored = True
        except StoreError:
            raise
        except Exception as error:
            if len(batch) > 1:  # one of them fails: store the others without it
                for each in batch:
                    await self._store_batch([each])
                return
            self._supervisor.report(
                "broker_messages", error, f"a message for {batch[0].topic!r} was not stored"
            )
        for each in batch:
            self._acknowledge(each, stored)

    def _acknowledge(self, message: Received, stored: bool = True) -> None:
        if stored and message.qos and message.connection == self._connection:
            self._client.ack(message.mid, message.qos)
        self._slots.release()
