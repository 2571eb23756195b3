"""What the engine of each shard remembers of the state machines and activities. Home writes them;
the other shards read them, and forget what they have read when home has written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stepwell.engine import arns
from stepwell.engine.core.model import Execution
from stepwell.engine.machines.deletions import Deletions
from stepwell.engine.machines.naming import Namings
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.runtime.worker import Worker


class DefinitionCaches:
    """reload_activities  reads all activities again
    reload_activity    reads the activity of an ARN again
    """

    def __init__(
        self,
        machines: MachineRows,
        deletions: Deletions,
        namings: Namings,
        tracker: Tracker,
        worker: Worker,
        reload_activities: Callable[[], Awaitable[None]],
        reload_activity: Callable[[str], Awaitable[None]],
    ) -> None:
        self._machines, self._deletions, self._tracker = machines, deletions, tracker
        self._namings, self._worker = namings, worker
        self._reload_activities, self._reload_activity = reload_activities, reload_activity
        self._turn = asyncio.Lock()  # an earlier reading must not replace a later one

    async def forget(self, arn: str | None = None) -> None:
        """Read a state machine or activity again; None: all of them. When this returns, nothing new
        starts on a machine that home deletes, what was started on it before is committed, for home
        to see, and executions are indexed by the search attributes that home has stored.
        """
        async with self._turn:
            if arn is None:
                self._machines.forget_all()
                await self._deletions.open()
                await self._namings.open()
                await self._reload_activities()
            elif arns.kind(arn, "stateMachine", "activity") == "activity":
                await self._reload_activity(arn)
            else:
                self._machines.forget(arn)
                await self._deletions.reread(arn)
                await self._namings.reread(arn)
        deleting = self._machines.deleting
        pending = (x for x in self._tracker.open.values() if isinstance(x, Execution))
        if deleting and any(x.machine_arn in deleting for x in pending):
            await self._worker.write({})  # is durable after them
