"""A law: an execution that is replayed with its own definition has no difference. Of machines of
all areas of the conformance suite, with the children of their Map Runs.
"""

import asyncio
import json
import os
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from tests.engine.replay.histories import ended, opened, work, worked_by_function

from stepwell.asl.validate import validate
from stepwell.conformance.generate.generators import AREAS
from stepwell.conformance.run.case import Case
from stepwell.engine import Engine
from stepwell.engine.replay import Replayer
from stepwell.engine.replay.children import processor
from stepwell.engine.tasks import TaskError
from stepwell.integrations.cli import recordings
from stepwell.integrations.cli.clients.local import EngineClient
from stepwell.integrations.cli.recordings import Recorded
from stepwell.integrations.limits import DEFAULT_LIMITS

HISTORIES = int(os.environ.get("STEPWELL_HISTORIES", "30"))
PAYLOAD_BYTES = DEFAULT_LIMITS.payload_bytes  # some of an area are longer
DRAWN = sorted(AREAS.keys() - {"calls", "validator"})  # those are not machines that run


def fail(input: Any) -> Any:
    raise TaskError("CustomError", "the cause")


def slow(input: Any) -> Any:
    raise TaskError("States.Timeout", "silent")


def check(one: Recorded, old: dict[str, Any]) -> None:
    for known in (old, None):
        result = Replayer(known, old).replay(
            one.description, one.events, one.id, one.uuid, one.map_results
        )
        assert (result.divergences, result.unrepeatable, result.known) == ((), (), True), one.name


async def check_all(client: EngineClient, one: Recorded, old: dict[str, Any]) -> int:
    """Of an execution and its descendants; how many they are."""
    check(one, old)
    replayed = 1
    for map_run, state in one.map_runs.items():
        of_child = processor(old, state)
        assert of_child is not None
        async for child in recordings.children(client, one, map_run):
            replayed += await check_all(client, child, of_child)
    return replayed


async def start(engine: Engine, case: Case) -> str:
    created = await engine.create_state_machine("m", json.dumps(case.definition))
    arn = created["stateMachineArn"]
    if case.area == "nested" and isinstance(case.input, dict):
        task: dict[str, Any] = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "TimeoutSeconds": 1,
            "Parameters": {"StateMachineArn": arn, "Input": case.input},
            "End": True,
        }
        definition = {"StartAt": "Child", "States": {"Child": task}}
        created = await engine.create_state_machine("parent", json.dumps(definition))
        arn = created["stateMachineArn"]
    started = await engine.start_execution(arn, input=json.dumps(case.input))
    return started["executionArn"]


async def replayed(case: Case, redrives: int) -> None:
    functions = {"conformance_echo": work, "conformance_fail": fail, "conformance_slow": slow}
    async with opened(**functions) as engine:
        arn = await start(engine, case)
        await ended(engine, case.definition, arn, redrives)
        client = EngineClient(engine, "", (), DEFAULT_LIMITS)
        one = await recordings.recorded(client, arn)
        count = await check_all(client, one, json.loads(one.definition or ""))
        event(f"{case.area}: {one.description['status']}{', children' if count > 1 else ''}")


@settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(DRAWN), st.integers(0, 2**32), st.integers(0, 2))
@example("distributed", 42580, 1)  # an Express child that is redriven, from its first state
@example("tasks", 269, 2)  # an expression of an iteration fails at each redrive
def test_a_replay_with_the_same_definition_has_no_difference(
    area: str, seed: int, redrives: int
) -> None:
    case = AREAS[area].make(Random(seed))
    case = replace(case, definition=worked_by_function(case.definition))
    if not validate(case.definition).errors and len(json.dumps(case.input)) <= PAYLOAD_BYTES:
        asyncio.run(replayed(case, redrives))
