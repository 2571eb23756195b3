"""The simulated cluster finds what it is there to find: each of these bugs shows within a few
seeds.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation.cluster import customers, server
from tests.simulation.cluster.server import ShardDatabase
from tests.simulation.cluster.world import Settings

from stepwell.engine.store.sql.store import SqlStore
from stepwell.integrations.cluster.tasks import TaskRuns
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.nodes.owned import Owned
from stepwell.integrations.tasks import sent_home

SEEDS = 50
CHOSEN = ("fan", "chain", "send", "nested", "fan", "chain")
HARSH = Settings(nodes=3, troubles=8, pause=3.0, commits=(0.02, 0.04), network=0.2)
Plant = Callable[[], AbstractContextManager[Any]]


async def _nothing(*_: Any, **__: Any) -> list[Any]:
    return []


async def _state_before_lock(self: ShardDatabase, state: Any) -> Any:
    """What is read before the earlier owner is shut out may be old."""
    database = self._server
    self.session = await database.connect()
    result = await database.ask(self.session, lambda: server.run(state, database.connection))
    await asyncio.sleep(10)
    await self._lock(self.session)
    self.epoch = await database.ask(self.session, self._raised)
    self.failed = None
    self._pings = asyncio.create_task(self._ping())
    return result


async def _no_marker(self: TaskRuns, token: str) -> None:
    """Home does not look whether an attempt was carried out before."""
    return None


_open_runs = TaskRuns.open


async def _forget_markers(self: TaskRuns) -> None:
    """A new owner of home begins without the markers."""
    await _open_runs(self)
    records = self._host.records

    async def forget() -> None:
        if page := await records.scan(sent_home.marker_key("")):
            await records.write({key: None for key, _ in page})

    self._host.supervisor.start("planted", forget)


_run = Owned.run


async def _run_on(self: Owned, *call: Any) -> Any:
    """An answer of a shard whose store fails means that nothing was done."""
    try:
        return await _run(self, *call)
    except LostAnswerError as error:
        raise UnreachableError(str(error)) from error


PLANTED: dict[str, Plant] = {
    "commits carry no epoch": lambda: patch.object(
        ShardDatabase, "check_owner", lambda database: None
    ),
    "the epoch is not raised": lambda: patch.dict(
        server.SQL, take_over="UPDATE shard SET owner = ? WHERE number = ? RETURNING epoch"
    ),
    "nothing is recovered": lambda: patch.object(SqlStore, "in_flight", _nothing),
    "timers are not recovered": lambda: patch.object(SqlStore, "waking", _nothing),
    "the state is read before the lock is held": lambda: patch.object(
        ShardDatabase, "open", _state_before_lock
    ),
    "markers are ignored": lambda: patch.object(TaskRuns, "_marked", _no_marker),
    "markers are not deleted": lambda: patch.object(
        sent_home, "marker_key", lambda token: f"task/answer/other/{token}"
    ),
    "markers are lost at take-over": lambda: patch.object(TaskRuns, "open", _forget_markers),
    "a lost answer counts as not run": lambda: patch.object(Owned, "run", _run_on),
}


@pytest.mark.parametrize("bug", sorted(PLANTED))
def test_planted_bug_is_found(bug: str) -> None:
    with PLANTED[bug]():
        assert any(
            customers.violations(seed, CHOSEN, replace(HARSH, pooled=seed % 2 == 0))
            for seed in range(SEEDS)
        ), f"not found: {bug}"
