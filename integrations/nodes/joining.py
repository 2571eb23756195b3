"""How a server becomes a node of the cluster that shares its database."""

from __future__ import annotations

import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from stepwell.engine.errors import StoreError
from stepwell.engine.store.opening import share_database
from stepwell.integrations import operation_socket, stack
from stepwell.integrations.errors import UsageError
from stepwell.integrations.nodes.front import Front
from stepwell.integrations.nodes.node import Node
from stepwell.integrations.nodes.peers import NodePeers
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.settings import Settings, url_host
from stepwell.integrations.stack import OPERATIONS, Place, Stack, Surroundings

_KEY: Final = b"stepwell cluster"
_WILDCARDS: Final = ("0.0.0.0", "::")  # compared, not bound


@asynccontextmanager
async def joined(around: Surroundings) -> AsyncIterator[Front]:
    """What a node serves, once it has its share of the shards. Raises UsageError."""
    settings, limits = around.settings, around.limits
    listening, name = _listen(settings)
    address = f"{url_host(name)}:{listening.getsockname()[1]}"

    def open_shard(
        shard: int, on_failure: Callable[[BaseException], object]
    ) -> AbstractAsyncContextManager[Stack]:
        peers = NodePeers(node, shard)
        place = Place(cluster.store(shard), peers, front.services, front.executions, pool)
        return stack.opened(around, on_failure, place)

    try:
        cluster = share_database(settings.db.url, address, around.url, limits)
        await cluster.open()
    except StoreError as fault:
        raise UsageError(f"{settings.db} cannot be opened: {fault}") from None
    key = hmac.digest(cluster.secret, _KEY, hashlib.sha256)
    node = Node(cluster.members, open_shard, key, cluster.count, limits)
    front, pool = Front(node, around), Pool(limits, around.printer)
    try:
        await node.open(listening)
        operations = front.services[OPERATIONS]
        async with operation_socket.listening(operations, settings.db.socket, around.url):
            yield front
    finally:
        await front.close()
        await node.close()
        await pool.close()
        await cluster.close()


def _listen(settings: Settings) -> tuple[socket.socket, str]:
    """Where the other nodes reach this one: a socket, and the host's name. Raises UsageError."""
    name, port = settings.node_address or (settings.host, 0)
    bound = name if settings.node_address is None else _WILDCARDS[":" in name]
    try:
        listening = socket.create_server(
            (bound, port), family=socket.AF_INET6 if ":" in bound else socket.AF_INET
        )
    except OSError as fault:
        raise UsageError(f"--node-address: {bound}:{port}: {fault}") from None
    return listening, socket.gethostname() if name in _WILDCARDS else name
