"""What a node serves: the operations of all shards, and the pages of the shards that have them.

Requests besides the API (the console, HTTP APIs, certificates) are passed to the owner of the shard
as they came, and the owner's response is passed on as it comes.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, MutableMapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import ApiError
from stepwell.engine.sharding import HOME
from stepwell.engine.store.base import Health
from stepwell.integrations.cluster.activities import ActivityPollers
from stepwell.integrations.console.routes import CHANGES
from stepwell.integrations.console.routes import PREFIX as CONSOLE
from stepwell.integrations.nodes.node import Node
from stepwell.integrations.nodes.peers import NodePeers
from stepwell.integrations.nodes.routing import ClusterEngine, HomeService, of_execution
from stepwell.integrations.server import messages, metrics
from stepwell.integrations.server.app import Handler, Receive, Scope, Send, disconnected
from stepwell.integrations.server.http_apis import is_api, refusal
from stepwell.integrations.server.protocols.aws_json import Request, status_of
from stepwell.integrations.services.registry import PACKAGE, TABLE
from stepwell.integrations.services.sns.signing import CERTIFICATES
from stepwell.integrations.stack import OPERATIONS, Surroundings

_PASSED_ON: Final = (
    "type", "http_version", "method", "path", "raw_path", "query_string", "headers", "scheme",
    "client", "server",
)  # fmt: skip


class Front:
    """See serving.Served: what a Stack is for one shard, for all."""

    def __init__(self, node: Node, around: Surroundings) -> None:
        self._node, self._read, self._limits = node, around.read, around.limits
        self.home, self.clock = around.home, SystemClock(around.limits)
        self.routes: dict[str, Handler] = {}
        self._pollers = ActivityPollers(NodePeers(node, HOME), around.limits)
        polls = {"get_activity_task": self._pollers.get_activity_task}
        engine = ClusterEngine(node, around.limits, polls)
        # for tasks and targets, which know themselves which calls may be repeated
        self.executions: Any = ClusterEngine(node, around.limits, polls, node.once)
        self.services: dict[str, Any] = {OPERATIONS: engine}
        for name, (module, kind) in TABLE.items():
            found = getattr(importlib.import_module(f"{PACKAGE}.{module}"), kind)
            self.services[name] = HomeService(node, name, found)
        node.executions = self.executions

    def by_host(self, request: Request) -> Handler | None:
        """The handler of a request that is not the API's."""
        path = request.path
        page = (
            path == "/"
            and request.method in ("GET", "HEAD")
            and b"Action=" not in request.scope["query_string"]
        )
        if page or is_api(request) or path.startswith((CONSOLE, CERTIFICATES)):
            return self._pass_on
        return None

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, "")
        try:
            most = self._limits.http_api_bytes if is_api(request) else self._limits.request_bytes
            body = await self._read(request, receive, most)
            request.read = True
            passed = {name: scope[name] for name in _PASSED_ON if name in scope}
            if request.path == CHANGES:
                responding = self._merge(passed, body, send)
            else:
                shard = await self._shard(scope)
                responding = self._node.respond_through(shard, passed, body, send)
            work = asyncio.ensure_future(responding)
            left = asyncio.ensure_future(disconnected(receive))
            try:
                await asyncio.wait((work, left), return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    await work
            finally:
                for task in (work, left):
                    task.cancel()
                await asyncio.gather(work, left, return_exceptions=True)
        except ApiError as error:
            await _refuse(send, request, error)

    async def _merge(self, scope: Scope, body: bytes, send: Send) -> None:
        """One stream of those of all shards, whose parts are whole events. It ends as soon as one
        of them ends; the page then opens it again.
        """
        status = 0  # of the first that responds

        async def merged(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                begun, status = status, status or message["status"]
                if not begun:
                    await send(message)
            elif message.get("more_body", False) == (status == HTTPStatus.OK):
                await send({**message, "more_body": True})

        streams = [
            asyncio.ensure_future(self._node.respond_through(shard, scope, body, merged))
            for shard in range(self._node.count)
        ]
        try:
            done, _ = await asyncio.wait(streams, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for stream in streams:
                stream.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
        if not status:
            done.pop().result()
        await send({"type": "http.response.body", "body": b""})

    async def _shard(self, scope: Scope) -> int:
        """The owner of the execution that a page shows, else home."""
        query = parse_qs(scope["query_string"].decode("latin-1"))
        arn = query.get("arn", [""])[0]
        if ":execution:" not in arn:
            return HOME
        return await of_execution(self._node, {"execution_arn": arn}) or HOME

    def check(self) -> None:
        """A shard that fails is taken again; a node never fails as a whole."""

    def ready(self) -> None:
        """Raises StoreError if the members of the cluster cannot be read, or a shard has no
        owner.
        """
        self._node.ready()

    async def hand_over(self) -> None:
        """Requests that a load balancer still sends here are passed on to the other nodes."""
        noticed = asyncio.create_task(asyncio.sleep(self._limits.linger_seconds))
        await self._node.release()
        if self._node.others():
            await noticed
        noticed.cancel()

    async def close(self) -> None:
        await self._pollers.close()

    def drain(self) -> None:
        """Each shard has ended its streams when it was released."""

    def families(self) -> Iterator[metrics.Family]:
        engines = [owned.stack.engine for owned in self._node.owned.values()]
        yield from metrics.summed((self._node.past, *map(metrics.of_parts, engines)))
        yield from metrics.of_shards(len(engines), self._node.count)

    async def health(self) -> Health | None:
        """The shards share one database: any of them asks it."""
        owned = next(iter(self._node.owned.values()), None)
        return None if owned is None else await owned.stack.health()


async def _refuse(send: Send, request: Request, error: ApiError) -> None:
    if is_api(request):
        answer = refusal(error)
        status, body, kind = answer.status, answer.body, b"application/json"
    else:
        status, kind = status_of(error, request), b"text/plain; charset=utf-8"
        body = f"{error.message or messages.UNAVAILABLE}\n".encode()
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    headers += [] if request.read else [(b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
