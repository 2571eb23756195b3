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
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event
from stepwell.asl.resources import Resource, parse_resource
from stepwell.engine.engine import Engine
from stepwell.engine.operations.results import TestStateOutput
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.mocks.cases import Items, TestCase
from stepwell.integrations.mocks.cases import Plan as MockPlan
from stepwell.integrations.services.runtime.pool import Pool
from stepwell.integrations.testing import mocking
from stepwell.integrations.testing.background import print_output
from stepwell.integrations.testing.errors import UnfinishedError
from stepwell.integrations.testing.results import Child, Run
from stepwell.integrations.testing.tasks import TestTasks

START_MS: Final = 1_767_225_600_000  # 2026-01-01T00:00:00Z
_SEED: Final = 7
ROLE: Final = "arn:aws:iam::123456789012:role/stepwell-test"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run.

    name        of the state machine
    text        the definition with its parameters filled in
    functions   name, ARN or Resource -> callable
    folder      of functions; None: there is none
    mocks       state -> its responses
    warnings    sentences on mocks of a mock file
    case        what texts call the mocks
    start_ms    epoch ms at the start
    """

    name: str
    text: str
    type: str = "STANDARD"
    file: Path | None = None
    parameters: Mapping[str, Json] = field(default_factory=dict)
    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    folder: Path | None = None
    mocks: Mapping[str, MockPlan | Items] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    case: str = "mocks"
    start_ms: int = START_MS
    limits: Limits = DEFAULT_LIMITS


@asynccontextmanager
async def _engine(plan: Plan, pool: Pool | None) -> AsyncIterator[tuple[Engine, TestTasks]]:
    """pool: of the processes of functions; None: one for this time. Raises UnansweredTaskError."""
    own = pool or Pool(plan.limits, print_output)
    draw = random.Random(_SEED)
    case, activities = TestCase(plan.mocks, plan.case), _activities(plan.text)
    tasks = TestTasks(plan.functions, plan.folder, case, activities, own, plan.limits)
    engine = Engine(
        tasks=tasks,
        clock=VirtualClock(plan.start_ms, outside_seconds=0.0),
        limits=plan.limits,
        new_uuid=lambda: str(uuid.UUID(int=draw.getrandbits(128), version=4)),
    )
    try:
        async with engine:
            yield engine, tasks
            if tasks.unanswered:
                raise tasks.unanswered[0]
    finally:
        if pool is None:
            await own.close()


def _activities(text: str) -> dict[str, Resource]:
    """The states whose Task is an activity."""
    found = {}
    for name, state in every_state(json_text.loads(text)):
        resource = parse_resource(state["Resource"]) if state["Type"] == "Task" else None
        if resource is not None and resource.kind == "activity":
            found[name] = resource
    return found


async def run(
    plan: Plan, input: str, name: str | None, timeout: float, pool: Pool | None = None
) -> Run:
    """Run it to its end. Raises UnansweredTaskError, UnfinishedError.

    timeout  seconds of real time
    """
    async with _engine(plan, pool) as (engine, tasks):
        created = await engine.create_state_machine(plan.name, plan.text, ROLE, type=plan.type)
        machine = created["stateMachineArn"]
        express = plan.type == "EXPRESS"
        start = engine.watch_express_execution if express else engine.start_execution
        arn = (await start(machine, name=name or "test", input=input))["executionArn"]
        try:
            async with asyncio.timeout(timeout):
                history = [event async for event in engine.watch(arn)]
        except TimeoutError:
            raise UnfinishedError(
                f"{plan.name} still ran after {timeout:g} s; its last event is "
                + (await _last(engine, arn))
            ) from None
        children = [] if express else [child async for child in _children(engine, arn)]
        mocked = _mocked(plan, tasks, [history, *(child.history for child in children)])
        return Run(
            machine=plan.name,
            type=plan.type,
            definition=plan.text,
            parameters=plan.parameters,
            execution=await engine.inspect_execution(arn),
            history=history,
            children=children,
            warnings=plan.warnings,
            unused=tasks.unused(),
            mocked=mocked,
            file=None if plan.file is None else str(plan.file),
        )


def _mocked(
    plan: Plan, tasks: TestTasks, histories: list[Sequence[Event]]
) -> dict[str, list[dict[str, Json]]]:
    """The results of whole Parallels and Maps; the tasks learn which of them were used."""
    states = every_state(json_text.loads(plan.text)) if plan.mocks else ()
    mocked = {
        name: tasks.mocks.whole(plan.name, plan.case, name) or []
        for name, each in states
        if each["Type"] in mocking.WHOLE and name in plan.mocks
    }
    visits = [Visits(each) for each in histories] if mocked else []
    for each in visits:  # a child of a Map Run counts its own attempts
        for state in mocked:
            tasks.use(state, sum(visit.attempts for visit in each.named.get(state, ())))
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
