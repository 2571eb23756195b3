"""The cluster, as the engine of one shard sees it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from stepwell.integrations.host import UnreachableError
from stepwell.integrations.nodes.node import Node


class NodePeers:
    """See host.Peers."""

    def __init__(self, node: Node, shard: int) -> None:
        self._node, self.shard, self.count = node, shard, node.count
        self.opening = secrets.token_hex(8)

    async def call(
        self, shard: int, service: str, method: str, arguments: Mapping[str, Any]
    ) -> Any:
        """See host.Peers. A node that was frozen first looks whether others have its shards now:
        what it would send may be done, and forgotten.
        """
        if not self._node.sees:
            raise UnreachableError("the members of the cluster cannot be read")
        return await self._node.once(shard, service, method, arguments)
