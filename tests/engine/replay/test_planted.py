"""Replays with a planted change: exactly that is reported, and nothing else."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import pytest
from tests.engine.replay.histories import FUNCTION, Recorded, opened, record

from stepwell.asl.evaluation import MISSING
from stepwell.engine.replay import Replayed

Json = dict[str, Any]


def task(name: str = "work", **more: Any) -> Json:
    return {"Type": "Task", "Resource": FUNCTION + name, **more}


def scripted(*steps: Json, **more: Any) -> Json:
    """A task whose attempts have these results."""
    fields = {"Parameters": {"script": list(steps), "turn.$": "$$.State.RetryCount"}}
    return task(**fields, **more)


BUSY = {"error": "Busy"}
MACHINE: Json = {
    "StartAt": "Id",
    "States": {
        "Id": {
            "Type": "Pass",
            "Parameters": {
                "id.$": "States.UUID()",
                "n": 7,
                "items": [{"k": 1}, {"k": 2}, {"k": 3}],
                "few": [{"k": 1}, {"k": 2}],
            },
            "Next": "Busy",
        },
        "Busy": scripted(
            *[BUSY, BUSY, {"output": {"ok": True}}],
            Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 2}],
            ResultPath="$.busy",
            Next="Nap",
        ),
        "Nap": {"Type": "Wait", "Seconds": 3600, "Next": "Broken"},
        "Broken": scripted(
            {"error": "Broken", "cause": "why"},
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Big?"}],
            ResultPath="$.none",
            Next="Big?",
        ),
        "Big?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericGreaterThan": 5, "Next": "Each"}],
            "Default": "Small",
        },
        "Small": {"Type": "Pass", "Next": "Each"},
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "MaxConcurrency": 2,
            "ItemProcessor": {
                "StartAt": "One",
                "States": {"One": task(ResultPath="$.one", End=True)},
            },
            "ResultPath": "$.each",
            "Next": "Both",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Left", "States": {"Left": task(Parameters={"side": 1}, End=True)}},
                {"StartAt": "Right", "States": {"Right": task(Parameters={"side": 2}, End=True)}},
            ],
            "ResultPath": "$.both",
            "Next": "Last",
        },
        "Last": task(Parameters={"id.$": "$.id", "n.$": "$.n"}, TimeoutSeconds=60, End=True),
    },
}


def edit(name: str, **fields: Any) -> Callable[[Json], None]:
    """Set fields of a state; MISSING removes one."""

    def change(machine: Json) -> None:
        state = machine["States"][name]
        for field, value in fields.items():
            state.pop(field, None)
            if value is not MISSING:
                state[field] = value

    return change


def insert(machine: Json) -> None:
    machine["States"]["Nap"]["Next"] = "New"
    machine["States"]["New"] = {"Type": "Pass", "Next": "Broken"}


def insert_task(machine: Json) -> None:
    insert(machine)
    machine["States"]["New"] = task(Next="Broken")


def rename(machine: Json) -> None:
    machine["States"]["Siesta"] = machine["States"].pop("Nap")
    machine["States"]["Busy"]["Next"] = "Siesta"


def remove(machine: Json) -> None:
    machine["States"]["Busy"]["Next"] = "Broken"
    del machine["States"]["Nap"]


def in_branch(machine: Json) -> None:
    branch = machine["States"]["Both"]["Branches"][0]["States"]
    branch["Left"]["Parameters"] = {"side": 3}


PLANTED: dict[str, tuple[Callable[[Json], None], list[str], bool]] = {
    "nothing": (lambda machine: None, [], True),
    "a threshold": (
        edit("Big?", Choices=[{"Variable": "$.n", "NumericGreaterThan": 9, "Next": "Each"}]),
        ["next state Small 1: after Big?: 'Each' -> 'Small'"],
        True,
    ),
    "a removed catcher": (
        edit("Broken", Catch=MISSING),
        ["status Broken 1: status: 'SUCCEEDED' -> 'FAILED: Broken'"],
        True,
    ),
    "parameters": (
        edit("Last", Parameters={"id.$": "$.id", "n": 8}),
        ["task input Last 1: input.n: 7 -> 8"],
        True,
    ),
    "parameters of a branch": (
        in_branch, ["task input Left 1: input.side: 1 -> 3"], True,
    ),
    "a result path": (
        edit("Both", ResultPath="$.sides"),
        [
            "output Both 1: output.both: [{'side': 1}, {'side': 2}] -> MISSING",
            "output Both 1: output.sides: MISSING -> [{'side': 1}, {'side': 2}]",
        ],
        True,
    ),
    "fewer attempts": (
        edit("Busy", Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 1}]),
        [
            "retry Busy 1: attempt 3: 'made' -> MISSING",
            "status Busy 1: status: 'SUCCEEDED' -> 'FAILED: Busy'",
        ],
        True,
    ),
    "more attempts than were needed": (
        edit("Busy", Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 9}]),
        [],
        True,
    ),
    "a retrier for what was caught": (
        edit("Broken", Retry=[{"ErrorEquals": ["Broken"]}]),
        ["retry Broken 1: attempt 2: MISSING -> 'would be made'"],
        False,
    ),
    "longer delays": (
        edit("Busy", Retry=[{"ErrorEquals": ["Busy"], "IntervalSeconds": 3}]),
        [
            "retry delay Busy 1: after attempt 1: '2 s' -> '3 s'",
            "retry delay Busy 1: after attempt 2: '4 s' -> '6 s'",
        ],
        True,
    ),
    "a longer wait": (
        edit("Nap", Seconds=7200), ["wait Nap 1: wait: '3600 s' -> '7200 s'"], True,
    ),
    "concurrency": (
        edit("Each", MaxConcurrency=1), ["concurrency Each 1: concurrency: '2' -> '1'"], True,
    ),
    "no limit of concurrency": (
        edit("Each", MaxConcurrency=MISSING),
        ["concurrency Each 1: concurrency: '2' -> '40'"],
        True,
    ),
    "a time limit": (
        edit("Last", TimeoutSeconds=30),
        ["time limit Last 1: timeoutInSeconds: 60 -> 30"],
        True,
    ),
    "a function": (
        edit("Last", Resource=FUNCTION + "other"),
        [f"task resource Last 1: resource: '{FUNCTION}work' -> '{FUNCTION}other'"],
        True,
    ),
    "a new state": (
        insert, ["next state New 1: after Nap: 'Broken' -> 'New'"], True,
    ),
    "a new task": (
        insert_task,
        [
            "next state New 1: after Nap: 'Broken' -> 'New'",
            "not recorded New 1: the result of attempt 1: MISSING -> MISSING",
        ],
        False,
    ),
    "a removed state": (
        remove, ["next state Broken 1: after Busy: 'Nap' -> 'Broken'"], True,
    ),
    "a renamed state": (rename, [], True),
    "items": (
        edit("Each", ItemsPath="$.few"),
        [
            "items Each 1: number of items: 3 -> 2",
            "output Each 1: output.each[2]: {'k': 3, 'one': {'k': 3}} -> MISSING",
        ],
        True,
    ),
}  # fmt: skip


def lines(found: Replayed) -> list[str]:
    return [
        f"{each.kind} {each.state} {each.visit}: {each.change.what}: "
        f"{each.change.old!r} -> {each.change.new!r}"
        for each in found.divergences
    ]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    async def run() -> Recorded:
        async with opened() as engine:
            return await record(engine, MACHINE)

    found = asyncio.run(run())
    assert found.description["status"] == "SUCCEEDED", found.description
    return found


@pytest.mark.parametrize("name", PLANTED)
def test_exactly_the_change_is_reported(name: str, recorded: Recorded) -> None:
    change, expected, known = PLANTED[name]
    new = copy.deepcopy(MACHINE)
    change(new)
    found = recorded.replay(new)
    output = [each for each in lines(found) if not each.startswith(("output  0", "output Last"))]
    first = [each for each in output if each in expected] if expected else output
    assert first == expected, lines(found)
    rest = [each for each in output if each not in expected]
    # what follows from it: the same value, in the outputs of later states
    assert all(each.startswith(("output ", "task input ")) for each in rest), rest
    assert found.known == known and not found.unrepeatable
