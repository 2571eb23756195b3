"""Express children of Map Runs that never wait: they leave their results and nothing else."""

import asyncio
import json
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Shape, each, task, wait
from tests.engine.test_logs import logged, logging

from stepwell.asl.compiler import compile_machine
from stepwell.asl.validate import validate
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import StoreError
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.map_runs.express import never_waits

PASS: Shape = {"Type": "Pass", "End": True}
SMALL: Shape = {  # fails for inputs from 100 on
    "Type": "Choice",
    "Choices": [{"Variable": "$", "NumericLessThan": 100, "Next": "P"}],
}


def over(state: Shape, **fields: Any) -> Shape:
    config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}}
    run = each(state, **config) | {"Label": "L", **fields}
    run["ItemProcessor"]["States"] |= {} if state.get("End") else {"P": PASS}
    return {"M": run}


async def described(life: EngineFixture, arn: str) -> Any:
    (item,) = (await life.engine.list_map_runs(arn))["mapRuns"]
    return await life.engine.describe_map_run(item["mapRunArn"])


async def listed(life: EngineFixture, arn: str) -> list[Any]:
    run = (await described(life, arn))["mapRunArn"]
    return list((await life.engine.list_executions(map_run_arn=run))["executions"])


async def test_only_their_results_are_stored(life: EngineFixture) -> None:
    items = [str(number) for number in range(2_500)]
    arn = await life.start(over(PASS, MaxConcurrency=0), input=json.dumps(items))
    assert json.loads((await life.finish(arn))["output"]) == items
    run = await described(life, arn)
    assert run["executionCounts"]["succeeded"] == run["itemCounts"]["total"] == 2_500
    assert await listed(life, arn) == []
    assert life.engine.worker.counts.ended["SUCCEEDED"] == 2_501
    assert life.engine.worker.counts.started == 2_501


async def test_one_that_fails_is_an_execution(life: EngineFixture) -> None:
    run = over(SMALL, MaxConcurrency=0, ToleratedFailureCount=1)
    arn = await life.start(run, input="[1, 100, 2]")
    assert (await life.finish(arn))["output"] == "[1,2]"
    (failed,) = await listed(life, arn)
    assert (failed["status"], failed["name"][-2:]) == ("FAILED", "-1")
    assert (await life.types(failed["executionArn"]))[-1] == "ExecutionFailed"
    counts = (await described(life, arn))["executionCounts"]
    assert (counts["succeeded"], counts["failed"], counts["total"]) == (2, 1, 3)


async def test_a_redrive_runs_those_that_failed_and_those_that_had_not_begun(
    life: EngineFixture, restart: bool
) -> None:
    arn = await life.start(over(SMALL, MaxConcurrency=1), input="[1, 100, 2]")
    assert (await life.finish(arn))["error"] == "States.ExceedToleratedFailureThreshold"
    await life.after(1, restart)
    await life.engine.redrive_execution(arn)
    assert (await life.finish(arn))["status"] == "FAILED"
    counts = (await described(life, arn))["executionCounts"]
    assert (counts["succeeded"], counts["failed"], counts["pending"]) == (1, 1, 1)


async def test_a_retry_waits_in_an_execution(life: EngineFixture) -> None:
    """Nothing in its definition waits, but it does."""
    failing = {"Type": "Fail", "Error": "E"}
    branch = {
        "StartAt": "S",
        "States": {"S": {**SMALL, "Default": "F"}, "P": PASS, "F": failing},
    }
    again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 5, "MaxAttempts": 1}]
    parallel = {"Type": "Parallel", "Branches": [branch], "Retry": again, "End": True}
    arn = await life.start(over(parallel, ToleratedFailureCount=1), input="[1, 100]")
    assert (await life.finish(arn))["output"] == "[[1]]"
    (failed,) = await listed(life, arn)
    assert (await life.types(failed["executionArn"])).count("ParallelStateStarted") == 2


async def test_they_are_logged(life: EngineFixture) -> None:
    sink, arn = await logged(life, over(PASS), "[7]", logging())
    ended = [each for each in sink.records if each["type"] == "ExecutionSucceeded"]
    assert len(ended) == 2 and {each["execution_arn"] == arn for each in ended} == {False, True}


async def test_results_with_their_executions(life: EngineFixture) -> None:
    arn = await life.start(
        over(PASS, ResultWriter={"WriterConfig": {"Transformation": "NONE"}}), input="[7]"
    )
    (result,) = json.loads((await life.finish(arn))["output"])
    assert (result["Input"], result["Output"], result["Status"]) == ("7", "7", "SUCCEEDED")
    assert result["ExecutionArn"].endswith(f"/L:{result['Name']}")


async def test_those_that_ran_at_a_crash_run_again(life: EngineFixture) -> None:
    """Their Map Run was stored, their results were not."""
    commit = life.store.commit

    async def first(units: Any) -> Any:
        life.store.commit = never  # type: ignore[method-assign]
        return await commit(units)

    async def never(units: Any) -> Any:
        raise StoreError("no space left on device")

    arn = await life.engine.create_state_machine(
        "m", json.dumps({"StartAt": "M", "States": over(PASS, MaxConcurrency=0)})
    )
    life.store.commit = first  # type: ignore[method-assign]
    started = await life.engine.start_execution(arn["stateMachineArn"], input="[1, 2, 3]")
    await asyncio.sleep(0.05)
    await life.restart()
    assert (await life.finish(started["executionArn"]))["output"] == "[1,2,3]"
    assert await listed(life, started["executionArn"]) == []


@pytest.mark.parametrize(
    ("state", "quick"),
    [
        (PASS, True),
        (task("ok"), False),
        (wait(1), False),
        ({**each(PASS), "ItemProcessor": {"StartAt": "I", "States": {"I": PASS}}}, True),
        ({**each(PASS), "ItemProcessor": {"StartAt": "I", "States": {"I": wait(1)}}}, False),
        (
            {
                "Type": "Parallel",
                "End": True,
                "Branches": [{"StartAt": "I", "States": {"I": task("ok")}}],
            },
            False,
        ),
    ],
)
def test_which_never_wait(state: Shape, quick: bool) -> None:
    checked = validate(json.dumps({"StartAt": "S", "States": {"S": state}}))
    assert checked.definition is not None
    program = compile_machine(checked.definition, DEFAULT_LIMITS, Payload)
    assert never_waits(program.blocks[0]) is quick
