"""Explanations of planted mistakes, in executions of the engine itself. A mended machine has no
hint.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.engine import planted_mistakes, planted_mistakes_of_services
from tests.engine.planted_mistakes import Mistake
from tests.engine.test_inspect import Callables

from stepwell.asl.explain import NOTE, Hint
from stepwell.asl.histories import state_visits as v
from stepwell.engine.engine import Engine
from stepwell.engine.operations.data_flow import DataFlow, data_flow
from stepwell.engine.tasks import TaskError

MISTAKES = planted_mistakes.MISTAKES + planted_mistakes_of_services.MISTAKES


def function(result: Any) -> Any:
    def call(payload: Any) -> Any:
        if callable(result):
            try:
                return result(payload)
            except KeyError as error:
                name = error.args[0]
                raise TaskError("KeyError", json.dumps({"errorMessage": repr(name)})) from None
        if isinstance(result, tuple):
            raise TaskError(*result)
        if isinstance(result, Exception):
            raise TaskError(type(result).__name__, str(result))
        return result

    return call


class Functions(Callables):
    """The functions of one mistake; lambda:invoke calls `f`."""

    def __init__(self) -> None:
        super().__init__({})

    def use(self, results: Mapping[str, Any]) -> None:
        self.functions = {name: function(each) for name, each in results.items()}
        self.functions.setdefault("invoke", self.functions.get("f", function(None)))


async def explained(
    engine: Engine, mistake: Mistake, mended: bool = False
) -> tuple[DataFlow, list[Hint]]:
    machine = mistake.machine(mended)
    input = mistake.mended_input if mended and mistake.mended_input is not None else mistake.input
    created = await engine.create_state_machine(
        mistake.name + ("-mended" if mended else ""), json.dumps(machine)
    )
    started = await engine.start_execution(created["stateMachineArn"], input=json.dumps(input))
    arn = started["executionArn"]
    execution = await engine.wait(arn, 60)
    events = [event async for event in engine.watch(arn)]
    _, definition = await engine.inspect_machine(arn)
    program = await engine.program(definition)
    flow = data_flow(program, machine, execution, events, mistake.at)
    if mended:
        assert execution["status"] == "SUCCEEDED", execution
    return flow, [hint for hint in flow.hints if hint.level != NOTE]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda each: each.name)
async def test_the_cause_of_a_planted_mistake_is_named(mistake: Mistake) -> None:
    functions = Functions()
    functions.use(mistake.functions)
    async with Engine(tasks=functions) as engine:
        _, hints = await explained(engine, mistake)
        assert hints, "no hint"
        for part in mistake.says:
            assert part.lower() in hints[0].text.lower(), hints
        flow, hints = await explained(engine, mistake, mended=True)
        assert hints == [], flow


CASES = Path(__file__).parents[2] / "conformance" / "cases"
# a case in so many is tried; STEPWELL_EXPLAIN_CASES=1 tries all
STRIDE = int(os.environ.get("STEPWELL_EXPLAIN_CASES", "25"))
# cases about a comparison of another type, a text that looks like a path, ...: the hint is right
DESERVED = {
    "choice-boolean-equals-string",
    "choice-numeric-equals-other-type",
    "choice-string-equals-other-type",
    "choice-string-matches-other-type",
    "jsonata-blank-before-is-plain-text",
    "jsonata-keys-are-not-evaluated",
    "jsonata-text-around-is-plain-text",
    "parameters-path",
    "pass-result-is-not-evaluated",
}


def successes() -> list[Path]:
    """The conformance vectors that run a machine without tasks to its success."""
    found = []
    for path in sorted(CASES.glob("*/*.json")):
        case = json.loads(path.read_text())
        runs = "definition" in case and not case.keys() & {"tasks", "machines", "needs", "steps"}
        if runs and case.get("expect", {}).get("status") == "SUCCEEDED":
            found.append(path)
    return found[::STRIDE]


async def test_a_machine_that_succeeds_has_no_hints() -> None:
    hinted: dict[str, list[str]] = {}
    async with Engine(tasks=Functions()) as engine:
        for path in successes():
            case = json.loads(path.read_text())
            if case.get("type") == "EXPRESS" or "DISTRIBUTED" in json.dumps(case["definition"]):
                continue
            name = path.stem[:60]
            machine = await engine.create_state_machine(name, json.dumps(case["definition"]))
            text = case.get("inputText", json.dumps(case.get("input", {})))
            arn = (await engine.start_execution(machine["stateMachineArn"], input=text))[
                "executionArn"
            ]
            execution = await engine.wait(arn, 60)
            events = [event async for event in engine.watch(arn)]
            _, definition = await engine.inspect_machine(arn)
            program = await engine.program(definition)
            for state in dict.fromkeys(
                event["stateEnteredEventDetails"]["name"]
                for event in events
                if "stateEnteredEventDetails" in event
            ):
                flow = data_flow(program, case["definition"], execution, events, state)
                texts = [f"{state}: {hint.text}" for hint in flow.hints if hint.level != NOTE]
                if texts and flow.visit.status == v.SUCCEEDED and path.stem not in DESERVED:
                    hinted[path.stem] = texts
    assert not hinted, "\n".join(f"{name}: {texts}" for name, texts in hinted.items())


@pytest.mark.parametrize(
    ("tests", "read"),
    [
        ({"And": [{"IsPresent": True}, {"NumericEquals": 1}]}, []),
        ({"Or": [{"IsPresent": False}, {"NumericEquals": 1}]}, []),
        ({"Not": {"And": [{"IsPresent": True}, {"IsString": True}, {"StringEquals": "a"}]}}, []),
        ({"And": [{"IsNumeric": True}, {"IsPresent": True}]}, ["And[0]"]),
    ],
)
async def test_what_decides_an_and_or_an_or_is_all_that_is_read(
    tests: dict[str, Any], read: list[str]
) -> None:
    def named(rule: Any) -> Any:
        if isinstance(rule, list):
            return [named(each) for each in rule]
        deeper = {key: named(each) for key, each in rule.items() if key in ("And", "Or", "Not")}
        return deeper or {"Variable": "$.n", **rule}

    states = {
        "S": {"Type": "Choice", "Choices": [{**named(tests), "Next": "E"}], "Default": "E"},
        "E": {"Type": "Succeed"},
    }
    mistake = planted_mistakes.Mistake("guarded", states, {"m": 1}, ())
    async with Engine(tasks=Functions()) as engine:
        created = await engine.create_state_machine("guarded", json.dumps(mistake.machine()))
        started = await engine.start_execution(created["stateMachineArn"], input='{"m": 1}')
        arn = started["executionArn"]
        execution = await engine.wait(arn, 60)
        events = [event async for event in engine.watch(arn)]
        _, definition = await engine.inspect_machine(arn)
        program = await engine.program(definition)
        flow = data_flow(program, mistake.machine(), execution, events, "S")
    assert [hint.field.split("/")[1] for hint in flow.hints if "$.n" in hint.text] == read
