"""One execution of a test: on an engine of its own in memory, in virtual time, with mocks and
functions.

    Plan --run--> Run;  --run_state--> TestState's answer

Everything that could differ from run to run is fixed: the time at the start, and the random ids. So
a test without functions of its own has the same history each time.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event
from stepwell.engine.engine import Engine
from stepwell.engine.operations.results import TestStateOutput
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.testing import mocking
from stepwell.integrations.testing.background import print_output
from stepwell.integrations.testing.errors import UnfinishedError
from stepwell.integrations.testing.plans import Plan
from stepwell.integrations.testing.results import Child, Run
from stepwell.integrations.testing.tasks import ROLE, Machine, TestTasks

_SEED: Final = 7


@asynccontextmanager
async def _engine(plan: Plan, pool: Pool | None) -> AsyncIterator[tuple[Engine, TestTasks]]:
    """pool: of the processes of functions; None: one for this time. Raises WorkflowTestError."""
    own = pool or Pool(plan.limits, print_output)
    draw, tasks = random.Random(_SEED), TestTasks(plan, own)
    engine = Engine(
        tasks=tasks,
        clock=VirtualClock(plan.start_ms, outside_seconds=0.0),
        limits=plan.limits,
        new_uuid=lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    )
    try:
        async with engine:
            yield engine, tasks
            if tasks.faults:
                raise tasks.faults[0]
    finally:
        if pool is None:
            await own.close()


async def run(
    plan: Plan, input: str, name: str | None, timeout: float, pool: Pool | None = None
) -> Run:
    """Run it to its end, with the executions that it starts. Raises UnansweredTaskError,
    UnfinishedError.

    timeout  seconds of real time
    """
    async with _engine(plan, pool) as (engine, tasks):
        machine = await tasks.create(plan.name)
        express = plan.type == "EXPRESS"
        start = engine.watch_express_execution if express else engine.start_execution
        arn = (await start(machine, name=name or "test", input=input))["executionArn"]
        ends = asyncio.get_running_loop().time() + timeout
        history = await _ended(engine, plan.name, arn, timeout, ends)
        nested = await _nested(engine, tasks, timeout, ends)
        found = await _read(engine, tasks, tasks.machines[plan.name], arn, history)
        warnings = [text for each in tasks.machines.values() for text in each.plan.warnings]
        return replace(found, warnings=warnings, unused=tasks.unused(), nested=nested)


async def _ended(
    engine: Engine, machine: str, arn: str, timeout: float, ends: float
) -> list[Event]:
    """The history of an execution, once it has ended. Raises UnfinishedError."""
    try:
        async with asyncio.timeout_at(ends):
            return [event async for event in engine.watch(arn)]
    except TimeoutError:
        raise UnfinishedError(
            f"{machine} still ran after {timeout:g} s; its last event is {await _last(engine, arn)}"
        ) from None


async def _nested(engine: Engine, tasks: TestTasks, timeout: float, ends: float) -> list[Run]:
    """The executions that tasks have started, in order. Those that nothing waits for may start
    others.
    """
    found: dict[str, Run] = {}
    while new := [each for each in tasks.started.items() if each[0] not in found]:
        for arn, machine in new:
            history = await _ended(engine, machine.plan.name, arn, timeout, ends)
            found[arn] = await _read(engine, tasks, machine, arn, history)
    return list(found.values())


async def _read(
    engine: Engine, tasks: TestTasks, machine: Machine, arn: str, history: list[Event]
) -> Run:
    """An execution that has ended."""
    plan = machine.plan
    standard = plan.type != "EXPRESS"
    children = [child async for child in _children(engine, arn)] if standard else []
    histories = [history, *(child.history for child in children)]
    return Run(
        machine=plan.name,
        type=plan.type,
        definition=plan.text,
        parameters=plan.parameters,
        execution=await engine.inspect_execution(arn),
        history=history,
        children=children,
        mocked=_mocked(plan, tasks, histories),
        file=None if plan.file is None else str(plan.file),
    )


def _mocked(
    plan: Plan, tasks: TestTasks, histories: list[Sequence[Event]]
) -> dict[str, list[dict[str, Json]]]:
    """The results of whole Parallels and Maps; the tasks learn which of them were used."""
    states = every_state(json_text.loads(plan.text)) if plan.mocks else ()
    mocked = {
        name: tasks.mocks.whole(plan.name, tasks.plan.case, name) or []
        for name, each in states
        if each["Type"] in mocking.WHOLE and name in plan.mocks
    }
    visits = [Visits(each) for each in histories] if mocked else []
    for each in visits:  # a child of a Map Run counts its own attempts
        for state in mocked:
            tasks.use(plan.name, state, sum(visit.attempts for visit in each.named.get(state, ())))
    return mocked


async def _last(engine: Engine, arn: str) -> str:
    """The last event of an execution in a few words."""
    events = [event async for event in engine.inspect_history(arn)]
    return events[-1]["type"] if events else "none"


async def _children(engine: Engine, arn: str) -> AsyncIterator[Child]:
    """The executions of its Map Runs, and of theirs. Express children that succeed without waiting
    are none.
    """
    runs = await engine.list_map_runs(arn)
    for each in runs["mapRuns"]:
        page: Mapping[str, Any] = {"nextToken": None}
        while "nextToken" in page:
            page = await engine.list_executions(
                map_run_arn=each["mapRunArn"], next_token=page["nextToken"]
            )
            for listed in page["executions"]:
                child = listed["executionArn"]
                described = await engine.inspect_execution(child)
                history = [event async for event in engine.inspect_history(child)]
                slot = int(listed["name"].rpartition("-")[2])
                yield Child(each["mapRunArn"], slot, described, history)
                async for inner in _children(engine, child):
                    yield inner


async def run_state(
    plan: Plan, state: str, request: Mapping[str, Any], pool: Pool | None = None
) -> TestStateOutput:
    """TestState of one state of the machine."""
    async with _engine(plan, pool) as (engine, _):
        return await engine.test_state(
            plan.text, state_name=state, role_arn=ROLE, inspection_level="DEBUG", **request
        )


def text_of(value: Json, what: str) -> str:
    """A Python value as JSON text. Raises TypeError, with `what` in its text."""
    try:
        return json_text.dumps(value)
    except (TypeError, ValueError) as fault:
        raise TypeError(f"{what} is not JSON: {fault}") from None
