"""The console over HTTP: the page at /, its files and data below /console/. GET only, without any
side effect.

    /                      the page
    /console/NAME          its files (visualize/console/)
    /console/api/NAME      JSON, or a stream of server-sent events (data.py)

For everything else the page uses the AWS API at POST /, like any client. Pages of other origins can
call neither (server/host_check.py). The headers forbid browsers to embed an answer in other pages,
and restrict the page to its own files and scripts.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import mimetypes
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from stepwell import visualize
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.store.base import StoreFormatError
from stepwell.integrations.console import messages
from stepwell.integrations.console.data import Data
from stepwell.integrations.console.lists import Lists
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server.app import Handler, Receive, Scope, Send, disconnected
from stepwell.integrations.services.common.delivery_log import DeliveryLog

FOLDER: Final = Path(visualize.__file__).parent / "console"
log: Final = logging.getLogger("stepwell.server")

PREFIX: Final = "/console/"
CHANGES: Final = f"{PREFIX}api/changes"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_JSON: Final = "application/json"
_STATUSES: Final = {
    "NotFound": 404,
    "AccessDeniedException": 403,
    "ServiceUnavailable": 503,
    "NotImplemented": 501,
}


class Console:
    """The routes of the console.

    services      those of the App, by botocore's names
    delivery_log  their recent deliveries
    read_only     whether the page offers no actions
    """

    def __init__(
        self,
        engine: Engine,
        services: Mapping[str, object],
        delivery_log: DeliveryLog,
        read_only: bool = False,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        lists = Lists(services, delivery_log, limits)
        self._data, self._limits = Data(engine, lists, read_only, limits), limits
        self._files = {
            each.name: _File(each.name, each.read_bytes())
            for each in FOLDER.iterdir()
            if each.is_file()
        }
        self._files["diagram.css"] = _File("diagram.css", visualize.stylesheet().encode())
        self._streams: set[asyncio.Future[None]] = set()
        self._draining = False

    def routes(self) -> dict[str, Handler]:
        return {"/": self._answer, PREFIX: self._answer}

    def drain(self) -> None:
        """End all streams: the server stops."""
        self._draining = True
        for stream in self._streams:
            stream.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in ("GET", "HEAD"):
                return await _send(send, 405, b"", "text/plain", allow=b"GET, HEAD")
            name = scope["path"].removeprefix(PREFIX)
            if name.startswith("api/"):
                return await self._ask(name.removeprefix("api/"), scope, receive, send)
            file = self._files.get("index.html" if name == "/" else name)
            if file is None:
                return await _send(send, 404, b"not found\n", "text/plain")
            fresh = _headers(scope).get(b"if-none-match") == file.tag
            body = b"" if fresh or scope["method"] == "HEAD" else file.body
            await _send(
                send,
                304 if fresh else 200,
                body,
                file.type,
                etag=file.tag,
                cache_control=b"no-cache",
            )
        except ApiError as error:
            body = json.dumps({"code": error.code, "message": error.message}).encode()
            missing = 404 if error.code.endswith(("DoesNotExist", "NotFound")) else 400
            await _send(send, _STATUSES.get(error.code, missing), body, _JSON)
        except StoreFormatError as error:  # one record is damaged, not the page
            log.error("%s: %s", scope["path"], error)
            await _send(
                send,
                500,
                json.dumps({"code": "InternalFailure", "message": str(error)}).encode(),
                _JSON,
            )

    async def _ask(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if name in self._data.streams:
            query.setdefault("after", headers.get(b"last-event-id", b"").decode("latin-1"))
            return await self._stream(
                self._data.streams[name](query), receive, send, "text/event-stream"
            )
        if name == "export":
            parts, filename = await self._data.export(query)
            return await self._stream(
                parts,
                receive,
                send,
                _JSON,
                content_disposition=f'attachment; filename="{filename}"'.encode(),
            )
        ask = self._data.answers.get(name)
        if ask is None:
            raise ApiError("NotFound", "")
        await _send(send, 200, await ask(query), _JSON, cache_control=b"no-store")

    async def _stream(
        self,
        parts: AsyncGenerator[bytes, None],
        receive: Receive,
        send: Send,
        type: str,
        **headers: bytes,
    ) -> None:
        """Send the parts as they come and as fast as the client reads them, until they end or the
        client disconnects.
        """
        if self._draining or len(self._streams) >= self._limits.console_streams:
            raise ApiError("ServiceUnavailable", messages.TOO_MANY_STREAMS)
        async with aclosing(parts):
            first = await anext(parts, b"")  # the first part raises the errors of the request
            await self._pass_on(first, parts, receive, send, type, **headers)

    async def _pass_on(
        self,
        first: bytes,
        parts: AsyncGenerator[bytes, None],
        receive: Receive,
        send: Send,
        type: str,
        **headers: bytes,
    ) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": _all(type, cache_control=b"no-store", **headers),
            }
        )
        lock = asyncio.Lock()

        async def put(part: bytes) -> None:
            async with lock:
                await send({"type": "http.response.body", "body": part, "more_body": True})

        async def pump() -> None:
            await put(first)
            async for part in parts:
                await put(part)

        async def beat() -> None:
            while True:
                await asyncio.sleep(self._limits.console_beat_seconds)
                await put(b":\n\n")

        work = asyncio.ensure_future(pump())
        others = [
            asyncio.ensure_future(disconnected(receive)),
            *([asyncio.ensure_future(beat())] if type != _JSON else []),
        ]
        self._streams.add(work)
        try:
            await asyncio.wait((work, *others), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(work)
            for task in (work, *others):
                task.cancel()
            ended = await asyncio.gather(work, *others, return_exceptions=True)
        fault = next((each for each in ended if isinstance(each, Exception)), None)
        # an ApiError: what is shown was deleted meanwhile
        if fault is not None and not isinstance(fault, ApiError):
            raise fault
        await send({"type": "http.response.body", "body": b""})


class _File:
    def __init__(self, name: str, body: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.type = "text/javascript" if name.endswith(".js") else kind
        self.body, self.tag = body, f'"{hashlib.sha256(body).hexdigest()[:20]}"'.encode()


def _headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


def _all(type: str, **more: bytes) -> list[tuple[bytes, bytes]]:
    text = f"{type}; charset=utf-8" if type.startswith("text/") or type == "image/svg+xml" else type
    own = [(name.replace("_", "-").encode(), value) for name, value in more.items()]
    return [(b"content-type", text.encode()), *HEADERS, *own]


async def _send(send: Send, status: int, body: bytes, type: str, **headers: bytes) -> None:
    length = [(b"content-length", b"%d" % len(body))]
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*_all(type, **headers), *length],
        }
    )
    await send({"type": "http.response.body", "body": body})
