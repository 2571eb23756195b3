"""Executions for the store's tests: real programs, decided upon by the real core, without a
worker.
"""

import dataclasses
import json
from random import Random
from typing import Any

from stepwell.asl.compiler import compile_machine
from stepwell.asl.program import Program
from stepwell.asl.validate import validate
from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import (
    ChildClosed,
    Continue,
    Event,
    Heartbeat,
    ItemsRead,
    Redrive,
    Start,
    Stop,
    TaskFailed,
    TaskSubmitted,
    TaskSucceeded,
    Tick,
)
from stepwell.engine.core.model import (
    RUNNING,
    WITH_CHILDREN,
    Children,
    Execution,
    Frame,
    Payload,
    Phase,
    Scope,
)
from stepwell.engine.limits import DEFAULT_LIMITS
from stepwell.engine.store.base import Store, Unit

START = 1_700_000_000_000
HOME = "arn:aws:states:eu-west-1:123456789012"
LAMBDA = "arn:aws:states:::lambda:invoke"


def chain(*states: dict[str, Any]) -> dict[str, Any]:
    """A machine of states that follow one another; those without a type are Pass states."""
    named = {
        state.get("Name", f"S{number}"): {"Type": "Pass", **state}
        for number, state in enumerate(states)
    }
    names = list(named)
    for state in named.values():
        state.pop("Name", None)
    for name, following in zip(names, [*names[1:], None]):
        if named[name]["Type"] not in ("Succeed", "Fail"):
            named[name] |= {"End": True} if following is None else {"Next": following}
    return {"StartAt": names[0], "States": named}


def task(**fields: Any) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": LAMBDA,
        "Parameters": {"FunctionName": "f", "Payload.$": "$"},
        **fields,
    }


def inner(prefix: str, *states: dict[str, Any]) -> dict[str, Any]:
    return chain(*({"Name": f"{prefix}{number}", **state} for number, state in enumerate(states)))


def map_over(path: str, prefix: str, *states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemsPath": path, "ItemProcessor": inner(prefix, *states), **fields}


RETRY = {
    "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}],
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "End"}],
}
END = {"Name": "End"}
DEFINITIONS = {
    "passes": chain(*({"Result": {"n": number}, "ResultPath": "$.r"} for number in range(10))),
    "tasks": chain(
        task(ResultPath="$.a"),
        task(ResultPath="$.b", **RETRY),
        {"Type": "Wait", "Seconds": 5},
        task(TimeoutSeconds=9),
        END,
    ),
    "parallel": chain(
        {
            "Type": "Parallel",
            "Branches": [
                inner("A", task()),
                inner("B", {"Type": "Wait", "Seconds": 3}, {}),
                inner("C", {}),
            ],
            **RETRY,
        },
        END,
    ),
    "map": chain(
        map_over("$.items", "M", task(), {"Type": "Wait", "Seconds": 1}, task(), **RETRY), {}, END
    ),
    "maps": chain(
        map_over("$.items", "M", {}, MaxConcurrency=3),
        map_over("$", "N", task(), MaxConcurrency=20),
        END,
    ),
    "map, task": chain(map_over("$.items", "M", task(), MaxConcurrency=2), task(), END),
    "wide": chain(
        {
            "Type": "Parallel",
            "Branches": [inner(f"B{number}-", task()) for number in range(30)],
            **RETRY,
        },
        END,
    ),
    "nested": chain(
        {
            "Type": "Parallel",
            "Branches": [
                inner("A", map_over("$.items", "B", task())),
                inner("C", map_over("$.items", "D", task())),
            ],
            **RETRY,
        },
        END,
    ),
    "variables": {
        "QueryLanguage": "JSONata",
        **chain(
            {
                "Assign": {
                    "all": "{% $states.input %}",
                    "big": "{% $join([1..400].('v' & $)) %}",
                    "n": 1,
                }
            },
            {
                "Type": "Task",
                "Resource": LAMBDA,
                "Arguments": {"FunctionName": "f"},
                "Assign": {"r": "{% $states.result %}"},
            },
            {
                "Type": "Task",
                "Resource": LAMBDA,
                "Arguments": {"FunctionName": "{% $big %}"},
                "Assign": {"n": "{% $n + 1 %}"},
            },
        ),
    },
    "callback": chain(
        {
            "Type": "Task",
            "Resource": LAMBDA + ".waitForTaskToken",
            "HeartbeatSeconds": 30,
            "Parameters": {"FunctionName": "f"},
            **RETRY,
        },
        END,
    ),
    "map run": chain(
        map_over(
            "$.items",
            "M",
            {},
            ItemSelector={"at.$": "$$.Map.Item.Index"},
            ToleratedFailurePercentage=50,
        )
        | {
            "ItemProcessor": inner("M", {})
            | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        }
    ),
    "dataset": chain(
        map_over("$.items", "M", {}, ToleratedFailurePercentage=50)
        | {
            "ItemProcessor": inner("M", {})
            | {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSONL"},
                "Parameters": {"Bucket": "b", "Key": "k"},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 3},
            "MaxConcurrency": 4,
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "b"},
            },
        }
    ),
    "discarding": chain(*[task(ResultPath=None)] * 8),
    "failing": chain({"Type": "Fail", "Error": "Broken", "CausePath": "$.why"}),
}


def compiled(definition: dict[str, Any]) -> Program:
    validation = validate(json.dumps(definition))
    assert validation.definition is not None, validation.diagnostics
    return compile_machine(validation.definition, DEFAULT_LIMITS, Payload)


PROGRAMS = {name: compiled(definition) for name, definition in DEFINITIONS.items()}


class Run:
    """One execution. `execution` is its latest value, `units` the steps that the store has not
    seen; `random` picks what happens next.
    """

    def __init__(
        self,
        store: Store,
        machine: str,
        input: Any = None,
        name: str | None = None,
        seed: int = 0,
        calm: bool = False,
        **fields: Any,
    ) -> None:
        self.machine, self.calm = machine, calm  # calm: no task fails
        self.program, self.random, self.now, self.seed = (
            PROGRAMS[machine],
            Random(seed),
            START,
            seed,
        )
        number = store.next_id()
        name = name or f"run-{number}"
        series = "-".join(machine.replace(",", "").split())
        defaults: dict[str, Any] = {
            "arn": f"{HOME}:execution:{series}:{name}",
            "express": False,
            "definition": 7,
            "deadline": None,
            "started": self.now,
        }
        self.execution = Execution(
            id=number,
            uuid=f"{seed:032x}",
            name=name,
            machine_arn=f"{HOME}:stateMachine:{series}",
            machine_name=series,
            role_arn="arn:aws:iam::123456789012:role/r",
            input=input if isinstance(input, Payload) else Payload({} if input is None else input),
            **(defaults | fields),
        )
        self.units: list[Unit] = []
        self.history: list[tuple[int, int, Any]] = []
        self.send(Start())

    @property
    def id(self) -> int:
        return self.execution.id

    @property
    def running(self) -> bool:
        return self.execution.status == RUNNING

    def send(self, event: Event) -> None:
        created = not self.execution.events
        decision = decide(self.program, self.execution, event, self.now)
        self.execution = decision.execution
        self.units.append(
            Unit(
                decision.execution,
                decision.first,
                decision.history,
                self.now,
                created,
                map_runs=decision.map_runs,
                rows=decision.rows,
            )
        )
        self.history += [
            (number, self.now, event)
            for number, event in enumerate(decision.history, decision.first)
        ]

    def step(self) -> None:
        """Something that may happen next: a result, a failure, a heartbeat, or the time that the
        execution waits for.
        """
        waiting = [
            frame
            for frame in self.execution.frames.values()
            if frame.phase in (Phase.TASK, *WITH_CHILDREN)
        ]
        choices = [event for frame in waiting for event in self.events(frame)]
        if any(frame.phase == Phase.RUN for frame in self.execution.frames.values()):
            self.send(Continue())
        elif choices:
            self.send(self.random.choice(choices))
        else:
            wake = self.execution.wake_at()
            self.now = max(self.now, wake or 0)
            self.send(Tick())

    def events(self, frame: Frame) -> list[Event]:
        result = Payload(
            {"n": self.random.randrange(9), "text": "x" * self.random.choice((1, 40, 3000))}
        )
        stream = frame.children and frame.children.stream
        if frame.phase == Phase.READ or (stream and stream.asked):
            read = stream.read if stream else 0
            items = [Payload(read + place) for place in range(5)]
            cursor = None if read > 10 else Payload({"at": read})
            return [ItemsRead(frame.id, frame.seq, items, None, cursor, "S3://b/k")]
        if frame.phase == Phase.CHILDREN:
            if frame.state.map is None or not frame.state.map.distributed:
                return []
            children = frame.running_children
            return [
                ChildClosed(
                    frame.id,
                    frame.seq,
                    index,
                    "SUCCEEDED" if index % 3 else "FAILED",
                    result,
                    children.map_run.round,
                )
                for index in sorted(children.open)[:4]
            ]
        if frame.calls_back and not frame.running_attempt.submitted:
            return [TaskSubmitted(frame.id, frame.seq, result)]
        failed = TaskFailed(frame.id, frame.seq, "Bad", "it broke \u2713")
        done: list[Event] = [TaskSucceeded(frame.id, frame.seq, result)]
        if frame.heartbeat_due is not None:
            done.append(Heartbeat(frame.id, frame.seq))
        return done if self.calm else [*done * 4, failed]

    def finish(self) -> None:
        while self.running:
            self.step()

    def redrive(self) -> None:
        self.now += 60_000
        self.send(Redrive(None, {}))

    def stop(self) -> None:
        self.send(Stop("Stopped", "by hand"))

    def taken(self) -> list[Unit]:
        """The units that are new, for a commit."""
        units, self.units = self.units, []
        return units


def flat(value: Any) -> Any:
    """Any value of the core as plain data that compares by content."""
    if isinstance(value, Execution):
        return {
            each.name: flat(getattr(value, each.name))
            for each in dataclasses.fields(Execution)
            if each.compare
        }
    if isinstance(value, Frame):
        fields = {
            name: flat(getattr(value, name))
            for name in Frame.__slots__
            if name not in ("touched", "block", "state")
        }
        return fields | {"block": value.block.index, "state": value.state.name}
    if isinstance(value, Children):
        fields = {name: flat(getattr(value, name)) for name in Children.__slots__}
        return fields | {"results": flat(value.results[: value.ended])}
    if isinstance(value, Scope):
        return {"scope": flat(value.payloads), "values": value.values, "size": value.size}
    if isinstance(value, Payload):
        return (value.data, value.value)
    if isinstance(value, dict):
        return {key: flat(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [flat(each) for each in value]
    return value
