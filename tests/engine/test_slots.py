"""What waits holds no slot, kinds of effects do not hold up each other, and an attempt that never
began cannot time out.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.engine_fixture import ASK, DAY, EngineFixture, Shape, Small, task

from stepwell.asl.resources import Resource
from stepwell.engine import Engine
from stepwell.engine.limits import Limits
from stepwell.engine.operations.base import NoTasks
from stepwell.engine.tasks import TaskRequest

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:"
PASS: Shape = {"Type": "Pass", "End": True}


def nested(machine: str, pattern: str = ".sync:2", **fields: Any) -> Shape:
    resource = f"arn:aws:states:::states:startExecution{pattern}"
    return {
        "Type": "Task",
        "Resource": resource,
        "Parameters": {"StateMachineArn": MACHINE + machine},
        "End": True,
        **fields,
    }


def sync(machine: str) -> Shape:
    resource = "arn:aws:states:::aws-sdk:sfn:startSyncExecution"
    return {
        "Type": "Task",
        "Resource": resource,
        "Parameters": {"StateMachineArn": MACHINE + machine},
        "End": True,
    }


async def started(life: EngineFixture, machine: str, count: int) -> list[str]:
    arns = [(await life.engine.start_execution(machine))["executionArn"] for _ in range(count)]
    await life.calm()
    return arns


async def stopped(life: EngineFixture, arn: str) -> None:
    """Its task has been cancelled, and who waited for its slot has begun."""
    await life.engine.stop_execution(arn)
    await life.calm()


async def statuses(life: EngineFixture, arns: list[str]) -> set[str]:
    return {(await life.engine.wait(arn, timeout=60))["status"] for arn in arns}


# --- what waits -----------------------------------------------------------------------------------


async def test_parents_that_wait_leave_the_slots_to_their_children(
    small: Small, restart: bool
) -> None:
    life = await small(effects_in_flight=2)
    await life.machine({"T": nested("leaf")}, "child")
    await life.machine({"W": {"Type": "Wait", "Seconds": 5, "Next": "T"}, "T": task("ok")}, "leaf")
    arns = await started(life, await life.machine({"T": nested("child")}, "parent"), 20)
    await eventually(lambda: life.engine.worker.in_flight == 40)
    if restart:
        await life.restart()
        await eventually(lambda: life.engine.worker.in_flight == 40)
    for arn in arns:
        assert (await life.finish(arn))["status"] == "SUCCEEDED"
    assert await statuses(life, arns) == {"SUCCEEDED"}
    assert life.calls.count("ok") == 20
    assert len((await life.engine.list_executions(MACHINE + "leaf"))["executions"]) == 20


async def test_synchronous_express_executions_that_are_awaited_need_no_slot(small: Small) -> None:
    life = await small(effects_in_flight=1)
    await life.machine({"P": PASS}, "inner", type="EXPRESS")
    await life.machine({"T": sync("inner")}, "middle", type="EXPRESS")
    assert await statuses(
        life, await started(life, await life.machine({"T": sync("middle")}, "outer"), 5)
    ) == {"SUCCEEDED"}


async def test_a_flood_of_one_kind_leaves_room_for_others(small: Small) -> None:
    life = await small(effects_in_flight=2)
    await started(life, await life.machine({"T": task("hang")}, "flood"), 10)
    await life.machine({"P": PASS}, "leaf")
    assert await statuses(
        life, await started(life, await life.machine({"T": nested("leaf")}, "parent"), 3)
    ) == {"SUCCEEDED"}


async def test_callbacks_and_activities_hold_no_slot(small: Small) -> None:
    life = await small(effects_in_flight=1)
    arns = await started(life, await life.machine({"T": ASK}, "ask"), 5)
    assert len(life.tokens) == 5 and life.engine.worker.in_flight == 0
    for token in life.tokens:
        await life.engine.send_task_success(token, "1")
    assert await statuses(life, arns) == {"SUCCEEDED"}


class Hands(NoTasks):
    """Every task waits, without its slot, until `gate` of its state is set. `log`: what it did."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.log: list[str] = []

    def known_text(self, text: str) -> Any:
        return text

    def resolve(self, resource: Resource) -> Any:
        return self._run

    async def _run(self, request: TaskRequest) -> str:
        name = request.state_name
        self.log.append(f"{name} began")
        async with request.waiting():
            await self.gates.setdefault(name, asyncio.Event()).wait()
        self.log.append(f"{name} resumes")
        await self.gates.setdefault(f"{name} works", asyncio.Event()).wait()
        return name


@pytest.fixture
async def hands(tmp_path: Path):
    tasks = Hands()
    async with Engine(
        tmp_path / "hands.db", tasks=tasks, limits=Limits(effects_in_flight=1)
    ) as engine:
        yield tasks, engine


async def eventually(ask: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not ask():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def begin(engine: Engine, *names: str) -> list[str]:
    arns = []
    for name in names:
        definition = (
            f'{{"StartAt": "{name}", "States": {{"{name}": {{"Type": "Task", "Resource": "hands",'
            f' "End": true}}}}}}'
        )
        machine = (await engine.create_state_machine(name, definition))["stateMachineArn"]
        arns.append((await engine.start_execution(machine))["executionArn"])
    return arns


async def test_who_has_waited_takes_a_slot_again_before_others_begin(
    hands: tuple[Hands, Engine],
) -> None:
    tasks, engine = hands
    await begin(engine, "A", "B")
    await eventually(lambda: tasks.log == ["A began", "B began"])
    tasks.gates["A"].set()
    await eventually(lambda: tasks.log[2:] == ["A resumes"])
    tasks.gates["B"].set()  # A works: B waits for its turn, and C for its own after that
    await begin(engine, "C")
    await asyncio.sleep(0.05)
    assert tasks.log[3:] == []
    tasks.gates["A works"].set()
    await eventually(lambda: tasks.log[3:] == ["B resumes"])
    tasks.gates["B works"] = tasks.gates.setdefault("B works", asyncio.Event())
    tasks.gates["B works"].set()
    await eventually(lambda: tasks.log[4:] == ["C began"])


async def test_who_is_stopped_while_it_waits_for_its_slot_takes_none(
    hands: tuple[Hands, Engine],
) -> None:
    tasks, engine = hands
    a, b = await begin(engine, "A", "B")
    await eventually(lambda: tasks.log == ["A began", "B began"])
    tasks.gates["A"].set()
    await eventually(lambda: tasks.log[2:] == ["A resumes"])
    tasks.gates["B"].set()
    await asyncio.sleep(0.01)
    await engine.stop_execution(b)
    tasks.gates["A works"].set()
    assert (await engine.wait(a, timeout=60))["status"] == "SUCCEEDED"
    (c,) = await begin(engine, "C")
    await eventually(lambda: tasks.log[-1] == "C began")
    await engine.stop_execution(c)
    await eventually(lambda: not engine.worker.in_flight)
    assert {pool.taken for pool in engine.worker.effects.pools.values()} == {0}


# --- time limits of what has not begun ------------------------------------------------------------


async def test_an_attempt_that_never_began_does_not_time_out(small: Small, restart: bool) -> None:
    """Its time begins when it does, and is all of it."""
    life = await small(effects_in_flight=1)
    first = await life.start({"T": task("hang")}, name="first")
    second = await life.start({"T": task("hang", TimeoutSeconds=30)}, name="second")
    await life.after(DAY, restart)
    assert await life.status(second) == "RUNNING" and life.calls.count("hang") == 1 + restart
    await stopped(life, first)
    await life.after(29)
    assert await life.status(second) == "RUNNING" and life.calls.count("hang") == 2 + restart
    await life.after(1, restart)
    assert (await life.types(second))[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]
    assert life.engine.worker.in_flight == 0


async def test_heartbeats_are_due_from_the_start_on(small: Small, restart: bool) -> None:
    life = await small(effects_in_flight=1)
    first = await life.start({"T": task("hang")}, name="first")
    second = await life.start({"T": {**ASK, "HeartbeatSeconds": 10}}, name="second")
    await life.after(DAY, restart)
    assert await life.status(second) == "RUNNING" and not life.tokens
    await stopped(life, first)
    await life.after(9)
    assert await life.status(second) == "RUNNING" and len(life.tokens) == 1
    await life.after(1, restart)
    assert (await life.types(second))[-2:] == ["TaskTimedOut", "ExecutionFailed"]


async def test_attempts_that_had_begun_before_a_restart_come_first(small: Small) -> None:
    """Their time runs on."""
    life = await small(effects_in_flight=2)
    arns = [
        await life.start({"T": task("hang", TimeoutSeconds=100)}, name=f"m{number}")
        for number in range(4)
    ]
    await stopped(life, arns[0])  # the third has begun
    await life.restart()
    await life.after(100)
    assert [await life.status(arn) for arn in arns[1:]] == ["FAILED", "FAILED", "RUNNING"]
    await life.after(99)
    assert await life.status(arns[3]) == "RUNNING"
    await life.after(1)
    assert await life.status(arns[3]) == "FAILED"


async def test_a_retry_that_waits_for_its_slot_is_not_timed_either(small: Small) -> None:
    life = await small(effects_in_flight=1)
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    arn = await life.start({"T": task("fail", TimeoutSeconds=5, Retry=retry)}, name="tried")
    hog = await life.start({"T": task("hang")}, name="hog")
    await life.after(1)
    await life.after(DAY)
    assert await life.status(arn) == "RUNNING" and life.calls == ["fail", "hang"]
    await life.engine.stop_execution(hog)
    await life.calm()
    assert (await life.engine.describe_execution(arn))["error"] == "Broken"


async def test_a_map_whose_iterations_wait_for_slots(small: Small) -> None:
    """More tasks in one decision than there are slots: those beyond have no deadline until they
    begin.
    """
    life = await small(effects_in_flight=3)
    each = {"StartAt": "T", "States": {"T": task("hang", TimeoutSeconds=50)}}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "E"}]
    each["States"] = {
        "T": {**task("hang", TimeoutSeconds=50), "Catch": catch},
        "E": {"Type": "Succeed"},
    }
    states = {"M": {"Type": "Map", "ItemProcessor": each, "End": True}}
    arn = await life.start(states, input="[1,2,3,4,5,6,7,8]")
    assert life.calls == ["hang"] * 3
    for begun in (6, 8):
        await life.after(49)
        assert life.calls.count("cancelled") == life.calls.count("hang") - min(
            3, 8 - life.calls.count("cancelled")
        )
        await life.after(1)
        assert life.calls.count("hang") == begun
    await life.after(50)
    assert await life.status(arn) == "SUCCEEDED"
    assert (await life.types(arn)).count("LambdaFunctionTimedOut") == 8


async def test_many_that_were_given_up_in_the_queue_are_passed_over(small: Small) -> None:
    life = await small(effects_in_flight=1)
    machine = await life.machine({"T": task("hang")})
    arns = await started(life, machine, 3_000)
    for arn in arns[1:-1]:
        await life.engine.stop_execution(arn)
    await life.engine.stop_execution(arns[0])
    await life.calm()
    assert life.calls.count("hang") == 2
    await life.engine.stop_execution(arns[-1])
    await life.calm()
    assert life.engine.worker.in_flight == 0
