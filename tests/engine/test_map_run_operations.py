"""ListMapRuns, DescribeMapRun, UpdateMapRun, what is said of children, and the redrive of a Map
Run.
"""

from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, refused, task, wait


def over(state: dict[str, Any], express: bool = False, **fields: Any) -> dict[str, Any]:
    kind = {
        "ProcessorConfig": {
            "Mode": "DISTRIBUTED",
            "ExecutionType": "EXPRESS" if express else "STANDARD",
        }
    }
    processor = {**kind, "StartAt": "I", "States": {"I": state}}
    return {"M": {"Type": "Map", "Label": "L", "ItemProcessor": processor, "End": True, **fields}}


async def only(life: EngineFixture, arn: str) -> dict[str, Any]:
    """The one Map Run of an execution, described."""
    (item,) = (await life.engine.list_map_runs(arn))["mapRuns"]
    described: dict[str, Any] = await life.engine.describe_map_run(item["mapRunArn"])
    assert described["executionArn"] == item["executionArn"] == arn
    assert item["stateMachineArn"].endswith(":stateMachine:m/L")
    return described


def counts(**given: int) -> dict[str, int]:
    names = (
        "pending",
        "running",
        "succeeded",
        "failed",
        "timedOut",
        "aborted",
        "resultsWritten",
        "pendingRedrive",
        "failuresNotRedrivable",
    )
    found = dict.fromkeys(names, 0) | given
    return found | {"resultsWritten": found["succeeded"], "total": sum(found.values())}


async def children(
    life: EngineFixture, run: dict[str, Any], **filters: Any
) -> list[tuple[int, str]]:
    """(slot, status) of those that are listed, page by page."""
    found: list[tuple[int, str]] = []
    token = None
    while True:
        page = await life.engine.list_executions(
            map_run_arn=run["mapRunArn"], max_results=2, next_token=token, **filters
        )
        found += [
            (int(item["name"].rpartition("-")[2]), item["status"]) for item in page["executions"]
        ]
        assert all(item["mapRunArn"] == run["mapRunArn"] for item in page["executions"])
        token = page.get("nextToken")
        if token is None:
            return sorted(found)


async def test_counts_of_a_run_that_goes_well(life: EngineFixture, restart: bool) -> None:
    arn = await life.start(over(wait(10), MaxConcurrency=2), input="[1, 2, 3]")
    run = await only(life, arn)
    assert (
        run["status"],
        run["maxConcurrency"],
        run["toleratedFailurePercentage"],
        run["toleratedFailureCount"],
    ) == ("RUNNING", 2, 0.0, 0)
    assert run["executionCounts"] == run["itemCounts"] == counts(running=2, pending=1)
    assert (
        run["startDate"] == life.clock.now() / 1000
        and "stopDate" not in run
        and run["redriveCount"] == 0
    )
    await life.after(10, restart)
    assert (await only(life, arn))["executionCounts"] == counts(running=1, succeeded=2)
    await life.after(10, restart)
    run = await only(life, arn)
    assert run["executionCounts"] == run["itemCounts"] == counts(succeeded=3)
    assert (run["status"], run["stopDate"]) == ("SUCCEEDED", life.clock.now() / 1000)
    assert await children(life, run) == [(0, "SUCCEEDED"), (1, "SUCCEEDED"), (2, "SUCCEEDED")]


async def test_items_of_batches(life: EngineFixture) -> None:
    batches = over(
        task("sometimes"), ItemBatcher={"MaxItemsPerBatch": 2}, ToleratedFailurePercentage=50
    )
    life.bad = lambda payload: payload["Items"] == [5]
    arn = await life.start(batches, input="[1, 2, 3, 4, 5]")
    await life.finish(arn)
    run = await only(life, arn)
    assert run["toleratedFailurePercentage"] == 50.0
    assert (run["executionCounts"], run["itemCounts"]) == (
        counts(succeeded=2, failed=1),
        counts(succeeded=4, failed=1),
    )
    listed = (await life.engine.list_executions(map_run_arn=run["mapRunArn"]))["executions"]
    assert [item["itemCount"] for item in listed] == [1, 2, 2]


async def test_children_say_whose_they_are(life: EngineFixture) -> None:
    arn = await life.start(over(wait(10)), input="[1]")
    run = await only(life, arn)
    (item,) = (await life.engine.list_executions(map_run_arn=run["mapRunArn"]))["executions"]
    described = await life.engine.describe_execution(item["executionArn"])
    assert described["mapRunArn"] == run["mapRunArn"] and described["stateMachineArn"].endswith(
        "/L"
    )
    machine = await life.engine.describe_state_machine_for_execution(item["executionArn"])
    assert (machine["mapRunArn"], machine["label"]) == (run["mapRunArn"], "L")
    assert (
        '"StartAt":"I"' in machine["definition"] and '"ItemProcessor"' not in machine["definition"]
    )
    assert "mapRunArn" not in await life.engine.describe_execution(arn)
    assert "label" not in await life.engine.describe_state_machine_for_execution(arn)


async def test_pages_of_map_runs(life: EngineFixture) -> None:
    states = {
        f"M{number}": over({"Type": "Pass", "End": True})["M"]
        | {"Label": f"L{number}", "Next": f"M{number + 1}"}
        for number in range(3)
    }
    states = {
        name: {key: value for key, value in state.items() if key != "End"}
        for name, state in states.items()
    }
    for name, state in states.items():
        state["ItemProcessor"]["States"] = {f"I{name}": {"Type": "Pass", "End": True}}
        state["ItemProcessor"]["StartAt"] = f"I{name}"
    arn = await life.start(states | {"M3": {"Type": "Pass", "End": True}}, input="[1]")
    await life.finish(arn)
    first = await life.engine.list_map_runs(arn, max_results=2)
    second = await life.engine.list_map_runs(arn, max_results=2, next_token=first["nextToken"])
    assert [item["stateMachineArn"][-2:] for item in first["mapRuns"] + second["mapRuns"]] == [
        "L0",
        "L1",
        "L2",
    ]
    assert "nextToken" not in second


async def test_update(life: EngineFixture, restart: bool) -> None:
    arn = await life.start(over(wait(10), MaxConcurrency=1), input="[1, 2, 3, 4]")
    run = (await only(life, arn))["mapRunArn"]
    assert await life.engine.update_map_run(run, max_concurrency=3, tolerated_failure_count=2) == {}
    await life.after(1, restart)
    described = await only(life, arn)
    assert (described["maxConcurrency"], described["toleratedFailureCount"]) == (3, 2)
    assert described["executionCounts"] == counts(running=3, pending=1)
    await life.engine.update_map_run(run, max_concurrency=1)
    assert (await only(life, arn))["executionCounts"] == counts(running=3, pending=1)
    await life.after(11)
    assert (await only(life, arn))["executionCounts"] == counts(running=1, succeeded=3)
    await life.engine.update_map_run(run, max_concurrency=0)
    assert (await only(life, arn))["maxConcurrency"] == 0
    await life.finish(arn)
    completed = f"Map Run is completed and cannot be updated: '{run}'"
    await refused(
        life.engine.update_map_run(run, max_concurrency=1), "ValidationException", completed
    )


async def test_too_little_tolerance_fails_it(life: EngineFixture) -> None:
    life.bad = lambda payload: payload == 1
    arn = await life.start(
        over(task("sometimes"), ToleratedFailureCount=1, MaxConcurrency=1), input="[1]"
    )
    assert (await life.finish(arn))["status"] == "SUCCEEDED"
    life.bad = lambda payload: payload == 1
    slow = over(
        {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "T"}],
            "Default": "W",
        },
        ToleratedFailureCount=1,
    )
    slow["M"]["ItemProcessor"]["States"] |= {"T": task("sometimes"), "W": wait(100)}
    arn = await life.start(slow, input="[1, 2]", name="slow")
    (item,) = (await life.engine.list_map_runs(arn))["mapRuns"]
    assert (await life.engine.describe_map_run(item["mapRunArn"]))["executionCounts"] == counts(
        failed=1, running=1
    )
    await life.engine.update_map_run(item["mapRunArn"], tolerated_failure_count=0)
    ended = await life.finish(arn)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    run = await life.engine.describe_map_run(item["mapRunArn"])
    assert (run["status"], run["executionCounts"]) == ("FAILED", counts(failed=1, aborted=1))


@pytest.mark.parametrize("express", [False, True])
async def test_redrive(life: EngineFixture, restart: bool, express: bool) -> None:
    """The same Map Run: what succeeded is left alone, what failed or was aborted is redriven, what
    had not begun begins.
    """
    life.bad = lambda payload: payload == 2
    arn = await life.start(over(task("sometimes"), express, MaxConcurrency=1), input="[1, 2, 3, 4]")
    assert (await life.finish(arn))["error"] == "States.ExceedToleratedFailureThreshold"
    run = await only(life, arn)
    assert (run["status"], run["executionCounts"]) == (
        "FAILED",
        counts(succeeded=1, failed=1, pending=2),
    )
    (child,) = [
        each
        for each in (await life.engine.list_executions(map_run_arn=run["mapRunArn"]))["executions"]
        if each["status"] == "FAILED"
    ]
    described = await life.engine.describe_execution(child["executionArn"])
    assert described["redriveStatus"] == "REDRIVABLE_BY_MAP_RUN"
    only_so = "Execution is a child of a Map Run and can only be redriven by redriving its parent"
    await refused(
        life.engine.redrive_execution(child["executionArn"]), "ExecutionNotRedrivable", only_so
    )
    await life.after(60, restart)
    life.bad = lambda payload: False
    life.calls.clear()
    await life.engine.redrive_execution(arn)
    ended = await life.finish(arn)
    assert ended["output"] == "[1,2,3,4]"
    assert life.calls == ["sometimes 2", "sometimes 3", "sometimes 4"]
    again = await only(life, arn)
    assert (again["mapRunArn"], again["status"], again["redriveCount"]) == (
        run["mapRunArn"],
        "SUCCEEDED",
        1,
    )
    assert again["redriveDate"] > again["startDate"]
    assert again["executionCounts"] == counts(succeeded=4)
    described = await life.engine.describe_execution(child["executionArn"])
    assert (described["status"], described["redriveCount"]) == ("SUCCEEDED", 1)
    types = await life.types(arn)
    assert types[types.index("ExecutionRedriven") :] == [
        *(
            "ExecutionRedriven",
            "MapRunRedriven",
            "MapRunSucceeded",
            "MapStateSucceeded",
            "MapStateExited",
            "ExecutionSucceeded",
        ),
    ]
    assert (await life.types(child["executionArn"])).count("TaskStateEntered") == (
        2 if express else 1
    )
    assert await children(life, again, redrive_filter="REDRIVEN") == [(1, "SUCCEEDED")]
    assert len(await children(life, again, redrive_filter="NOT_REDRIVEN")) == 3
    assert not life.engine.worker.live and not life.engine.worker.executions.children


async def test_children_that_wait_for_their_redrive(life: EngineFixture, restart: bool) -> None:
    life.bad = lambda payload: True
    states = over(
        {"Type": "Task", "Resource": task("sometimes")["Resource"], "Next": "W"},
        MaxConcurrency=1,
        ToleratedFailureCount=2,
    )
    states["M"]["ItemProcessor"]["States"]["W"] = wait(100)
    arn = await life.start(states, input="[1, 2, 3, 4]")
    await life.finish(arn)
    run = await only(life, arn)
    assert run["executionCounts"] == counts(failed=3, pending=1)
    life.bad = lambda payload: False
    await life.after(1, restart)
    await life.engine.redrive_execution(arn)
    await life.after(1, restart)
    run = await only(life, arn)
    assert run["executionCounts"] == counts(running=1, pendingRedrive=2, pending=1)
    assert await children(life, run) == [
        (0, "RUNNING"),
        (1, "PENDING_REDRIVE"),
        (2, "PENDING_REDRIVE"),
    ]
    assert await children(life, run, status_filter="PENDING_REDRIVE") == [
        (1, "PENDING_REDRIVE"),
        (2, "PENDING_REDRIVE"),
    ]
    assert await children(life, run, status_filter="FAILED") == []
    listed = (await life.engine.list_executions(map_run_arn=run["mapRunArn"]))["executions"]
    waiting = next(item for item in listed if item["status"] == "PENDING_REDRIVE")
    assert (await life.engine.describe_execution(waiting["executionArn"]))[
        "status"
    ] == "PENDING_REDRIVE"
    assert (await life.finish(arn))["status"] == "SUCCEEDED"
    assert (await only(life, arn))["executionCounts"] == counts(succeeded=4)


async def test_stop_and_redrive(life: EngineFixture, restart: bool) -> None:
    """Its children are stopped with it and redriven with it, however fast one follows the other."""
    arn = await life.start(over(wait(100)), input="[1, 2, 3]")
    await life.engine.stop_execution(arn)
    if restart:
        await life.restart()
    await life.engine.redrive_execution(arn)
    await life.calm()
    run = await only(life, arn)
    assert (run["status"], run["executionCounts"]) == ("RUNNING", counts(running=3))
    assert await children(life, run, status_filter="RUNNING") == [
        (0, "RUNNING"),
        (1, "RUNNING"),
        (2, "RUNNING"),
    ]
    await life.engine.stop_execution(arn)
    await life.calm()
    assert (await only(life, arn))["executionCounts"] == counts(aborted=3)
    await life.after(5, restart)
    await life.engine.redrive_execution(arn)
    assert (await life.finish(arn))["status"] == "SUCCEEDED"
    assert (await only(life, arn))["redriveCount"] == 2


async def test_refusals(life: EngineFixture) -> None:
    arn = await life.start(over(wait(1)), input="[1]")
    run = (await only(life, arn))["mapRunArn"]
    unknown = "Request references a resource that does not exist."
    for wrong in (
        run[:-1] + ("0" if run[-1] != "0" else "1"),
        run.replace("/L:", "/K:"),
        run[:-3] + "xyz",
    ):
        await refused(life.engine.describe_map_run(wrong), "ResourceNotFound", unknown)
        await refused(life.engine.update_map_run(wrong), "ResourceNotFound", unknown)
        await refused(life.engine.list_executions(map_run_arn=wrong), "ResourceNotFound", unknown)
    context = "Invalid Arn: 'Resource type not valid in this context: execution'"
    await refused(life.engine.describe_map_run(arn), "InvalidArn", context)
    gone = arn + "x"
    await refused(
        life.engine.list_map_runs(gone),
        "ExecutionDoesNotExist",
        f"Execution Does Not Exist: '{gone}'",
    )
    await refused(
        life.engine.list_map_runs(arn, next_token="no"),
        "InvalidToken",
        "Invalid Token: 'Invalid token'",
    )
