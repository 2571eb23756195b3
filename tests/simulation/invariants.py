"""Invariants of a world at rest (all clients done, all executions closed): nothing unneeded is left
in the database and in memory.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final

from tests.simulation import disk
from tests.simulation.functions import STATUS

from stepwell.engine.core.model import RUNNING
from stepwell.engine.store.batcher import MERGE_EVENTS
from stepwell.engine.store.keys import EVENT_BITS, EVENTS, ROW_BITS
from stepwell.engine.store.sql.queries import MERGE_BYTES, MERGE_ROWS

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

PATIENCE_SECONDS: Final = 2000
_SUCCEEDED: Final = 1
_KNOWN: Final = "SELECT id FROM execution"
_CONTINUED: Final = "SELECT id FROM continuation"
LEFT_BEHIND: Final = {
    "continuations of succeeded executions": (
        f"SELECT id FROM continuation WHERE id NOT IN ({_KNOWN} WHERE status <> {_SUCCEEDED})"
    ),
    "frames without a continuation": (
        f"SELECT key FROM frame WHERE key >> {ROW_BITS} NOT IN ({_CONTINUED})"
    ),
    "items without a continuation": (
        f"SELECT execution FROM map_item WHERE execution NOT IN ({_CONTINUED})"
    ),
    "results without a continuation": (
        f"SELECT execution FROM map_result WHERE execution NOT IN ({_CONTINUED})"
    ),
    "inputs of children without a continuation": (
        f"SELECT execution FROM child_input WHERE execution NOT IN ({_CONTINUED})"
    ),
    "outputs of children without a continuation": (
        f"SELECT execution FROM child_output WHERE execution NOT IN ({_CONTINUED})"
    ),
    "payloads of no execution": (
        f"SELECT key FROM payload WHERE key >> {ROW_BITS} NOT IN ({_KNOWN})"
    ),
    "history of no execution": (
        f"SELECT key FROM history WHERE key >> {EVENT_BITS} NOT IN ({_KNOWN})"
    ),
    "Map Runs of no execution": f"SELECT execution FROM map_run WHERE execution NOT IN ({_KNOWN})",
    "executions that run on": "SELECT id, tail FROM execution WHERE status = 0",
    "Express executions": (
        "SELECT e.id, e.tail FROM execution e JOIN series s ON s.id = e.series WHERE s.express"
    ),
}
"""Rows that may not remain in the database -> the query that finds them."""


# an alarm looks at the clock again after 10 s; then the execution has to be read and decided upon
LATE_SECONDS: Final = 25


async def in_time(world: "World") -> None:
    """Time keeps its pace or is faster, and ignores wrong readings; what is due happens if a
    process serves for long enough.
    """
    process, first, since = None, (0, 0.0), dict[tuple[int, int], float]()
    while True:
        await asyncio.sleep(5)
        serving, now = world.process, world.loop.virtual
        if serving is None or serving.dead.is_set():
            continue
        time = serving.engine.clock.now()
        if serving is not process:
            process, first, since = serving, (time, now), {}
        if time - first[0] < (now - first[1]) * 1000 - 10:
            world.violated(f"time advanced by {time - first[0]} ms in {now - first[1]:.3f} s")
        if time > world.wall.most_ms + 10:
            world.violated(
                f"time is {time - world.wall.most_ms} ms ahead of what any clock has shown"
            )
        due = [
            (wake, each)
            for wake, each in disk.rows(
                world.path, "SELECT wake, id FROM continuation WHERE wake > 0 AND wake <= ?", time
            )
        ]
        for live in serving.engine.worker.live.values():
            at = live.x.wake_at()
            if at is not None and at <= time and live.x.status == RUNNING and live.broken is None:
                due.append((at, live.x.id))
        due = [
            each for each in due if each[1] not in world.damaged
        ]  # parked: it is stopped by hand
        since = {each: since.get(each, now) for each in due}
        for (at, execution), start in since.items():
            if now - start > LATE_SECONDS:
                world.violated(
                    f"execution {execution} was due {time - at} ms ago, and nothing has come of it"
                )


async def at_rest(world: "World", process: "Process") -> None:
    """Wait until nothing is under way any more, then look at the database and into the memory of
    the process.
    """
    worker = process.engine.worker
    for _ in range(PATIENCE_SECONDS // 10):
        if (
            not worker.live and not worker.queued and not worker.timers.at
        ):  # a scan may have set an alarm for what has just closed
            break
        await asyncio.sleep(10)
    for what, left in memory(process).items():
        if left:
            world.violated(f"all is done, and there are {what} in memory: {left}")
    for what, statement in LEFT_BEHIND.items():
        if found := disk.rows(world.path, statement):
            world.violated(f"all is done, and there are {what} in the database: {found[:5]}")
    if world.meter.seen > world.meter.allowed:
        world.violated(
            f"decisions looked at {world.meter.seen} frames, which is more than "
            f"{world.meter.allowed}"
        )
    if process.owed - process.told:
        world.violated(
            "services got no confirmation that their records are durable: "
            f"{sorted(process.owed - process.told)[:3]}"
        )
    for problem in [*unmerged(world), *untold(world, process)]:
        world.violated(problem)


def memory(process: "Process") -> dict[str, list[Any]]:
    """What a process remembers of executions that are over, which is nothing."""
    engine, worker = process.engine, process.engine.worker
    return {
        "executions": [live.x.arn for live in worker.live.values()],
        "children": list(worker.executions.children),
        "alarms": list(worker.timers.at),
        "effects": [*worker.effects.running, *worker.effects.waiting],
        "slots": [
            kind for kind, pool in worker.effects.pools.items() if pool.taken or pool.resuming
        ],
        "waiters": list(engine.tracker.waiters),
        "names": list(engine.tracker.open),
        "signals": list(engine.tracker.signals),
        "rows of continuations": list(process.store._batcher.continuations.live),
    }


def unmerged(world: "World") -> list[str]:
    """Executions whose history has more rows in one stretch than it needs."""
    found, run, before = [], 0, (0, 0)
    for key, length in disk.rows(world.path, "SELECT key, length(blob) FROM history ORDER BY key"):
        execution, first = key >> EVENT_BITS, key & EVENTS
        here = (execution, (first - 1) // MERGE_EVENTS)
        run = (run if here == before else 0) + 1 if length <= MERGE_BYTES else 0
        before = here
        if run == MERGE_ROWS and execution not in world.damaged:
            found.append(
                f"the history of execution {execution} was not merged: {first} is the third "
                "small row of its stretch"
            )
    return found


def untold(world: "World", process: "Process") -> list[str]:
    """Each execution's changes of status that a service has stored."""
    if not world.settings.status:
        return []
    stored: dict[str, list[str]] = {}
    for key, status in disk.rows(
        world.path, "SELECT key, blob FROM record WHERE key >= ? AND key < ?", STATUS, STATUS + "~"
    ):
        stored.setdefault(key.removeprefix(STATUS).rpartition("/")[0], []).append(status.decode())
    found = []
    statement = (
        "SELECT s.prefix || ':' || e.tail, e.status FROM execution e JOIN series s ON s.id = "
        "e.series"
    )
    for arn, status in disk.rows(world.path, statement):
        told = stored.get(arn, [])
        if told.count("RUNNING") * 2 != len(told) or not told:
            found.append(f"{arn} has status {status}, and was told: {told}")
    return found
