"""The coverage of real executions equals a count by hand."""

import json
import pickle
from typing import Any

import pytest
from tests.conftest import ROOT

from stepwell import SyncEngine
from stepwell.asl.definition import StateMachine
from stepwell.asl.histories.coverage import BRANCH, CATCHER, RETRIER, RULE, STATE, Coverage
from stepwell.asl.validate import validate
from stepwell.engine.tasks import TaskError
from stepwell.integrations.mocks.cases import TestCase, Throw
from stepwell.integrations.mocks.tasks import MockedTasks
from stepwell.integrations.tasks.registry import Registry

EXAMPLES = ROOT / "examples"


def parsed(text: str) -> StateMachine:
    checked = validate(text, known_resource=lambda resource: resource)
    assert checked.definition is not None, checked.errors
    return checked.definition


def histories(engine: SyncEngine, text: str, *inputs: Any) -> list[list[Any]]:
    arn = engine.create_state_machine(f"m{abs(hash(text))}", text)["stateMachineArn"]
    found = []
    for each in inputs:
        started = engine.start_execution(arn, input=each)["executionArn"]
        engine.wait(started, timeout=60)
        pages = engine.get_execution_history(started, max_results=1000)
        found.append(pages["events"])
    return found


def example(name: str, **changes: Any) -> Any:
    return {**json.loads((EXAMPLES / name).read_text()), **changes}


def shares(coverage: Coverage) -> dict[str, tuple[int, int]]:
    return {kind: tuple(tally) for kind, tally in coverage.tally().items()}


def test_an_order_is_covered_as_counted_by_hand() -> None:
    text = (EXAMPLES / "order.asl.json").read_text()
    inputs = [
        example(f"order{kind}.json", **({} if kind == "-empty" else {"vanSeconds": 0}))
        for kind in ("", "-declined", "-undeliverable", "-empty")
    ]
    counted = [  # states, rules, branches, catchers, retriers so far
        ((11, 15), (2, 4), (2, 2), (0, 3), (1, 3)),
        ((13, 15), (2, 4), (2, 2), (1, 3), (1, 3)),
        ((14, 15), (3, 4), (2, 2), (2, 3), (1, 3)),
        ((15, 15), (4, 4), (2, 2), (2, 3), (1, 3)),
    ]
    coverage = Coverage(parsed(text))
    assert shares(coverage)[STATE] == (0, 15)
    with SyncEngine(tasks=Registry(functions_folder=str(EXAMPLES / "functions"))) as engine:
        for history, by_hand in zip(histories(engine, text, *inputs), counted, strict=True):
            coverage.add(history)
            kinds = (STATE, RULE, BRANCH, CATCHER, RETRIER)
            assert shares(coverage) == dict(zip(kinds, by_hand, strict=True))
    assert [point.location for point in coverage.missed()] == [
        "/States/Reserve the stock/Catch[0]",
        "/States/Refund the card/Retry[0]",
        "/States/Release the stock/Retry[0]",
    ]
    assert coverage.total == (24, 27)
    assert coverage.executions == 4
    merged = Coverage(parsed(text))
    merged.merge(coverage)
    merged.merge(pickle.loads(pickle.dumps(coverage)))  # from another process
    assert (shares(merged), merged.executions) == (shares(coverage), 8)
    assert merged.passages.entered["Is it an order?"] == 8


@pytest.fixture
def failing() -> Any:
    """A function that fails with the errors that its payload asks for, one a call."""
    left: dict[str, list[str]] = {}

    def work(payload: Any) -> Any:
        errors = left.setdefault(payload["id"], list(payload["errors"]))
        if errors:
            raise TaskError(errors.pop(0), "as asked")
        return payload

    return work


def test_the_first_handler_that_covers_an_error_counts(failing: Any) -> None:
    """Retriers by attempt, a catcher only once it catches, rules to one target apart, items of a
    Map together.
    """
    resource = "arn:aws:lambda:us-east-1:123456789012:function:work"
    once = {"IntervalSeconds": 1, "MaxAttempts": 1}
    each = {
        "StartAt": "Work",
        "States": {
            "Work": {
                "Type": "Task",
                "Resource": resource,
                "Retry": [
                    {"ErrorEquals": ["Busy"], **once},
                    {"ErrorEquals": ["Slow"], **once},
                    {"ErrorEquals": ["States.ALL"], "MaxAttempts": 0},
                ],
                "Catch": [
                    {"ErrorEquals": ["Busy"], "Next": "Caught"},
                    {"ErrorEquals": ["States.TaskFailed"], "Next": "Caught"},
                    {"ErrorEquals": ["States.ALL"], "Next": "Caught"},
                ],
                "End": True,
            },
            "Caught": {"Type": "Pass", "End": True},
        },
    }
    text = json.dumps(
        {
            "StartAt": "How many?",
            "States": {
                "How many?": {
                    "Type": "Choice",
                    "Choices": [
                        {"Variable": "$[0]", "IsPresent": False, "Next": "None"},
                        {"Variable": "$[1]", "IsPresent": False, "Next": "Each"},
                        {"Variable": "$[2]", "IsPresent": False, "Next": "Each"},
                    ],
                    "Default": "Each",
                },
                "None": {"Type": "Succeed"},
                "Each": {"Type": "Map", "ItemProcessor": each, "End": True},
            },
        }
    )
    items = [
        {"id": "a", "errors": ["Slow"]},
        {"id": "b", "errors": ["Busy", "Busy"]},
        {"id": "c", "errors": ["Other"]},
    ]
    coverage = Coverage(parsed(text))
    with SyncEngine(tasks=Registry(functions={"work": failing})) as engine:
        for history in histories(engine, text, items[:2], [], items[2:] * 3):
            coverage.add(history)
    hits = {point.location: coverage.hits(point) for point in coverage.points}
    work = "/States/Each/ItemProcessor/States/Work"
    assert {at: count for at, count in hits.items() if not count} == {
        "/States/How many?/Choices[1]": 0,
        f"{work}/Retry[2]": 0,
        f"{work}/Catch[2]": 0,
    }
    assert hits[f"{work}/Retry[0]"] == hits[f"{work}/Retry[1]"] == 1
    assert hits[f"{work}/Catch[0]"] == 1
    assert hits["/States/Each/ItemProcessor"] == hits[work] == 5
    assert hits["/States/How many?/Choices[2]"] == hits["/States/How many?/Default"] == 1


@pytest.mark.parametrize(
    ("error", "catcher"),
    [("States.HeartbeatTimeout", 1), ("States.Timeout", 2), ("CardDeclined", 3)],
)
def test_a_heartbeat_timeout_is_caught_by_its_name(error: str, catcher: int) -> None:
    """Although a history calls it States.Timeout."""
    names = ("Other", "States.HeartbeatTimeout", "States.Timeout", "States.ALL")
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "work", "Payload.$": "$$.Task.Token"},
        "Catch": [{"ErrorEquals": [name], "Next": f"After {name}"} for name in names],
        "End": True,
    }
    states = {f"After {name}": {"Type": "Succeed"} for name in names}
    text = json.dumps({"StartAt": "Work", "States": {"Work": task, **states}})
    coverage = Coverage(parsed(text))
    tasks = MockedTasks(Registry(), TestCase({"Work": Throw(error)}))
    with SyncEngine(tasks=tasks) as engine:
        coverage.add(*histories(engine, text, {}))
    hits = [coverage.hits(point) for point in coverage.points if point.kind == CATCHER]
    assert hits == [int(place == catcher) for place in range(len(names))]
