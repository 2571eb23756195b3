"""What the engine of each shard does for the others: the services that Peers.call reaches besides
those of the API.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stepwell.engine.tasks import Tasks
from stepwell.integrations.cluster.tasks import TaskRuns
from stepwell.integrations.host import Host


def shard_services(host: Host, tasks: Tasks) -> dict[str, Any]:
    """Name -> service, for one engine, which is connected and not open yet.

    host   its host, with `peers`
    tasks  of the engine
    """
    assert host.engine is not None
    if not host.at_home:
        return {}
    runs = TaskRuns(host, tasks)
    host.engine.on_open.append(_later(runs.open))
    return {"tasks": runs}


def _later(open: Callable[[], None]) -> Callable[[], Any]:
    async def opened() -> None:
        open()

    return opened
