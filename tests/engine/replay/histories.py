"""Executions of a real engine in virtual time, as recordings for replays."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple

from stepwell.conformance.generate import AREAS, case_of
from stepwell.conformance.generate.scenarios.redrive import redrive_case
from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY, scripted
from stepwell.conformance.run.case import Case
from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.replay import Replayed, Replayer
from stepwell.engine.tasks import TaskError
from stepwell.engine.virtual_clock.clock import VirtualClock
from stepwell.integrations.tasks.registry import Registry

START = 1_700_000_000_000
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"


class Recorded(NamedTuple):
    """A definition, and an execution of it."""

    definition: dict[str, Any]
    description: dict[str, Any]
    events: list[dict[str, Any]]
    id: int
    uuid: str

    def replay(self, new: dict[str, Any] | None = None, known: bool = True) -> Replayed:
        replayer = Replayer(self.definition if known else None, new or self.definition)
        return replayer.replay(self.description, self.events, self.id, self.uuid)


async def work(event: Any) -> Any:
    result = scripted("", event)
    if result.timed_out:
        raise TaskError("States.Timeout", "silent")
    if result.error is not None:
        raise TaskError(result.error, result.cause)
    return result.output


@asynccontextmanager
async def opened(**functions: Any) -> AsyncIterator[Engine]:
    tasks = Registry(functions={"work": work, **functions})
    async with Engine(tasks=tasks, clock=VirtualClock(START, outside_seconds=0)) as engine:
        yield engine


async def record(
    engine: Engine, definition: dict[str, Any], input: Any = None, redrives: int = 0
) -> Recorded:
    """Run a machine to its end, and redrive it if it fails."""
    name = f"m{await count(engine)}"
    machine = await engine.create_state_machine(name, json.dumps(definition))
    started = await engine.start_execution(machine["stateMachineArn"], input=json.dumps(input))
    return await ended(engine, definition, started["executionArn"], redrives)


async def count(engine: Engine) -> int:
    return len((await engine.list_state_machines(max_results=1000))["stateMachines"])


async def ended(
    engine: Engine, definition: dict[str, Any], arn: str, redrives: int = 0
) -> Recorded:
    described = await engine.wait(arn, timeout=60)
    for _ in range(redrives):
        if described["status"] != "SUCCEEDED":
            try:
                await engine.redrive_execution(arn)
            except ApiError:
                break
            described = await engine.wait(arn, timeout=60)
    events: list[Any] = []
    token = None
    while True:
        page = await engine.get_execution_history(arn, max_results=1000, next_token=token)
        events += page["events"]
        token = page.get("nextToken")
        if token is None:
            break
    row = await engine.store.describe(arn)
    assert row is not None
    return Recorded(definition, dict(described), events, row.id, row.uuid)


def generated(seed: int) -> Case:
    """A machine of any area, whose activities are a function."""
    r = Random(seed)
    case = redrive_case(r) if seed % 8 == 0 else case_of(r, AREAS[seed % len(AREAS)])
    return Case(worked_by_function(case.definition), case.input, case.kind, case.area)


def worked_by_function(definition: dict[str, Any]) -> dict[str, Any]:
    """With a function in the place of each activity."""
    text = json.dumps(definition)
    for number in range(ACTIVITIES):
        text = text.replace(ACTIVITY.format(number), FUNCTION + "work")
    found: dict[str, Any] = json.loads(text)
    return found
