"""HTTP to one server: requests in threads, over connections that are kept. An error of the network
gets the words of this project, and an answer that is no server's of ours is reported as such.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from stepwell.integrations.cli.clients.base import SEVERAL, UnreachableError
from stepwell.integrations.errors import UsageError

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 320.0
"""StartSyncExecution answers after up to five minutes."""


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def read_url(text: str, name: str) -> SplitResult:
    """Raises UsageError. name: of the option or variable that has the URL."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        good = good and text.isascii() and text.isprintable() and " " not in text
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username is not None:
        raise UsageError(f"{name} {text}: not a URL such as http://localhost:8083")
    return parts


class Transport:
    """The connections to a server. url: checked by read_url."""

    def __init__(self, url: str) -> None:
        self.url, self._parts = url.rstrip("/"), urlsplit(url)
        self._idle: list[http.client.HTTPConnection] = []
        self._threads = ThreadPoolExecutor(SEVERAL, "stepwell-client")
        self._tls: ssl.SSLContext | None = None

    @property
    def path(self) -> str:
        return self._parts.path or "/"

    async def post(self, headers: dict[str, str], body: bytes) -> Reply:
        """Raises UnreachableError, UsageError."""
        work = self._threads.submit(self._post, headers, body)
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """Also the connections of requests that are under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._idle:
            connection.close()

    def _post(self, headers: dict[str, str], body: bytes) -> Reply:
        while True:
            kept = bool(self._idle)
            connection = self._idle.pop() if kept else self._connect()
            try:
                connection.request("POST", self.path, body, headers)
                answer = connection.getresponse()
                reply = Reply(answer.status, answer.headers, answer.read())
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as fault:
                connection.close()
                if kept:  # the server had closed it while it was idle
                    continue
                raise self._unreachable(fault) from None
            except (OSError, http.client.HTTPException) as fault:
                connection.close()
                raise self._unreachable(fault) from None
            if answer.will_close:
                connection.close()
            else:
                self._idle.append(connection)
            return reply

    def _connect(self) -> http.client.HTTPConnection:
        assert self._parts.hostname is not None
        host, port = self._parts.hostname, self._parts.port
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        if self._parts.scheme == "https":
            self._tls = self._tls or _tls()
            connection = http.client.HTTPSConnection(
                host, port, timeout=CONNECT_SECONDS, context=self._tls
            )
        try:
            connection.connect()
        except OSError as fault:
            raise self._unreachable(fault) from None
        connection.sock.settimeout(ANSWER_SECONDS)
        return connection

    def _unreachable(self, fault: Exception) -> UsageError:
        if isinstance(fault, ssl.SSLCertVerificationError):
            return UsageError(
                f"the certificate of {self.url} is not accepted: {fault.verify_message}; name the "
                "file of the authority that signed it in AWS_CA_BUNDLE"
            )
        if isinstance(fault, ssl.SSLError):
            return UsageError(f"{self.url} does not speak TLS: is it http://?")
        if isinstance(fault, http.client.HTTPException) and not isinstance(
            fault, http.client.RemoteDisconnected | http.client.IncompleteRead
        ):
            return UsageError(f"{self.url} does not speak HTTP: is it another server's port?")
        return UnreachableError(f"no answer from {self.url}: {reason(fault)}")


def reason(fault: Exception) -> str:
    """Why there is no connection, or no answer on it, in a few words."""
    if isinstance(fault, ConnectionRefusedError):
        return "nothing listens there (`stepwell serve` starts a server)"
    if isinstance(fault, TimeoutError):
        return "it took too long"
    if isinstance(fault, socket.gaierror):
        return "the name of the host is not known"
    if isinstance(fault, ConnectionError | http.client.HTTPException):
        return "the connection was closed"
    number = fault.errno if isinstance(fault, OSError) else None
    return "the connection failed" if number is None else os.strerror(number).lower()


def _tls() -> ssl.SSLContext:
    """Accepts the authorities of the system, or those of AWS_CA_BUNDLE. Raises UsageError."""
    bundle = os.environ.get("AWS_CA_BUNDLE") or None
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError:
        raise UsageError(f"AWS_CA_BUNDLE {bundle}: not a file of certificates") from None
