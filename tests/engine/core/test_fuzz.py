"""Random machines, inputs, answers and limits: every run ends, without an exception, with a history
that is well formed.

The driver asserts the rest: decisions are repeatable and leave their arguments unchanged, and the
tree of frames is sound after each of them. The lists below repeat what succeeds and contain little
that fails: otherwise most runs would end early.
"""

from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.core.driver import (
    ACTIVITY,
    CALLBACK,
    INVOKE,
    LAMBDA,
    SYNC,
    Ends,
    Fails,
    Later,
    Silent,
    Submits,
    Taken,
    begin,
)

from stepwell.asl.validate import validate
from stepwell.engine.limits import Limits

INPUT = {"a": {"b": [1, 2]}, "l": [1, 2, 3], "s": "1"}
VALUES = [INPUT] * 60 + [None, True, 0, -1, 1.5, "a", "", [], [1], [[1], [2, 3]], {}, {"a": 1}]
PATHS = ["$"] * 90 + [
    "$..a",
    "$$.State",
    "$$.Execution.Input",
    "$.a",
    "$.l[0]",
    "$.no",
    "$.l[*]",
    "$$.Map.Item",
    "$$.Task.Token",
    "$v0",
    "$v1",
]
PLACES = [None, "$", "$", "$.r", "$.r", "$.r", "$.a.r", "$.l[1]"]
CALLS = [
    "States.Array($, 1)",
    "States.UUID()",
    "States.ArrayLength($$.Execution.Input.l)",
    "States.Format('{}', $)",
    "States.StringToJson($.s)",
]
EXPRESSIONS = [
    *["$states.input"] * 60,
    *(
        "$states.context.State.Name",
        "1",
        "'text'",
        "[1,2,3]",
        "{'a': 1}",
        "true",
        "null",
        "$random()",
        "$uuid()",
        "$millis()",
        "[$states.input]",
    ),
    *(
        "$states.input.a",
        "$states.input.l[$ > 1]",
        "$no",
        "$v0",
        "$v1",
        "$error('e')",
        "function($x){$x}",
    ),
]
ERRORS = [
    "E",
    "States.TaskFailed",
    "States.Timeout",
    "States.QueryEvaluationError",
    "States.DataLimitExceeded",
    "States.Runtime",
]
CONDITIONS = [True, False, *["{% $random() > 0.5 %}"] * 4, "{% $no %}", "{% 1 %}"]
LEAVES = ["Pass", "Pass", "Task", "Task", "Task", "Wait", "Wait", "Choice", "Succeed", "Fail"]


class Dice:
    """Random choices for one machine. names: of states, unique in the whole machine."""

    def __init__(self, random: Random, express: bool) -> None:
        self.random, self.express, self.names = (
            random,
            express,
            (f"S{number}" for number in count()),
        )

    def one(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(choices)

    def maybe(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def some(self, choices: Sequence[Any], most: int) -> list[Any]:
        return self.random.sample(choices, self.random.randint(0, most))

    def expression(self) -> str:
        return "{% " + str(self.one(EXPRESSIONS)) + " %}"

    def template(self, jsonata: bool) -> Any:
        if jsonata:
            return self.one(
                [
                    self.expression(),
                    {"x": self.expression(), "l": [1, 2]},
                    [1, self.expression()],
                    {"k": 0},
                ]
            )
        return (
            {"x.$": self.one(PATHS + CALLS), "l": [{"y.$": self.one(PATHS)}]}
            if self.maybe()
            else {"k": 1}
        )


# --- machines -------------------------------------------------------------------------------------
def block(dice: Dice, depth: int) -> dict[str, Any]:
    """A States block: a chain with choices and catchers that lead anywhere, backwards too."""
    chain = [next(dice.names) for _ in range(dice.random.randint(1, 4))]
    states = {
        name: state(dice, depth, chain, following)
        for name, following in zip(chain, [*chain[1:], None])
    }
    return {"StartAt": chain[0], "States": states}


def state(dice: Dice, depth: int, chain: list[str], following: str | None) -> dict[str, Any]:
    kinds = LEAVES + ["Parallel", "Map"] * 2 * (depth > 0)
    kind = dice.one(
        [each for each in kinds if following is None or each not in ("Succeed", "Fail", "Choice")]
    )
    jsonata = dice.maybe(0.3)
    made: dict[str, Any] = {"Type": kind, **FIELDS[kind](dice, jsonata, depth, chain)}
    if jsonata:
        made["QueryLanguage"] = "JSONata"
    if kind not in ("Choice", "Succeed", "Fail"):
        made |= {"Next": following} if following else {"End": True}
    if kind not in ("Succeed", "Fail") and dice.maybe(0.2):
        made["Assign"] = {f"v{depth}": dice.template(jsonata)}
    if kind in ("Task", "Parallel", "Map"):
        made |= failing(dice, jsonata, chain)
    return made | (flow(dice, kind, jsonata) if kind != "Fail" and dice.maybe(0.2) else {})


def flow(dice: Dice, kind: str, jsonata: bool) -> dict[str, Any]:
    if jsonata:
        return {"Output": dice.template(True)}
    made: dict[str, Any] = dice.one(
        [
            {},
            {"InputPath": "$$.Execution.Input"},
            {"InputPath": None},
            {"OutputPath": "$.a"},
            {"OutputPath": None},
        ]
    )
    if kind in ("Pass", "Task", "Parallel", "Map"):
        made = {**made, "ResultPath": dice.one(PLACES)}
    if kind in ("Task", "Parallel", "Map"):
        made = {**made, "ResultSelector": dice.template(False)}
    return made


def failing(dice: Dice, jsonata: bool, chain: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if dice.maybe():
        names = dice.some(ERRORS, 2) + dice.one([[], ["States.ALL"]])
        made["Retry"] = [
            {
                "ErrorEquals": [name],
                "MaxAttempts": dice.one([0, 1, 2]),
                "JitterStrategy": dice.one(["FULL", "NONE"]),
            }
            for name in names
        ]
    if dice.maybe():
        names = dice.some(ERRORS, 2) + dice.one([[], ["States.ALL"]])
        output = (
            (lambda: {"Output": dice.template(True)})
            if jsonata
            else (lambda: {"ResultPath": dice.one(PLACES)})
        )
        made["Catch"] = [
            {"ErrorEquals": [name], "Next": dice.one(chain), **(output() if dice.maybe() else {})}
            for name in names
        ]
    return made


def pass_(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    return (
        {}
        if jsonata
        else dice.one([{}, {}, {"Result": INPUT}, {"Parameters": dice.template(False)}])
    )


def task(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Resource": dice.one(
            [LAMBDA, INVOKE] if dice.express else [LAMBDA, INVOKE, CALLBACK, SYNC, ACTIVITY]
        )
    }
    made["Arguments" if jsonata else "Parameters"] = dice.template(jsonata)
    if dice.maybe(0.3):
        made["TimeoutSeconds"] = dice.one([3, 4, 9])
    if dice.maybe(0.3):
        made["HeartbeatSeconds"] = dice.one([1, 2])
    return made


def choice(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    rules = []
    for _ in range(dice.one([1, 2])):
        test = (
            {"Condition": dice.one(CONDITIONS)}
            if jsonata
            else {"Variable": dice.one([*PATHS, "$.no"]), "IsPresent": dice.maybe()}
        )
        rules.append({**test, "Next": dice.one(chain)})
    return {"Choices": rules, **({"Default": dice.one(chain)} if dice.maybe(0.9) else {})}


def wait(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    if dice.maybe(0.8):
        return dice.one(
            [{"Seconds": seconds} for seconds in (0, 1, 5)]
            + [{"Timestamp": "2023-11-14T22:13:25Z"}]
        )  # type: ignore[no-any-return]
    form = dice.one(["Seconds", "Timestamp"])
    return (
        {form: dice.expression()}
        if jsonata
        else {form + "Path": dice.one(["$.l[0]", "$.no", "$", "$$.Execution.StartTime"])}
    )


def parallel(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Branches": [block(dice, depth - 1) for _ in range(dice.one([1, 2, 3]))]
    }
    return made | (
        {"Arguments" if jsonata else "Parameters": dice.template(jsonata)}
        if dice.maybe(0.2)
        else {}
    )


def map_(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {"ItemProcessor": block(dice, depth - 1)}
    if not dice.express and dice.maybe(0.3):
        made["ItemProcessor"]["ProcessorConfig"] = {
            "Mode": "DISTRIBUTED",
            "ExecutionType": "STANDARD",
        }
        if dice.maybe():
            made["ItemBatcher"] = {"MaxItemsPerBatch": dice.one([1, 2])}
    if jsonata:
        made |= dice.one(
            [
                {"Items": [1, 2, 3]},
                {"Items": [[1], [2]]},
                {"Items": []},
                {"Items": dice.expression()},
                {},
            ]
        )
    else:
        made["ItemsPath"] = dice.one(["$$.Execution.Input.l"] * 12 + ["$", "$.l", "$.no"])
    made |= dice.one(
        [
            {},
            {"MaxConcurrency": 1},
            {"MaxConcurrency": 2},
            {"ToleratedFailureCount": 1},
            {"ToleratedFailurePercentage": 50},
        ]
    )
    return made | ({"ItemSelector": dice.template(jsonata)} if dice.maybe(0.3) else {})


def fail(dice: Dice, jsonata: bool, depth: int, chain: list[str]) -> dict[str, Any]:
    if dice.maybe(0.2):
        return (
            {"Cause": dice.expression()}
            if jsonata
            else {"CausePath": dice.one([*PATHS, "States.UUID()"])}
        )
    return dice.one([{}, {"Error": "E"}, {"Error": "States.Timeout", "Cause": "c"}])  # type: ignore[no-any-return]


FIELDS: dict[str, Callable[[Dice, bool, int, list[str]], dict[str, Any]]] = {
    "Pass": pass_,
    "Task": task,
    "Choice": choice,
    "Wait": wait,
    "Succeed": lambda *_: {},
    "Fail": fail,
    "Parallel": parallel,
    "Map": map_,
}


# --- the world around them ------------------------------------------------------------------------
def answer(dice: Dice) -> Any:
    failure = Fails(
        dice.one([None, "E", "E", "E", "States.Timeout", "States.Runtime"]), dice.one([None, "c"])
    )
    end = dice.one([dice.one(VALUES), dice.one(VALUES), failure])
    later = Later(dice.one([1, 2, 6]), end)
    return dice.one(
        [
            end,
            end,
            later,
            later,
            Submits(dice.one(VALUES), later),
            Taken(dice.one([None, "w"]), later),
            Silent,
        ]
    )


def limits(dice: Dice) -> Limits:
    return Limits(
        history_events=dice.one([150, 150, dice.random.randint(5, 100)]),
        unit_transitions=dice.one([1, 2, 5, 5 if dice.express else 256]),
        map_concurrency=dice.one([1, 2, 40]),
        map_run_concurrency=dice.one([1, 2, 40]),
        payload_bytes=dice.one([60, 1000, *[262_144] * 9]),
        variable_bytes=dice.one([4, *[262_144] * 9]),
        standard_seconds=10_000,
        express_seconds=20,
    )


def inner_blocks(outer: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [
        each
        for one in outer["States"].values()
        for each in (*one.get("Branches", ()), *filter(None, [one.get("ItemProcessor")]))
    ]
    return [outer, *(found for each in inner for found in inner_blocks(each))]


def sound_machine(dice: Dice) -> dict[str, Any]:
    """A machine that AWS accepts: every state can be reached and can lead to an end."""
    while True:
        made = block(dice, 2) | ({"TimeoutSeconds": dice.one([1, 4, 9])} if dice.maybe(0.1) else {})
        if validate(made, "EXPRESS" if dice.express else "STANDARD").definition is not None:
            return made


CHILDREN: list[Any] = [
    None,
    None,
    lambda slot, value: Ends(["SUCCEEDED", "FAILED", "ABORTED"][slot % 3], slot),
    lambda slot, value: Silent,
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(random=st.randoms(use_true_random=True))
def test_every_run_ends(random: Random) -> None:
    dice = Dice(random, express=random.random() < 0.3)
    definition, bounds = sound_machine(dice), limits(dice)
    names = [name for each in inner_blocks(definition) for name in each["States"]]
    answers = {name: tuple(answer(dice) for _ in range(3)) for name in names}
    trace = begin(
        definition,
        dice.one(VALUES),
        limits=bounds,
        express=dice.express,
        child=dice.one(CHILDREN),
        **answers,
    )
    if dice.maybe(0.1):
        trace.run(until=dice.one([0, 1, 3])).stop()
    trace.run()
    assert trace.status in ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
    assert dice.express or len(trace.lines) <= bounds.history_events
