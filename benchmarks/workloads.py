"""The workloads: state machines, and two ways to run them: decide() alone and the whole engine."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

from stepwell.asl.compiler import compile_machine
from stepwell.asl.evaluation import Json
from stepwell.asl.program import Program
from stepwell.asl.resources import Resource
from stepwell.asl.validate import validate
from stepwell.engine import Engine
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import RunTask, Start, TaskSucceeded
from stepwell.engine.core.model import Execution, Payload
from stepwell.engine.tasks import TaskRequest

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:echo"
PASS = {"Type": "Pass"}
TASK = {"Type": "Task", "Resource": FUNCTION}
SHAPING = {
    "Type": "Pass",
    "Parameters": {"id.$": "$.id", "n.$": "States.MathAdd($.n, 1)"},
    "ResultPath": "$.shaped",
}
CHOICE = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericLessThan": 0, "Next": "S0"}]}
INPUT = {"id": "order-1", "n": 1}


def chain(*states: dict[str, Any]) -> dict[str, Any]:
    """A machine of the states in a row; a Choice leads to the next one by its Default."""
    named: dict[str, Any] = {}
    for place, state in enumerate(states):
        follow = (
            {"Default" if state["Type"] == "Choice" else "Next": f"S{place + 1}"}
            if place + 1 < len(states)
            else {"End": True}
        )
        named[f"S{place}"] = {**state, **follow}
    return {"StartAt": "S0", "States": named}


LOOP = {
    "StartAt": "Count",
    "States": {
        "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Again"},
        "Again": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 5000, "Next": "Count"}],
            "Default": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}
MAP = {
    "StartAt": "Each",
    "States": {
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": chain(TASK),
            "ResultPath": None,
            "End": True,
        }
    },
}
MACHINES = {
    "10 Pass": chain(*[PASS] * 10),
    "10 Task": chain(*[TASK] * 10),
    "mixed": chain(*[PASS, TASK, SHAPING, CHOICE, TASK] * 2),
}
MACHINES["mixed"]["States"]["S9"]["End"] = True
PASSES_OVER_ITEMS = chain(
    {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": {"StartAt": "Item", "States": {"Item": {**PASS, "End": True}}},
        "ResultPath": None,
    }
)
SERVED: dict[str, tuple[dict[str, Any], str, Json]] = {
    "ten Pass": (MACHINES["10 Pass"], "STANDARD", INPUT),
    "Express": (MACHINES["10 Pass"], "EXPRESS", INPUT),
    "Map of 1,000": (PASSES_OVER_ITEMS, "STANDARD", {"items": list(range(1000))}),
}
"""What is measured over HTTP: (definition, type, input). Express: StartSyncExecution."""


class Echo:
    """A task registry whose tasks return their input at once, to measure the engine alone."""

    on_status = mocks = None

    def connect(self, engine: Any) -> None: ...

    def known_text(self, text: str) -> str | None:
        return None

    def resolve(self, resource: Resource) -> Callable[[TaskRequest], Awaitable[Json]]:
        return self._answer

    async def _answer(self, request: TaskRequest) -> Json:
        return request.payload

    async def close(self) -> None: ...


def program(machine: dict[str, Any]) -> Program:
    validation = validate(json.dumps(machine))
    assert validation.definition is not None, validation.diagnostics
    return compile_machine(validation.definition, payload=Payload)


def in_memory(machine: dict[str, Any], executions: int) -> float:
    """us of CPU for each transition of decide() alone: the best of many short rounds, as the
    machine's load only adds time.
    """
    compiled, payload, answer, arn = (
        program(machine),
        Payload(INPUT),
        Payload({**INPUT, "answered": True}),
        "arn:aws:states:r:a:x:m",
    )
    rounds = []
    for _ in range(60):
        transitions, began = 0, time.process_time()
        for number in range(executions):
            execution = Execution(
                number,
                "ab" * 16,
                arn,
                "e",
                arn,
                "m",
                "role",
                False,
                payload,
                1_700_000_000_000,
                None,
            )
            decision = decide(compiled, execution, Start(), 1_700_000_000_000)
            while decision.commands:
                command = decision.commands[0]
                assert isinstance(command, RunTask)
                decision = decide(
                    compiled,
                    decision.execution,
                    TaskSucceeded(command.frame, command.seq, answer),
                    1_700_000_000_000,
                )
            transitions += decision.execution.transitions
        rounds.append((time.process_time() - began) / transitions * 1e6)
    return min(rounds)


async def durable(
    path: str, machine: dict[str, Any], clients: int, seconds: float, full: bool = True
) -> dict[str, float]:
    """Concurrent clients that run one execution after the other for some seconds."""
    latencies: list[float] = []
    async with Engine(path, tasks=Echo()) as engine:
        arn = (await engine.create_state_machine("machine", json.dumps(machine)))["stateMachineArn"]
        began, cpu, text = time.perf_counter(), time.process_time(), json.dumps(INPUT)

        async def client() -> None:
            while (started := time.perf_counter()) - began < seconds:
                execution = await engine.start_execution(arn, input=text)
                ended = await engine.wait(execution["executionArn"])
                assert ended["status"] == "SUCCEEDED", ended
                latencies.append(time.perf_counter() - started)

        await asyncio.gather(*(client() for _ in range(clients)))
        wall, used = time.perf_counter() - began, time.process_time() - cpu
    transitions = len(latencies) * len(machine["States"])
    ranked = sorted(latencies)
    return {
        "clients": clients,
        "executions_per_second": len(latencies) / wall,
        "transitions_per_second": transitions / wall,
        "p50_ms": ranked[len(ranked) // 2] * 1000,
        "p99_ms": ranked[len(ranked) * 99 // 100] * 1000,
        "cpu_us_per_transition": used / transitions * 1e6,
    }


async def once(path: str, machine: dict[str, Any], input: Json) -> tuple[float, int, list[float]]:
    """(seconds, number of events, time of each event since the first) of one durable execution."""
    async with Engine(path, tasks=Echo()) as engine:
        arn = (await engine.create_state_machine("machine", json.dumps(machine)))["stateMachineArn"]
        began = time.perf_counter()
        execution = await engine.start_execution(arn, input=json.dumps(input))
        ended = await engine.wait(execution["executionArn"])
        took = time.perf_counter() - began
        assert ended["status"] == "SUCCEEDED", ended
        times = [event["timestamp"] async for event in engine.watch(execution["executionArn"])]
    return took, len(times), [at - times[0] for at in times]
