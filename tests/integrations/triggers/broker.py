"""MQTT brokers that can be restarted at the same port, devices, and a scripted broker.

amqtt is a test dependency, but it loses unacknowledged messages. Mosquitto does not, but must be
installed.
"""

import asyncio
import getpass
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from amqtt.broker import Broker
from paho.mqtt.enums import CallbackAPIVersion
from tests.ports import free_port


class RealBroker:
    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        self._ready, self._loop = threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
        config = {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{self.port}"}},
            "plugins": plugins,
        }

        async def serve() -> None:
            self._stop = asyncio.Event()
            broker = Broker(config)
            await broker.start()
            self._ready.set()
            await self._stop.wait()
            await broker.shutdown()

        self._loop.run_until_complete(serve())
        self._loop.close()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(60)
        assert not self._thread.is_alive()


MOSQUITTO = shutil.which(
    "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin:/usr/local/bin"
)


class Mosquitto:
    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._file = folder / "mosquitto.conf"
        lines = (
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "persistence true",
            "max_queued_messages 0",
            f"persistence_location {folder}/",
        )
        self._file.write_text("\n".join((*lines, f"user {getpass.getuser()}\n")))
        self.start()

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._file)], stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + 60
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert time.monotonic() < end
            time.sleep(0.02)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


class Wire:
    """A scripted broker, which shows when a message is acknowledged.

    to_send  packet id -> (topic, payload) of unacknowledged messages, which each new connection
             gets again, as the protocol requires
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._server.getsockname()[1]}"
        self.to_send: dict[int, tuple[str, bytes]] = {}
        self.acknowledged: list[int] = []
        self.clients: list[tuple[bytes, int]] = []  # (client id, flags) of each CONNECT
        self.subscribed: list[bytes] = []
        self.unsubscribed: list[bytes] = []
        self.on_ack: Callable[[int], None] = lambda mid: None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def begin(self, messages: dict[int, tuple[str, bytes]]) -> None:
        """Send messages to current and future subscribers."""
        self.to_send |= messages
        self._begun.set()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rb")
        while head := file.read(1):
            length = shift = 0
            while True:
                (byte,) = file.read(1)
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            body = file.read(length)
            kind = head[0] >> 4
            if kind == 1:  # CONNECT
                self.clients.append((body[12 : 12 + struct.unpack(">H", body[10:12])[0]], body[7]))
                connection.sendall(bytes((0x20, 2, len(self.clients) > 1, 0)))
            elif kind == 10:  # UNSUBSCRIBE, of one filter
                self.unsubscribed.append(body[4:])
                connection.sendall(b"\xb0\x02" + body[:2])
            elif kind == 8:  # SUBSCRIBE, to one filter
                self.subscribed.append(body[4:-1])
                connection.sendall(bytes((0x90, 3)) + body[:2] + b"\x01")
                threading.Thread(target=self._send, args=(connection,), daemon=True).start()
            elif kind == 4:  # PUBACK
                (mid,) = struct.unpack(">H", body)
                del self.to_send[mid]
                self.acknowledged.append(mid)
                self.on_ack(mid)
            elif kind == 12:
                connection.sendall(b"\xd0\x00")

    def _send(self, connection: socket.socket) -> None:
        self._begun.wait()
        for mid, (topic, payload) in list(self.to_send.items()):
            name = topic.encode()
            body = struct.pack(">H", len(name)) + name + struct.pack(">H", mid) + payload
            try:
                connection.sendall(bytes((0x32, len(body))) + body)  # short ones only
            except OSError:
                return

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Device:
    """A client of the broker that publishes, and records received messages."""

    def __init__(self, port: int, *filters: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = lambda client, data, message: self.heard.append(
            (message.topic, bytes(message.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        confirmed = threading.Event()
        self._client.on_subscribe = lambda *rest: confirmed.set()
        for each in filters:
            confirmed.clear()
            self._client.subscribe(each, 1)
            assert confirmed.wait(60)

    def publish(self, topic: str, payload: Any, qos: int = 1, retain: bool = False) -> None:
        sent = self._client.publish(topic, payload, qos, retain)
        sent.wait_for_publish(10)
        assert sent.is_published()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
