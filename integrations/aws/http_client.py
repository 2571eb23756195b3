"""The HTTP client for URLs of users: in definitions, rules and subscriptions. It refuses forbidden
addresses, bounds responses, and does not follow redirects.

    answer = await Http(allow_private=False).send("POST", "https://example.com/hook",
    {"Content-Type": "text/plain"}, b"hello", 5)

The name is resolved once, the addresses are checked, and the connection goes to a checked one (no
DNS rebinding). Link-local addresses and those of metadata services are always refused; private ones
and this machine unless they are allowed.
"""

from __future__ import annotations

import asyncio
import http
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httptools

from stepwell.engine.tasks import acquire
from stepwell.integrations.aws import messages
from stepwell.integrations.aws.urls import public_url
from stepwell.integrations.host import HttpAnswer
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_PORTS: Final = {"http": 80, "https": 443}
# addresses of metadata services that are not link-local
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
# IPv6 networks with an IPv4 address in the last 32 bits, besides those that Python knows
_EMBEDDING: Final = tuple(
    map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96"))
)
# local networks that Python takes for global: translated, site-local, segment routing
_LOCAL: Final = tuple(
    map(
        ipaddress.IPv6Network,
        ("64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96", "fec0::/10", "5f00::/16"),
    )
)
# headers that the client itself writes
_OWN_HEADERS: Final = frozenset({"host", "content-length", "transfer-encoding", "connection"})


class ForbiddenError(Exception):
    """The address must not be called."""


class UnreachableError(Exception):
    """There is no complete answer: unknown name, no connection, timeout, invalid HTTP, or too
    large.
    """


class TooLargeError(UnreachableError):
    """The answer is longer than the limit."""


class Http:
    """allow_private: whether addresses of this machine and of private networks may be called."""

    def __init__(self, allow_private: bool = False, limits: Limits = DEFAULT_LIMITS) -> None:
        self._allow_private, self._limits = allow_private, limits
        self._free = asyncio.Semaphore(limits.outbound_connections)
        self.open = 0  # requests that run
        self._tls: ssl.SSLContext | None = None

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        seconds: float | None = None,
    ) -> HttpAnswer:
        """`url` is percent-encoded; `seconds` counts from when a connection is free. Raises
        ForbiddenError, UnreachableError.
        """
        await acquire(self._free)
        self.open += 1
        try:
            async with asyncio.timeout(
                self._limits.outbound_seconds if seconds is None else seconds
            ):
                return await self._exchange(method, url, headers, body)
        except TimeoutError:
            raise UnreachableError(messages.HTTP_TIMEOUT) from None
        finally:
            self.open -= 1
            self._free.release()

    async def _exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> HttpAnswer:
        parts = _split(url)
        assert parts.hostname is not None
        port = parts.port or _PORTS[parts.scheme]
        addresses = await self._resolve(parts.hostname, port)
        reader, writer = await self._connect(addresses, parts, port)
        try:
            writer.write(_request(method, parts, headers, body))
            await writer.drain()
            return await self._read(reader, method)
        except (OSError, httptools.HttpParserError) as error:
            raise UnreachableError(str(error) or type(error).__name__) from None
        finally:
            writer.transport.abort()

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            resolved = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            text = error.strerror if isinstance(error, socket.gaierror) else str(error)
            raise UnreachableError(f"{host}: {text}") from None
        addresses = [ipaddress.ip_address(each[4][0]) for each in resolved]
        for each in addresses:
            if refusal(each, self._allow_private):
                raise ForbiddenError(messages.HTTP_FORBIDDEN.format(host=host))
        return addresses

    async def _connect(
        self, addresses: list[Address], parts: SplitResult, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if parts.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        secure = (
            {"ssl": self._tls, "server_hostname": parts.hostname} if parts.scheme == "https" else {}
        )
        fault: OSError | None = None
        for address in addresses:
            try:
                return await asyncio.open_connection(str(address), port, **secure)  # type: ignore[arg-type]
            except OSError as error:
                fault = error
        raise UnreachableError(str(fault) or type(fault).__name__)

    async def _read(self, reader: asyncio.StreamReader, method: str) -> HttpAnswer:
        message = _Message(method == "HEAD")
        parser = httptools.HttpResponseParser(message)
        read = 0
        while not message.complete:
            data = await reader.read(65_536)
            read += len(data)
            if not data:
                break
            parser.feed_data(data)
            if (
                len(message.body) > self._limits.outbound_response_bytes
                or read > 2 * self._limits.outbound_response_bytes + 65_536
            ):
                raise TooLargeError(
                    messages.HTTP_TOO_LARGE.format(limit=self._limits.outbound_response_bytes)
                )
            if (
                message.head and parser.get_status_code() < 200
            ):  # 100 Continue, 103 Early Hints: not the final answer
                message = _Message(method == "HEAD")
                parser = httptools.HttpResponseParser(message)
        if not message.complete and (not message.head or message.sized):
            raise UnreachableError(messages.HTTP_CUT_OFF)
        return HttpAnswer(
            parser.get_status_code(), message.reason, message.headers, bytes(message.body)
        )


class _Message:
    """An answer, from the callbacks of httptools."""

    def __init__(self, bare: bool) -> None:
        self._bare = bare  # an answer to HEAD has no body, in spite of its length
        self._reason = b""
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.head = self.complete = self.sized = False

    def on_status(self, text: bytes) -> None:
        self._reason += text

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1"), value.decode("latin-1")))
        self.sized = self.sized or name.lower() in (b"content-length", b"transfer-encoding")

    def on_headers_complete(self) -> None:
        self.head = True
        self.complete = self._bare

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True

    @property
    def reason(self) -> str:
        return self._reason.decode("latin-1")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        valid = (
            parts.scheme in _PORTS
            and parts.hostname
            and (parts.port or 1)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        valid = False
    if not valid:
        raise ForbiddenError(messages.HTTP_BAD_URL.format(url=public_url(url)[:200]))
    return parts


def _request(method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
    for name, value in headers.items():
        if name.lower() not in _OWN_HEADERS:
            lines.append(f"{name}: {value}")
    if body or method not in ("GET", "HEAD", "OPTIONS", "DELETE"):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join([*lines, "Connection: close", "", ""])
    if any(
        character in text
        for text in (method, *headers, *headers.values())
        for character in "\r\n\0"
    ):
        raise ForbiddenError(messages.HTTP_BAD_HEADER)
    with suppress(UnicodeEncodeError):
        return head.encode("latin-1") + body
    raise ForbiddenError(messages.HTTP_BAD_HEADER)


def refusal(address: Address, allow_private: bool) -> bool:
    """Whether an address must not be called. An IPv4 address embedded in an IPv6 one is checked
    too.
    """
    inner: list[Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo
        inner = [address.ipv4_mapped, address.sixtofour, teredo[1] if teredo else None]
        if any(address in network for network in _EMBEDDING):
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    if any(each is not None and refusal(each, allow_private) for each in inner):
        return True
    if (
        address.is_link_local
        or address in _METADATA
        or address.is_multicast
        or address.is_unspecified
    ):
        return True
    if allow_private:
        return False
    mapped = any(each is not None for each in inner)
    local = isinstance(address, ipaddress.IPv6Address) and any(
        address in network for network in _LOCAL
    )
    return local or not (mapped or address.is_global)


def reason(answer: HttpAnswer) -> str:
    """The reason phrase, which HTTP/1.1 may omit."""
    if answer.reason:
        return answer.reason
    with suppress(ValueError):
        return http.HTTPStatus(answer.status).phrase
    return ""
