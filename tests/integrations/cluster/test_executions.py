"""Operations of the Step Functions API on executions of other shards, from tasks and targets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.cluster.shards import ROLE, ShardEngine, task

from stepwell.integrations.host import LostAnswerError, UnreachableError

PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
CHILD = "arn:aws:states:us-east-1:123456789012:stateMachine:child"


class Router:
    """Stands where a cluster routes: each method is the engine's, and `faults` are raised before
    the call, or in place of its answer.
    """

    def __init__(self, engine: Any, faults: list[Exception]) -> None:
        self._engine, self._faults = engine, faults

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._engine, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            fault = self._faults.pop(0) if self._faults else None
            if isinstance(fault, UnreachableError):
                raise fault
            answer = await method(*args, **kwargs)
            if fault is not None:
                raise fault
            return answer

        return call


async def started(engine: ShardEngine, *faults: Exception) -> None:
    await engine.engine.create_state_machine("child", PASS, role_arn=ROLE)
    engine.registry.host.executions = Router(engine.engine, list(faults))  # type: ignore[assignment]


FAULTS = {
    "unreachable": [UnreachableError("no owner")] * 3,
    "lost start": [LostAnswerError("lost")],
    "lost twice": [LostAnswerError("lost"), LostAnswerError("lost")],
    "lost wait": [None, LostAnswerError("lost"), UnreachableError("no owner")],
}


@pytest.mark.parametrize("faults", FAULTS)
@pytest.mark.parametrize("pattern", ["", ".sync:2"])
async def test_a_nested_execution_is_started_once(
    faults: str, pattern: str, tmp_path: Path
) -> None:
    async with ShardEngine(tmp_path / "one.db") as one:
        await started(one, *FAULTS[faults])  # type: ignore[arg-type]
        machine = task(f"states:startExecution{pattern}", {"StateMachineArn": CHILD, "Input": {}})
        ended = await one.run(machine)
        assert ended["status"] == "SUCCEEDED", ended
        children = await one.engine.list_executions(CHILD)
        assert len(children["executions"]) == 1


async def test_a_call_of_the_sdk_is_not_repeated_if_it_may_have_been_run(tmp_path: Path) -> None:
    machine = task("aws-sdk:sfn:startExecution", {"StateMachineArn": CHILD})
    async with ShardEngine(tmp_path / "one.db") as one:
        await started(one, UnreachableError("no owner"))
        assert (await one.run(machine))["status"] == "SUCCEEDED"
        one.registry.host.executions = Router(one.engine, [LostAnswerError("lost")])  # type: ignore[assignment]
        ended = await one.run(machine)
        assert (ended["error"], ended["cause"]) == ("Sfn.SdkClientException", "lost")
        assert len((await one.engine.list_executions(CHILD))["executions"]) == 2


async def test_a_rule_starts_one_execution(tmp_path: Path) -> None:
    async with ShardEngine(tmp_path / "one.db") as one:
        await started(one, LostAnswerError("lost"), UnreachableError("no owner"))
        events = await one.service("events")
        await events.put_rule(name="r", event_pattern='{"source": ["s"]}')
        await events.put_targets(rule="r", targets=[{"Id": "1", "Arn": CHILD}])
        await events.put_events(entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}])
        await one.until(lambda: not events.publisher.deliveries.status()["running"])
        assert len((await one.engine.list_executions(CHILD))["executions"]) == 1
        assert not await one.engine.records.scan("events/delivery/")
