"""Visits and the data flow of a visit, from histories that the engine itself wrote."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from stepwell.asl.compiler import compile_machine
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.state_visits import route
from stepwell.asl.program import Program
from stepwell.asl.resources import Resource
from stepwell.asl.validate import validate
from stepwell.engine.core.model import Payload
from stepwell.engine.engine import Engine
from stepwell.engine.operations.data_flow import DataFlow, as_json, data_flow
from stepwell.engine.tasks import TaskError, TaskRequest

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
Function = Callable[[Json], Json]


class Callables:
    """Tasks by function name."""

    on_status = mocks = None

    def __init__(self, functions: Mapping[str, Function]) -> None:
        self.functions = functions

    def connect(self, engine: Any) -> None: ...

    def known_text(self, text: str) -> str | None:
        return None

    def resolve(self, resource: Resource) -> Callable[[TaskRequest], Awaitable[Json]]:
        async def handler(request: TaskRequest) -> Json:
            return self.functions[resource.action](request.payload)

        return handler

    async def close(self) -> None: ...


@dataclass
class Played:
    definition: dict[str, Any]
    program: Program
    execution: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def visits(self) -> Visits:
        return Visits(self.events)

    def flow(self, state: str, number: int | None = None) -> DataFlow:
        return data_flow(self.program, self.definition, self.execution, self.events, state, number)

    def stages(self, state: str, number: int | None = None) -> dict[str, Json]:
        return {stage.name: stage.value for stage in self.flow(state, number).stages}


async def play(definition: dict[str, Any], value: Json = None, **functions: Function) -> Played:
    async with Engine(tasks=Callables(functions)) as engine:
        machine = await engine.create_state_machine("machine", json.dumps(definition))
        started = await engine.start_execution(
            machine["stateMachineArn"], name="run", input=json.dumps(value)
        )
        execution = await engine.wait(started["executionArn"], 60)
        events = [event async for event in engine.watch(started["executionArn"])]
    checked = validate(definition)
    assert checked.definition is not None
    return Played(
        definition, compile_machine(checked.definition, payload=Payload), execution, events
    )


def one(state: dict[str, Any], **more: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": state, **more}}


def fail_with(error: str, cause: str = "why") -> Function:
    def function(payload: Json) -> Json:
        raise TaskError(error, cause)

    return function


# --- stages ---------------------------------------------------------------------------------------


async def test_every_stage_of_a_jsonpath_task() -> None:
    state = {
        "Type": "Task",
        "Resource": LAMBDA + "price",
        "InputPath": "$.detail",
        "Parameters": {"id.$": "$.id", "kind": "gold"},
        "ResultSelector": {"cents.$": "$.price"},
        "ResultPath": "$.bill",
        "OutputPath": "$.bill",
        "End": True,
    }
    played = await play(
        one(state),
        {"detail": {"id": 7}, "keep": True},
        price=lambda payload: {"price": payload["id"] * 100, "noise": 1},
    )
    assert played.stages("S") == {
        "State input": {"detail": {"id": 7}, "keep": True},
        "InputPath": {"id": 7},
        "Parameters": {"id": 7, "kind": "gold"},
        "Task result": {"price": 700, "noise": 1},
        "ResultSelector": {"cents": 700},
        "ResultPath": {
            "detail": {"id": 7},
            "keep": True,
            "bill": {"cents": 700},
        },  # into the raw input, not into that of InputPath
        "OutputPath": {"cents": 700},
    }
    flow = played.flow("S")
    before = {stage.name: stage.before for stage in flow.stages}
    assert before["ResultPath"] == {"detail": {"id": 7}, "keep": True}
    assert before["ResultSelector"] == {"price": 700, "noise": 1}
    assert {stage.name: stage.field for stage in flow.stages}["ResultSelector"] == {
        "cents.$": "$.price"
    }
    assert (flow.number, flow.visits, flow.attempts_allowed, flow.jsonata) == (1, 1, 1, False)


async def test_stages_that_the_definition_leaves_out_are_shown_with_their_defaults() -> None:
    flow = (
        await play(
            one({"Type": "Task", "Resource": LAMBDA + "f", "End": True}), 1, f=lambda payload: 2
        )
    ).flow("S")
    shown = [(stage.name, stage.field, stage.default, stage.value) for stage in flow.stages]
    assert shown == [
        ("State input", MISSING, "", 1),
        ("InputPath", MISSING, "$", 1),
        ("Task result", LAMBDA + "f", "", 2),
        ("ResultPath", MISSING, "$", 2),
        ("OutputPath", MISSING, "$", 2),
    ]


async def test_every_stage_of_a_jsonata_task() -> None:
    state = {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": LAMBDA + "double",
        "Arguments": {"n": "{% $states.input.n %}"},
        "Assign": {"twice": "{% $states.result %}"},
        "Output": {"was": "{% $states.input.n %}", "is": "{% $states.result %}"},
        "End": True,
    }
    played = await play(one(state), {"n": 4}, double=lambda payload: payload["n"] * 2)
    assert played.stages("S") == {
        "State input": {"n": 4},
        "Arguments": {"n": 4},
        "Task result": 8,
        "Output": {"was": 4, "is": 8},
        "Assign": {"twice": 8},
    }
    assert played.flow("S").jsonata


async def test_a_caught_error_goes_by_the_catcher_that_matched() -> None:
    catch = [
        {"ErrorEquals": ["Other"], "Next": "Never"},
        {
            "ErrorEquals": ["Broken"],
            "ResultPath": "$.error",
            "Assign": {"name.$": "$.Error"},
            "Next": "Done",
        },
    ]
    done, never = {"Type": "Succeed"}, {"Type": "Fail"}
    played = await play(
        one(
            {"Type": "Task", "Resource": LAMBDA + "f", "Catch": catch, "End": True},
            Done=done,
            Never=never,
        ),
        {"a": 1},
        f=fail_with("Broken"),
    )
    flow = played.flow("S")
    stages = {stage.name: stage for stage in flow.stages}
    assert stages["Task result"].value is MISSING
    assert stages["Task result"].note == "Broken: why"
    assert stages["Error Output"].value == {"Error": "Broken", "Cause": "why"}
    assert stages["Catch[1] ResultPath"].value == {
        "a": 1,
        "error": {"Error": "Broken", "Cause": "why"},
    }
    assert stages["Catch[1] ResultPath"].note == "→ Done"
    assert stages["Catch Assign"].value == {"name": "Broken"}
    assert "OutputPath" not in stages
    assert flow.visit.status == v.CAUGHT


async def test_a_stage_that_fails_says_how() -> None:
    state = {"Type": "Pass", "InputPath": "$.a", "Parameters": {"b.$": "$.no"}, "End": True}
    stages = (await play(one(state), {"a": {"x": 1}})).flow("S").stages
    assert [stage.name for stage in stages] == ["State input", "InputPath", "Parameters"]
    assert stages[-1].value is MISSING
    assert stages[-1].note.startswith(
        "States.Runtime: The JSONPath '$.no' specified for the field 'b.$' could not be found"
    )


async def test_a_choice_shows_the_rule_that_matched_and_the_variables_that_it_saw() -> None:
    rules = [
        {"Variable": "$limit", "NumericGreaterThan": 9, "Next": "Yes"},
        {"Variable": "$.n", "IsPresent": True, "Next": "No"},
    ]
    definition = {
        "StartAt": "First",
        "States": {
            "First": {"Type": "Pass", "Assign": {"limit": 5}, "Next": "S"},
            "S": {"Type": "Choice", "Choices": rules, "Default": "Yes"},
            "Yes": {"Type": "Succeed"},
            "No": {"Type": "Fail", "ErrorPath": "$.n", "Cause": "no"},
        },
    }
    played = await play(definition, {"n": "Negative"})
    flow = played.flow("S")
    assert flow.variables == {"limit": 5}
    compared = [stage for stage in flow.stages if stage.name.startswith("Choices")]
    assert [(stage.name, stage.note, stage.field) for stage in compared] == [
        (
            "Choices[0]",
            "false: $limit is 5, NumericGreaterThan 9",
            {"Variable": "$limit", "NumericGreaterThan": 9},
        ),
        (
            "Choices[1]",
            '→ No: $.n is "Negative", IsPresent true',
            {"Variable": "$.n", "IsPresent": True},
        ),
    ]
    assert played.stages("No") == {
        "State input": {"n": "Negative"},
        "Error": "Negative",
        "Cause": "no",
    }
    assert (await play(definition, {})).flow("S").stages[4].note == "→ Yes"


async def test_iterations_and_branches() -> None:
    definition = one(
        {
            "Type": "Map",
            "ItemsPath": "$.list",
            "ItemSelector": {"at.$": "$$.Map.Item.Index", "what.$": "$$.Map.Item.Value"},
            "MaxConcurrency": 2,
            "ResultPath": "$.out",
            "ItemProcessor": {
                "StartAt": "Both",
                "States": {
                    "Both": {
                        "Type": "Parallel",
                        "Branches": [
                            {
                                "StartAt": "L",
                                "States": {
                                    "L": {
                                        "Type": "Pass",
                                        "Parameters": {"v.$": "$$.Map.Item.Value"},
                                        "End": True,
                                    }
                                },
                            },
                            {
                                "StartAt": "R",
                                "States": {
                                    "R": {"Type": "Task", "Resource": LAMBDA + "f", "End": True}
                                },
                            },
                        ],
                        "End": True,
                    }
                },
            },
            "End": True,
        }
    )
    played = await play(definition, {"list": ["a", "b", "c"]}, f=lambda payload: payload["what"])
    assert played.stages("S")["ItemsPath"] == ["a", "b", "c"]
    assert played.stages("S")["Iteration results"] == [[{"v": each}, each] for each in "abc"]
    assert sorted(
        json.dumps(played.stages("Both", number)["Branch results"]) for number in (1, 2, 3)
    ) == [json.dumps([{"v": each}, each]) for each in "abc"]
    for number in (1, 2, 3):
        index = played.flow("L", number).visit.parent
        assert index is not None and index.index is not None
        assert played.stages("L", number)["Parameters"] == {"v": "abc"[index.index]}


MACHINES: dict[str, tuple[dict[str, Any], Json, dict[str, Function]]] = {
    "null paths": (
        one(
            {"Type": "Pass", "InputPath": None, "ResultPath": None, "OutputPath": None, "End": True}
        ),
        {"a": 1},
        {},
    ),
    "result": (
        one({"Type": "Pass", "Result": {"b.$": "$.x"}, "ResultPath": "$.c", "End": True}),
        {"a": 1},
        {},
    ),
    "wait": (
        one({"Type": "Wait", "SecondsPath": "$.s", "OutputPath": "$.s", "End": True}),
        {"s": 0},
        {},
    ),
    "succeed": (
        one({"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"}),
        {"a": {"b": 2}},
        {},
    ),
    "jsonata": (
        one(
            {"Type": "Succeed", "QueryLanguage": "JSONata", "Output": "{% $states.input.a & 'x' %}"}
        ),
        {"a": "y"},
        {},
    ),
    "random": (one({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": True}), {}, {}),
    "context": (
        one(
            {
                "Type": "Pass",
                "Parameters": {
                    "name.$": "$$.Execution.Name",
                    "in.$": "$$.State.Name",
                    "at.$": "$$.State.EnteredTime",
                },
                "End": True,
            }
        ),
        {},
        {},
    ),
    "empty map": (
        one(
            {
                "Type": "Map",
                "ItemProcessor": {"StartAt": "Inner", "States": {"Inner": {"Type": "Succeed"}}},
                "End": True,
            }
        ),
        [],
        {},
    ),
}


@pytest.mark.parametrize("name", MACHINES)
async def test_the_last_stage_is_the_recorded_output(name: str) -> None:
    definition, value, functions = MACHINES[name]
    played = await play(definition, value, **functions)
    flow = played.flow("S")
    assert played.execution["status"] == "SUCCEEDED"
    assert flow.stages[-1].value == json.loads(played.execution["output"])
    recomputed = "evaluated again" in flow.stages[-1].note
    assert recomputed == (name == "random"), "only what is random needs the recorded value"


async def test_json_form_leaves_out_what_is_not_there() -> None:
    shown = as_json(
        (await play(one({"Type": "Wait", "Seconds": 0, "End": True}), {"a": None})).flow("S")
    )
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["state"], shown["status"], shown["visit"], shown["queryLanguage"]) == (
        "S",
        "succeeded",
        1,
        "JSONPath",
    )
    assert shown["stages"] == [
        {"name": "State input", "value": {"a": None}},
        {"name": "InputPath", "value": {"a": None}},
        {"name": "Seconds", "field": 0},
        {"name": "OutputPath", "value": {"a": None}},
    ]


async def test_visits_are_counted_and_missing_ones_are_refused_in_words() -> None:
    rules = [{"Variable": "$n", "NumericLessThan": 3, "Next": "S"}]
    definition = {
        "StartAt": "Begin",
        "States": {
            "Begin": {"Type": "Pass", "Assign": {"n": 0}, "Next": "S"},
            "S": {"Type": "Pass", "Assign": {"n.$": "States.MathAdd($n, 1)"}, "Next": "Again?"},
            "Again?": {"Type": "Choice", "Choices": rules, "Default": "Done"},
            "Done": {"Type": "Succeed"},
            "Unused": {"Type": "Succeed"},
        },
    }
    definition["States"]["Again?"]["Choices"].append(
        {"Variable": "$n", "NumericEquals": 99, "Next": "Unused"}
    )  # type: ignore[index]
    played = await play(definition)
    assert [played.flow("S", number).variables["n"] for number in (1, 2, 3)] == [0, 1, 2]
    assert played.flow("S").number == 3
    assert len(played.visits.named["S"]) == 3
    for state, number, words in (
        ("S", 4, "visited 3 times: it has no visit 4"),
        ("Unused", None, "was not visited"),
        ("Nope", None, "no state called 'Nope'"),
    ):
        with pytest.raises(LookupError, match=words):
            played.flow(state, number)


# --- visits ---------------------------------------------------------------------------------------


def told(visits: Visits) -> list[tuple[str, str, str, int | None]]:
    return [
        (" › ".join(each.name for each in visit.around()), visit.name, visit.status, visit.index)
        for visit in visits.all
    ]


async def test_a_failure_closes_what_is_around_it_as_failed_and_what_is_beside_it_as_aborted() -> (
    None
):
    definition = one(
        {
            "Type": "Parallel",
            "Branches": [
                {
                    "StartAt": "Slow",
                    "States": {"Slow": {"Type": "Wait", "Seconds": 60, "End": True}},
                },
                {
                    "StartAt": "Each",
                    "States": {
                        "Each": {
                            "Type": "Map",
                            "MaxConcurrency": 1,
                            "ItemProcessor": {
                                "StartAt": "Ask",
                                "States": {
                                    "Ask": {
                                        "Type": "Choice",
                                        "Choices": [
                                            {"Variable": "$", "NumericEquals": 2, "Next": "Bad"}
                                        ],
                                        "Default": "Good",
                                    },
                                    "Good": {"Type": "Succeed"},
                                    "Bad": {"Type": "Fail", "Error": "Two"},
                                },
                            },
                            "End": True,
                        }
                    },
                },
            ],
            "End": True,
        }
    )
    visits = (await play(definition, [1, 2])).visits
    assert told(visits) == [
        ("", "S", v.FAILED, None),
        ("S", "Slow", v.ABORTED, None),
        ("S", "Each", v.FAILED, None),
        ("S › Each", "Ask", v.SUCCEEDED, 0),
        ("S › Each", "Good", v.SUCCEEDED, 0),
        ("S › Each", "Ask", v.SUCCEEDED, 1),
        ("S › Each", "Bad", v.FAILED, 1),
    ]
    assert not visits.open
    assert visits.culprit is visits.all[-1]
    assert (visits.status, visits.culprit.error) == (v.FAILED, "Two")
    assert [visit.name for visit in route(visits.culprit)] == ["S", "Each", "Ask", "Bad"]
    each = visits.all[2]
    assert each.items == Items(2, 1, 1)


async def test_retries_of_tasks_and_of_maps_are_counted() -> None:
    retry = [
        {
            "ErrorEquals": ["States.ALL"],
            "IntervalSeconds": 1,
            "MaxAttempts": 2,
            "JitterStrategy": "FULL",
        }
    ]
    calls: list[Json] = []

    def flaky(payload: Json) -> Json:
        calls.append(payload)
        if len(calls) < 2:
            raise TaskError("Busy")
        return "ok"

    inner = {
        "StartAt": "T",
        "States": {"T": {"Type": "Task", "Resource": LAMBDA + "flaky", "End": True}},
    }
    played = await play(
        one({"Type": "Map", "ItemProcessor": inner, "Retry": retry, "End": True}), [1], flaky=flaky
    )
    visits = played.visits
    assert told(visits) == [
        ("", "S", v.SUCCEEDED, None),
        ("S", "T", v.FAILED, 0),
        ("S", "T", v.SUCCEEDED, 0),
    ]
    assert visits.tops["S"].retries == 1
    assert played.stages("S")["Iteration results"] == ["ok"], "of the last round only"

    calls.clear()
    task = (
        await play(
            one({"Type": "Task", "Resource": LAMBDA + "flaky", "Retry": retry, "End": True}),
            flaky=flaky,
        )
    ).visits.all[0]
    assert (task.status, task.attempts, task.retries, task.error) == (v.SUCCEEDED, 2, 1, "Busy")


async def test_a_failed_evaluation_belongs_to_its_state_though_its_event_points_before_it() -> None:
    state = {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Output": "{% $states.input.no.such %}",
        "End": True,
    }
    visits = (
        await play({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "S"}, "S": state}}, {})
    ).visits
    assert told(visits) == [("", "A", v.SUCCEEDED, None), ("", "S", v.FAILED, None)]
    assert visits.culprit is not None
    assert visits.culprit.error == "States.QueryEvaluationError"


async def test_a_running_history_leaves_its_visits_open() -> None:
    played = await play(one({"Type": "Wait", "Seconds": 0, "End": True}), {})
    visits = Visits(played.events[:2])
    assert [visit.name for visit in visits.open.values()] == ["S"]
    assert (visits.status, visits.end) == (v.RUNNING, None)
    for event in played.events[2:]:
        visits.feed(event)
    assert (visits.status, visits.output, visits.events, visits.transitions) == (
        v.SUCCEEDED,
        "{}",
        4,
        1,
    )


async def test_a_map_names_the_state_that_failed_inside() -> None:
    processor = {
        "StartAt": "I",
        "States": {"I": {"Type": "Pass", "InputPath": "$.no", "End": True}},
    }
    played = await play(
        one({"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": processor, "End": True}),
        {"l": [{"na": 1}]},
    )
    assert played.flow("S").stages[-1].note == "failed in I"
