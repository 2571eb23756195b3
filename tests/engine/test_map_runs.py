"""Map Runs and their children, which are executions of their own: what becomes of one when the
other ends, fails or is parked.
"""

import asyncio
import json
from typing import Any

import pytest
from tests.engine.engine_fixture import (
    ASK,
    DAY,
    EngineFixture,
    Small,
    Store,
    each,
    refused,
    task,
    wait,
)

from stepwell.engine.core import decide as core
from stepwell.engine.core.environment import token
from stepwell.engine.errors import StoreError
from stepwell.engine.map_runs import family
from stepwell.engine.runtime import worker

DISTRIBUTED = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}


async def test_parked_child(life: EngineFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child cannot start: its Map Run waits for it, others continue, and a repaired engine
    finishes it.
    """

    def decide(program: Any, x: Any, *rest: Any) -> Any:
        if x.parent is not None and x.parent[3] == 1:
            raise ZeroDivisionError("planted")
        return core.decide(program, x, *rest)

    monkeypatch.setattr(worker, "decide", decide)
    arn = await life.start(
        {"M": each({"Type": "Pass", "End": True}, **DISTRIBUTED)}, input="[1, 2, 3]"
    )
    other = await life.start({"P": {"Type": "Pass", "End": True}}, name="other")
    assert (await life.status(arn), await life.status(other)) == ("RUNNING", "SUCCEEDED")
    monkeypatch.undo()
    await life.restart()
    assert (await life.finish(arn))["output"] == "[1,2,3]"


async def stop_and_crash(life: EngineFixture, state: dict[str, Any]) -> str:
    """An execution whose Map Run was ended by a commit, and whose children were not."""
    arn = await life.start({"M": each(state, **DISTRIBUTED)}, input="[1, 2, 3]")
    commit = life.store.commit

    async def only_the_first(units: Any) -> None:
        life.store.commit = fail  # type: ignore[method-assign]
        await commit(units)

    async def fail(units: Any) -> None:
        raise StoreError("no space left on device")

    life.store.commit = only_the_first  # type: ignore[method-assign]
    await life.engine.stop_execution(arn)
    await asyncio.sleep(0.05)
    return arn


@pytest.mark.parametrize("state", [task("hang"), wait(DAY)], ids=["in flight", "asleep"])
async def test_orphans_end_at_the_next_start(small: Small, state: dict[str, Any]) -> None:
    """A crash between the commit that ends the Map Run and those that end its children: these end
    when the engine opens again.
    """
    life = await small(batch_units=1)
    arn = await stop_and_crash(life, state)
    await life.restart()
    assert await life.status(arn) == "ABORTED"
    listed = (await life.engine.list_all_executions())["executions"]
    assert len(listed) == 4 and {item["status"] for item in listed} == {"ABORTED"}
    assert not life.engine.worker.live


async def test_an_orphan_that_ends_while_it_is_looked_up(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was read as RUNNING and has closed when it is loaded: it leaves memory again."""
    life = await small(batch_units=1)
    await stop_and_crash(life, task("hang"))
    read, commit, list_executions = asyncio.Event(), Store.commit, Store.list_executions

    async def after_the_list(store: Store, units: Any) -> Any:
        await read.wait()
        return await commit(store, units)

    async def before_the_commit(store: Store, *args: Any, **fields: Any) -> Any:
        rows = await list_executions(store, *args, **fields)
        read.set()
        await asyncio.sleep(0.1)  # they close meanwhile
        return rows

    monkeypatch.setattr(Store, "commit", after_the_list)
    monkeypatch.setattr(Store, "list_executions", before_the_commit)
    await life.restart()
    assert read.is_set()
    assert not life.engine.worker.live


@pytest.mark.parametrize(
    ("writer", "output"),
    [
        (None, "[[1,2],3,[[4]],[]]"),
        ({"Transformation": "COMPACT"}, "[[1,2],3,[[4]],[]]"),
        ({"Transformation": "FLATTEN"}, "[1,2,3,[4]]"),
        ({"OutputType": "JSON"}, "[[1,2],3,[[4]],[]]"),
    ],
)
async def test_results_that_are_not_exported(
    life: EngineFixture, writer: dict[str, Any] | None, output: str
) -> None:
    state = each({"Type": "Pass", "End": True}, **DISTRIBUTED) | (
        {"ResultWriter": {"WriterConfig": writer}} if writer else {}
    )
    arn = await life.start({"M": state}, input="[[1,2],3,[[4]],[]]")
    assert (await life.finish(arn))["output"] == output


async def test_results_with_their_executions(life: EngineFixture, restart: bool) -> None:
    """Transformation NONE: one description for each child that succeeded, as in the files of an
    export.
    """
    writer = {"WriterConfig": {"Transformation": "NONE"}}
    arn = await life.start(
        {"M": each(wait(5), **DISTRIBUTED) | {"ResultWriter": writer}}, input='[{"n":1}]'
    )
    await life.after(5, restart)
    (result,) = json.loads((await life.finish(arn))["output"])
    child = next(
        each
        for each in (await life.engine.list_all_executions())["executions"]
        if each["executionArn"] != arn
    )
    described = await life.engine.describe_execution(child["executionArn"])
    assert result == {
        "ExecutionArn": child["executionArn"],
        "Input": '{"n":1}',
        "InputDetails": {"Included": True},
        "Name": child["name"],
        "Output": '{"n":1}',
        "OutputDetails": {"Included": True},
        "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        "StartDate": result["StartDate"],
        "StateMachineArn": described["stateMachineArn"],
        "Status": "SUCCEEDED",
        "StopDate": result["StopDate"],
    }
    assert result["StartDate"] < result["StopDate"] and result["StopDate"].endswith("Z")


async def test_names_of_children_do_not_tell_task_tokens(life: EngineFixture) -> None:
    """Tokens are made from the uuid of an execution: who may list the children could answer the
    parent's callbacks.
    """
    map_run = each(wait(DAY), **DISTRIBUTED)
    branches = [{"StartAt": "M", "States": {"M": map_run}}, {"StartAt": "A", "States": {"A": ASK}}]
    arn = await life.start(
        {"P": {"Type": "Parallel", "Branches": branches, "End": True}}, input="[1, 2]"
    )
    row = await life.store.describe(arn)
    assert row is not None and len(life.tokens) == 1
    names = [item["name"] for item in (await life.engine.list_all_executions())["executions"]]
    assert not any(row.uuid in name.replace("-", "") for name in names)
    for name in names:
        for frame in range(1, 6):
            forged = token(row._replace(uuid=name.replace("-", "")[:32]), frame, 1)
            await refused(
                life.engine.send_task_success(forged, "1"),
                "InvalidToken",
                "Invalid Token: 'Invalid token'",
            )


async def test_children_with_names_of_an_earlier_version_are_found(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        family, "derived", lambda uuid, purpose, frame, seq: f"{uuid}-{frame}-{seq}"
    )
    arn = await life.start({"M": each(task("sometimes"), **DISTRIBUTED)}, input="[1, 2, 3, 4, 5]")
    life.bad = lambda payload: payload == 2
    failing = await life.start(
        {"M": each(task("sometimes"), **DISTRIBUTED)}, input="[1, 2, 3]", name="failing"
    )
    sleeping = await life.start(
        {"M": each(wait(5), **DISTRIBUTED)}, input="[1, 2, 3, 4, 5]", name="sleeping"
    )
    monkeypatch.undo()
    await life.restart()
    life.bad = lambda payload: False
    await life.engine.redrive_execution(failing)
    assert [(await life.finish(each))["output"] for each in (arn, failing, sleeping)] == [
        "[1,2,3,4,5]",
        "[1,2,3]",
        "[1,2,3,4,5]",
    ]
    names = [item["name"] for item in (await life.engine.list_all_executions())["executions"]]
    assert len(names) == 3 + 5 + 3 + 5
