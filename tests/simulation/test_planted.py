"""The simulation finds what it is there to find: each of these bugs, planted into the real engine,
shows within a few seeds.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import pytest
from tests.simulation import disk, worlds
from tests.simulation.workloads import WORKLOADS

from stepwell.engine import engine as engine_module
from stepwell.engine.clock import SystemClock
from stepwell.engine.core.index import Index
from stepwell.engine.core.maps import map_run
from stepwell.engine.core.maps.rows import ChildOutputs, ChildRows
from stepwell.engine.core.model import Frame, Phase
from stepwell.engine.core.run import Run
from stepwell.engine.machines.deletions import Deletions
from stepwell.engine.observers.commit_events import CommitEvents
from stepwell.engine.runtime import worker
from stepwell.engine.runtime.activity_queues import ActivityQueues
from stepwell.engine.runtime.commands import Commands
from stepwell.engine.runtime.commit_queue import Entry, Writer
from stepwell.engine.runtime.effects import Slot
from stepwell.engine.runtime.live import Live, LiveExecutions, resolve
from stepwell.engine.runtime.parking import Parking
from stepwell.engine.runtime.retention import Retention
from stepwell.engine.runtime.timers import Wakes
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.store import child_rows
from stepwell.engine.store.base import Unit, Writes
from stepwell.engine.store.batch import DELETE_FRAMES, DELETE_VISITS, Batch
from stepwell.engine.store.continuations import Continuations
from stepwell.engine.store.sqlite import database
from stepwell.engine.store.sqlite.sql import SQL
from stepwell.engine.store.sqlite.store import SqliteStore
from stepwell.engine.tasks import Transaction

SEEDS = 80
_add_child_rows = child_rows.add
Plant = Callable[[], AbstractContextManager[Any]]


class PublishBeforeCommit(Writer):
    """The writer does not wait for what it hands to the store."""

    async def _write(self) -> None:
        commit = self._store.commit

        def over(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(error)

        async def begin(units: Sequence[Any]) -> Any:
            asyncio.create_task(commit(units)).add_done_callback(
                over
            )  # the loop of the simulation keeps its tasks
            return {}

        self._store.commit = begin  # type: ignore[method-assign]
        await super()._write()


class AnswerBeforeCommit(Worker):
    def submit(self, live: Live, event: Any, answer: asyncio.Future[None] | None = None) -> None:
        super().submit(live, event)
        resolve(answer)


class AnswerFromMemory(Worker):
    """A late caller is answered at once, though what did its work may not be durable yet."""

    def accept(
        self,
        live: Live,
        decision: Any,
        now: int,
        answer: asyncio.Future[None] | None,
        also: Any = None,
    ) -> None:
        stale = not decision.history
        super().accept(live, decision, now, None if stale else answer, also)
        if stale:
            resolve(answer)


class NoWindowScan(Wakes):
    async def scan(self) -> None: ...


class NoTimeLimitsAfterRecovery(Worker):
    def _resume(self, live: Live) -> None:
        settle, self.settle = self.settle, lambda live: None  # type: ignore[method-assign]
        super()._resume(live)
        self.settle = settle  # type: ignore[method-assign]


class NoTimeLimitsInTheScan(Wakes):
    """The scan looks at the store only, not at what is in memory."""

    async def scan(self) -> None:
        horizon = self._clock.now() + int(self._limits.timer_window_seconds * 1000)
        for wake, execution_id in await self._store.waking(horizon, limit=10_000):
            self.timers.set(wake, execution_id)
        self._scan_alarm = self._clock.call_at(
            self._clock.now() + 5_000, lambda: self._life.spawn(self.scan())
        )


@contextmanager
def no_time_limits_after_recovery() -> Iterator[None]:
    with (
        patch.object(engine_module, "Worker", NoTimeLimitsAfterRecovery),
        patch.object(worker, "Wakes", NoTimeLimitsInTheScan),
    ):
        yield


class ChildrenGoOn(Commands):
    def _cancel(self, live: Live, command: Any) -> None: ...


class OrphansGoOn(LiveExecutions):
    def awaited(self, parent: Any, round: object) -> bool:
        return True

    def awaits(self, execution_id: int, frame_id: int, seq: int) -> bool:
        return True


class WorksOnAfterClose(Commands):
    def carry_out(self, live: Live, command: Any) -> None:
        working, self._life.working = self._life.working, self._life.failed is None
        super().carry_out(live, command)
        self._life.working = working


class DropsRecords(Worker):
    def accept(
        self,
        live: Live,
        decision: Any,
        now: int,
        answer: asyncio.Future[None] | None,
        also: Any = None,
    ) -> None:
        super().accept(live, decision, now, answer, also and also._replace(writes={}))


class AnswersBeforeRecords(Worker):
    """An Express execution continues, and ends, whatever of it waits for a commit."""

    def _accept_express(
        self, live: Live, unit: Any, commands: Any, answer: asyncio.Future[None] | None
    ) -> None:
        if unit.created or not live.x.extras.get("sync"):
            return super()._accept_express(live, unit, commands, answer)
        if unit.writes:
            done = [command for command in commands if type(command) is Transaction]
            self.writer.append(Entry(None, Writes(unit.writes), done, None))
        commands = [command for command in commands if type(command) is not Transaction]
        asyncio.get_running_loop().call_soon(self._publish, live, unit, commands, answer)
        self._continue(live)


class NoBegin(disk.Connection):
    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        alone = statement == "BEGIN IMMEDIATE" or (
            statement == "COMMIT" and not self.in_transaction
        )
        return super().execute("SELECT 1" if alone else statement, *parameters)


class NoSync(disk.Connection):
    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        return super().execute(
            statement.replace("synchronous = FULL", "synchronous = NORMAL"), *parameters
        )


_write, _commit = database.write, SqliteStore.commit


def _without(*left_out: str) -> Callable[[Batch, sqlite3.Connection], None]:
    """Writing a batch without those deletions."""

    def write(batch: Batch, connection: sqlite3.Connection) -> None:
        batch.deletes = [each for each in batch.deletes if each[0] not in left_out]
        _write(batch, connection)

    return write


async def _without_express_starts(store: SqliteStore, units: Sequence[Any]) -> None:
    await _commit(
        store,
        [
            unit
            for unit in units
            if not (type(unit) is Unit and unit.created and unit.execution.express)
        ],
    )


def _held(clock: SystemClock) -> int:
    clock._offset = max(clock._offset or 0, clock.wall() * 1_000_000)
    return clock._offset // 1_000_000


def _scan(run: Run) -> Index:
    run.index = Index(run.x.frames)
    return run.index


def _raise(parking: Parking, execution_id: int, error: Exception, name: str = "") -> None:
    raise error


async def _nothing(*arguments: Any) -> None: ...


def _at_once(clock: SystemClock, ms: int, call: Callable[[], None]) -> Any:
    return asyncio.get_running_loop().call_later(max(ms - clock.now(), 0) / 1000, call)


def _any_attempt(run: Run, frame_id: int, seq: int, *phases: Phase) -> Frame | None:
    frame = run.x.frames.get(frame_id)
    return run.touch(frame_id) if frame is not None and frame.phase in phases else None


def _inputs_alone(batch: Batch, execution_id: int, rows: ChildRows) -> None:
    if not isinstance(rows, ChildOutputs):
        _add_child_rows(batch, execution_id, rows)


def _as(kind: type[Worker]) -> Plant:
    return lambda: patch.object(engine_module, "Worker", kind)


def _with(part: str, kind: type) -> Plant:
    """The worker with another class for one of its parts."""
    return lambda: patch.object(worker, part, kind)


TASKS = ("callback", "timeouts", "stopped")
RUNS = ("map run", "map run stopped", "map run out of time")
PLANTS: dict[str, tuple[Plant, tuple[str, ...]]] = {
    "publish before commit": (_with("Writer", PublishBeforeCommit), ()),
    "answer before commit": (_as(AnswerBeforeCommit), ()),
    "answer from memory": (_as(AnswerFromMemory), TASKS),
    "no seq check": (lambda: patch.object(Run, "current", _any_attempt), ()),
    "no timer-window scan": (_with("Wakes", NoWindowScan), ()),
    "no time limits after recovery": (no_time_limits_after_recovery, ()),
    "effects are not sent again": (
        lambda: patch.object(worker, "recover", lambda execution: []),
        (),
    ),
    "results of children are not stored": (
        lambda: patch.object(child_rows, "add", _inputs_alone),
        ("map run of a dataset",),
    ),
    "children are not sent again": (
        lambda: patch.object(map_run, "recover", lambda x, frame: []),
        RUNS,
    ),
    "time goes back": (lambda: patch.object(SystemClock, "raise_to", lambda self, ms: None), ()),
    "children go on after their Map Run": (_with("Commands", ChildrenGoOn), RUNS),
    "orphans go on after a crash": (_with("LiveExecutions", OrphansGoOn), RUNS[1:]),
    "work begins after close": (_with("Commands", WorksOnAfterClose), ()),
    "records of a task are dropped": (_as(DropsRecords), ()),
    "answer before its record": (_as(AnswersBeforeRecords), ()),
    "start of an asynchronous Express not stored": (
        lambda: patch.object(SqliteStore, "commit", _without_express_starts),
        (),
    ),
    "no BEGIN": (lambda: patch.object(disk, "Connection", NoBegin), ()),
    "commits are not synced": (lambda: patch.object(disk, "Connection", NoSync), ()),
    "frames of closed executions stay": (
        lambda: patch.object(database, "write", _without(DELETE_FRAMES)),
        (),
    ),
    "items of closed executions stay": (
        lambda: patch.object(database, "write", _without(*DELETE_VISITS)),
        (),
    ),
    "history is never merged": (
        lambda: patch.object(database, "merge_history", lambda first, last: iter(())),
        (),
    ),
    "alarms ignore a forward jump": (
        lambda: patch.object(SystemClock, "call_at", _at_once),
        ("waits", "stopped", "loop"),
    ),
    "one wrong reading is accepted": (
        lambda: patch.object(SystemClock, "_accept", lambda clock, ahead, monotonic: ahead > 0),
        (),
    ),
    "time stands still after a step back": (lambda: patch.object(SystemClock, "now", _held), ()),
    "a timer scan per frame": (lambda: patch.object(Run, "indexed", _scan), ()),
    "a slot held by a waiter": (lambda: patch.object(Slot, "waiting", nullcontext), ()),
    "slots are lost": (lambda: patch.object(Slot, "give_back", lambda slot: None), ()),
    "a store opened twice": (lambda: patch.dict(SQL, fence="SELECT ?"), ()),
    "retention leaves payloads": (lambda: patch.dict(SQL, delete_all_payload="SELECT ?"), ()),
    "definitions are never swept": (lambda: patch.object(Retention, "_sweep", _nothing), ()),
    "executions of a deleted machine go on": (
        lambda: patch.object(Deletions, "committed", lambda self, live, unit: None),
        (),
    ),
    "deleted machines stay after a crash": (
        lambda: patch.object(Deletions, "open", _nothing),
        ("deleted", "chain"),
    ),
    "one damaged row stops the server": (lambda: patch.object(Parking, "park", _raise), ()),
    "rows of parked executions stay": (
        lambda: patch.object(Continuations, "park", lambda continuations, execution_id: None),
        (),
    ),
    "status changes are not stored": (
        lambda: patch.object(CommitEvents, "status_changes", lambda events, unit: None),
        (),
    ),
    "services are not told": (
        lambda: patch.object(Commands, "notify", lambda commands, command: None),
        (),
    ),
    "a poller does not learn of the end": (
        lambda: patch.object(ActivityQueues, "fail", lambda self, error: None),
        ("activity",),
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_planted_bug_is_found(name: str) -> None:
    for workload in WORKLOADS:
        worlds.expected(workload)  # from the sound engine
    plant, among = PLANTS[name]
    with plant():
        found = next(filter(None, (worlds.faults(seed, among) for seed in range(SEEDS))), [])
    assert found, f"{SEEDS} seeds do not show it"
    assert not re.search("(Attribute|Type|Name|Key|Value)Error", found[0]), (
        f"the plant itself is broken: {found[0]}"
    )
