"""Nothing that one execution does holds up the others, a stop, or the end of the process."""

import asyncio
import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Small, wait

from stepwell.engine.core.maps.bit_sets import zeros
from stepwell.engine.machines import programs
from stepwell.engine.operations.machines import state_machines
from stepwell.engine.operations.test_state import operation as test_state
from stepwell.engine.runtime import worker
from stepwell.engine.store import codec
from stepwell.engine.store.base import size_of
from stepwell.engine.store.batch import Batch
from stepwell.engine.store.batcher import Batcher

DEEP: Any = 0
for _ in range(600):
    DEEP = [DEEP, [0] * 100]
ENDLESS = {
    "P": {"Type": "Pass", "InputPath": "$..[?($..[?($..no == 1)] == 1)]", "End": True}
}  # 10^11 nodes of an input of 125 kB


async def evaluating(life: EngineFixture, arn: str) -> None:
    """Until a thread evaluates something of this execution."""
    while not any(  # noqa: ASYNC110
        live.x.arn == arn and live.backlog is not None for live in life.engine.worker.live.values()
    ):
        await asyncio.sleep(0.01)


async def threads_end() -> None:
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 60)


async def test_a_stop_does_not_wait_for_an_evaluation(small: Small) -> None:
    life = await small(jsonpath_nodes=1 << 60)
    machine = await life.machine(ENDLESS)
    arns = [
        (await life.engine.start_execution(machine, input=json.dumps(DEEP)))["executionArn"]
        for _ in range(4)
    ]
    for arn in arns:
        await evaluating(life, arn)  # two of them in threads, two in front of them
        await asyncio.wait_for(life.engine.stop_execution(arn), 60)
        assert await life.status(arn) == "ABORTED"
    await threads_end()


async def test_an_engine_ends_while_threads_evaluate_and_again_after_a_restart(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await small(jsonpath_nodes=1 << 60)
    arn = (await life.engine.start_execution(await life.machine(ENDLESS), input=json.dumps(DEEP)))[
        "executionArn"
    ]
    await evaluating(life, arn)
    await asyncio.wait_for(life.engine.close(), 60)
    monkeypatch.setattr(life, "calm", partial(asyncio.sleep, 0))  # it never is
    await life.open()
    await evaluating(life, arn)
    await asyncio.wait_for(life.engine.stop_execution(arn), 60)
    assert await life.status(arn) == "ABORTED"
    await threads_end()


async def test_an_evaluation_that_is_too_long_fails_its_state_and_others_go_on(
    life: EngineFixture,
) -> None:
    endless = await life.engine.start_execution(await life.machine(ENDLESS), input=json.dumps(DEEP))
    other = await life.start({"W": wait(1)}, name="other")
    await life.after(1)
    assert await life.status(other) == "SUCCEEDED"
    ended = await life.engine.wait(endless["executionArn"], timeout=120)
    assert (ended["status"], ended["error"]) == (
        "FAILED",
        "States.Runtime",
    ) and "Too many nodes" in ended["cause"]


LONG = {
    f"S{number}": {"Type": "Pass", "Result": "x" * 1000, "Next": f"S{number + 1}"}
    for number in range(20)
}
LONG["S20"] = {"Type": "Succeed"}


async def test_long_definitions_are_read_in_a_thread(
    life: EngineFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Created, updated, validated, tested, and read again after a restart; what starts many
    executions at once reads it once.
    """
    inline: list[bool] = []

    def watched(work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            inline.append(threading.current_thread() is threading.main_thread())
            return work(*arguments, **named)

        return call

    for module in (state_machines, programs, test_state):
        for name in ("validate", "compile_machine"):
            monkeypatch.setattr(module, name, watched(getattr(module, name)))
    text = json.dumps({"StartAt": "S0", "States": LONG})
    arn = await life.machine(LONG)
    await life.engine.validate_state_machine_definition(text)
    await life.engine.update_state_machine(arn, definition=text.replace("xx", "yy"))
    await life.engine.test_state(text, state_name="S0", input="{}")
    assert inline == [False] * 7
    await life.restart()
    started = await asyncio.gather(*(life.engine.start_execution(arn) for _ in range(5)))
    assert {(await life.finish(each["executionArn"]))["status"] for each in started} == {
        "SUCCEEDED"
    }
    assert inline == [False] * 9
    await life.machine({"S": {"Type": "Succeed"}}, name="short")
    assert inline[9:] == [True] * 2


def test_children_that_have_not_reported_are_found_in_one_pass() -> None:
    """The bit set of a Map Run with 790,000 children; a bit at a time took the square of that."""
    bits = (1 << 790_000) - 1 & ~(1 << 5) & ~(1 << 789_999)
    assert list(zeros(bits, 790_000)) == [5, 789_999]
    assert (
        list(zeros(0b1011, 6)) == [2, 4, 5]
        and list(zeros(0b1011, 6, 3)) == [4, 5]
        and list(zeros(0, 0)) == []
    )


async def test_sleepers_that_are_due_at_once_are_fed_as_the_queue_takes_them(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """400 sleepers, a queue of 20: neither the queue nor the memory ever holds many more than
    that.
    """
    life = await small(queue_units=20, timer_page=50, timer_window_seconds=1)
    machine = await life.machine({"W": wait(100)})
    arns = [
        (await life.engine.start_execution(machine, name=f"n{number}"))["executionArn"]
        for number in range(400)
    ]
    await life.calm()
    engine, most = life.engine.worker, {"queue": 0, "live": 0}
    assert not engine.live
    accept = worker.Worker.accept

    def watched(self: Any, *arguments: Any) -> None:
        accept(self, *arguments)
        most["queue"] = max(most["queue"], len(engine.writer.queue))
        most["live"] = max(most["live"], len(engine.live))

    monkeypatch.setattr(worker.Worker, "accept", watched)
    await life.after(100)
    for _ in range(20):
        if not engine.timers.at and not engine.live:
            break
        await life.after(1)
    assert [await life.status(arn) for arn in arns] == ["SUCCEEDED"] * 400
    assert most["queue"] <= 21 and most["live"] <= 150  # of the latter, a batch is being committed


async def test_large_batches_are_encoded_by_the_thread_of_the_store_in_order(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await small(batch_bytes=100_000, encode_inline_bytes=50_000)
    batches: list[tuple[bool, int]] = []
    encode = Batcher.batch

    def watched(self: Batcher, units: Any) -> Batch:
        batches.append(
            (threading.current_thread() is threading.main_thread(), sum(map(size_of, units)))
        )
        return encode(self, units)

    monkeypatch.setattr(Batcher, "batch", watched)
    states = {
        f"S{number}": {
            "Type": "Pass",
            "Parameters": {"n": number, "s.$": "$.s"},
            "Next": f"S{number + 1}",
        }
        for number in range(3)
    }
    machine = await life.machine(states | {"S3": {"Type": "Succeed"}})
    text = json.dumps({"s": "x" * 20_000})
    arns = await asyncio.gather(
        *(
            life.engine.start_execution(machine, name=f"n{number}", input=text)
            for number in range(20)
        )
    )
    for arn in arns:
        assert (await life.engine.wait(arn["executionArn"]))["status"] == "SUCCEEDED"
    assert {inline for inline, size in batches if size > 50_000} == {False} and max(
        size for _, size in batches
    ) < 250_000
    assert len(batches) >= 10
    for arn in arns:
        assert [event["id"] for event in await life.events(arn["executionArn"])] == list(
            range(1, 11)
        )


async def test_a_large_execution_is_decoded_in_a_thread(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = await small(timer_window_seconds=1, decode_inline_frames=10)
    branches = [
        {"StartAt": f"W{number}", "States": {f"W{number}": wait(100)}} for number in range(30)
    ]
    arns = [
        await life.start({"P": {"Type": "Parallel", "Branches": branches, "End": True}}),
        await life.start({"W": wait(100)}, name="w"),
    ]
    decoded: list[tuple[bool, int]] = []
    execution = codec.Continuation.execution

    def watched(self: codec.Continuation, program: Any) -> Any:
        decoded.append((threading.current_thread() is threading.main_thread(), len(self.frames)))
        return execution(self, program)

    monkeypatch.setattr(codec.Continuation, "execution", watched)
    await life.after(100)
    assert [await life.status(arn) for arn in arns] == ["SUCCEEDED"] * 2
    assert sorted(decoded) == [(False, 31), (True, 1)]


async def test_an_express_execution_evaluates_in_a_thread_from_its_first_state_on(
    life: EngineFixture,
) -> None:
    """Its start is noted first, synchronous or not, and what it answers is the same."""
    states = {
        "P": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": "{% $sum([1..40000].($ * 2)) + $count($states.context.none) %}",
            "End": True,
        }
    }
    answer = await life.engine.start_sync_execution(await life.machine(states, type="EXPRESS"))
    assert (answer["status"], answer["output"]) == ("SUCCEEDED", "1600040000")
    arn = await life.start(states, name="watched", type="EXPRESS")
    assert (await life.finish(arn))["output"] == "1600040000"
