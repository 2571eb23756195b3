"""An execution on a picture: statuses, badges and taken edges from the events of any engine."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.visualize.pictures import TASK, Picture, says

from stepwell.asl.definition import StateMachine
from stepwell.asl.histories.items import Items
from stepwell.visualize import Diagram, Overlay, read_history

POLLING = {
    "StartAt": "Ask",
    "States": {
        "Ask": {
            "Type": "Task",
            "Resource": TASK,
            "Parameters": {},
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}],
            "Next": "Done?",
        },
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.done", "BooleanEquals": True, "Next": "Fine"}],
            "Default": "Ask",
        },
        "Fine": {"Type": "Succeed"},
        "Sorry": {"Type": "Fail", "Error": "Sorry"},
    },
}
BODY = {
    "StartAt": "One",
    "States": {"One": {"Type": "Task", "Resource": TASK, "Parameters": {}, "End": True}},
}
MAP = {"StartAt": "Each", "States": {"Each": {"Type": "Map", "ItemProcessor": BODY, "End": True}}}


def events(*rows: tuple[Any, ...]) -> list[dict[str, Any]]:
    """(previous id, type, details of a state's name or of anything) -> events a second apart."""
    made = []
    for number, (previous, kind, *detail) in enumerate(rows, 1):
        event = {
            "id": number,
            "previousEventId": previous,
            "type": kind,
            "timestamp": 1_700_000_000.0 + number,
        }
        if detail:
            given = detail[0] if isinstance(detail[0], dict) else {"name": detail[0]}
            event["anyEventDetails"] = given
        made.append(event)
    return made


START = (0, "ExecutionStarted", {"input": "{}"})
FIRST = (
    START,
    (0, "TaskStateEntered", "Ask"),
    (2, "TaskScheduled", {"resource": "sendMessage", "resourceType": "sqs"}),
)
TWICE = events(
    *FIRST,
    (3, "TaskFailed", {"error": "Busy"}),
    (4, "TaskScheduled", {}),
    (5, "TaskSucceeded", {"output": "{}"}),
    (6, "TaskStateExited", "Ask"),
    (7, "ChoiceStateEntered", "Done?"),
    (8, "ChoiceStateExited", "Done?"),
    (9, "TaskStateEntered", "Ask"),
    (10, "TaskScheduled", {}),
    (11, "TaskSucceeded", {"output": "{}"}),
    (12, "TaskStateExited", "Ask"),
    (13, "ChoiceStateEntered", "Done?"),
    (14, "ChoiceStateExited", "Done?"),
    (15, "SucceedStateEntered", "Fine"),
    (16, "SucceedStateExited", "Fine"),
    (17, "ExecutionSucceeded", {"output": "{}"}),
)
CAUGHT = events(
    *FIRST,
    (3, "TaskFailed", {"error": "Gone"}),
    (4, "TaskStateExited", "Ask"),
    (5, "FailStateEntered", "Sorry"),
    (6, "ExecutionFailed", {"error": "Sorry"}),
)


def looks(
    definition: dict[str, Any], history: list[dict[str, Any]], **options: Any
) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """Status and badge of each state, and the taken edges between states."""
    drawn = Picture(Diagram(definition, history, **options).svg())
    states = {}
    for group in drawn.of("state"):
        status = group.attrib["class"].split()[-1]
        states[group.attrib["data-state"]] = f"{status}: {says(group, 'badge')}".removesuffix(": ")
    taken = {
        (edge.attrib["data-from"], edge.attrib["data-to"])
        for edge in drawn.of("taken")
        if edge.get("data-kind")
    }
    return states, taken


def test_a_loop_with_a_retry() -> None:
    states, taken = looks(POLLING, TWICE)
    assert states == {
        "Ask": "succeeded: succeeded · 3.00 s · 1 retry · ×2",
        "Done?": "succeeded: succeeded · 1.00 s · ×2",
        "Fine": "succeeded: succeeded · 1.00 s",
        "Sorry": "not-run",
    }
    assert taken == {
        ("", "Ask"),
        ("Ask", "Done?"),
        ("Done?", "Ask"),
        ("Done?", "Fine"),
        ("Fine", ""),
    }


def test_a_failure_that_was_caught() -> None:
    states, taken = looks(POLLING, CAUGHT)
    assert states == {
        "Ask": "caught: caught · 3.00 s · Gone",
        "Done?": "not-run",
        "Fine": "not-run",
        "Sorry": "failed: failed · Sorry",
    }
    assert taken == {("", "Ask"), ("Ask", "Sorry")}


def test_durations_of_running_states_end_now() -> None:
    states, taken = looks(POLLING, events(*FIRST), now=1_700_000_062.0)
    assert states["Ask"] == "running: running · 1 min 00 s"
    assert taken == {("", "Ask")}


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("ExecutionAborted", "aborted"),
        ("ExecutionTimedOut", "timed-out"),
        ("ExecutionFailed", "failed"),
    ],
)
def test_states_that_run_at_the_end(ending: str, status: str) -> None:
    overlay = Overlay(events(*FIRST, (3, ending, {})))
    assert overlay.status("Ask") == status


def iterations(*outcomes: str) -> list[dict[str, Any]]:
    rows: list[tuple[Any, ...]] = [
        START,
        (0, "MapStateEntered", "Each"),
        (2, "MapStateStarted", {"length": 4}),
    ]
    for index, outcome in enumerate(outcomes):
        at = len(rows)
        name = {"name": "Each", "index": index}
        rows += [
            (3, "MapIterationStarted", name),
            (at + 1, "TaskStateEntered", "One"),
            (at + 2, "TaskScheduled", {}),
        ]
        if outcome == "ok":
            rows += [
                (at + 3, "TaskSucceeded", {"output": "1"}),
                (at + 4, "TaskStateExited", "One"),
                (at + 5, "MapIterationSucceeded", name),
            ]
    return events(*rows)


def test_the_progress_of_a_map() -> None:
    states, _ = looks(MAP, iterations("ok", "ok", "runs"))
    assert states["Each"] == "running: running · 16.0 s · █████░░░░░ 50% 2/4 · 1 running"
    assert states["One"].startswith("running: running")
    assert states["One"].endswith("×3")


def test_the_progress_of_a_distributed_map() -> None:
    definition = {"StartAt": "Each", "States": {"Each": {**MAP["States"]["Each"]}}}  # type: ignore[index]
    definition["States"]["Each"]["ItemProcessor"] = {
        **BODY,
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    arn = "arn:aws:states:us-east-1:123456789012:mapRun:m/l:1"
    history = events(
        START,
        (0, "MapStateEntered", "Each"),
        (2, "MapStateStarted", {"length": 0}),
        (3, "MapRunStarted", {"mapRunArn": arn}),
    )
    counts = {
        "total": 10_000,
        "succeeded": 6_120,
        "failed": 12,
        "timedOut": 1,
        "aborted": 1,
        "pending": 0,
        "running": 3_866,
    }
    states, _ = looks(definition, history, map_runs={arn: {"itemCounts": counts}})
    assert states["Each"] == (
        "running: running · 2.00 s · ██████░░░░ 61% 6,120/10,000 · 12 failed · 1 timed out · "
        "1 aborted · 3,866 running"
    )


# --- forms of histories ---------------------------------------------------------------------------


def iso(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "timestamp": datetime.fromtimestamp(event["timestamp"], UTC).isoformat()}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"events": TWICE}),
        json.dumps({"events": [iso(event) for event in reversed(TWICE)]}, indent=2),
        json.dumps(TWICE),
        "\n".join(map(json.dumps, TWICE)) + "\n\n",
    ],
    ids=["GetExecutionHistory", "the aws command, the last first", "an array", "lines"],
)
def test_forms_of_histories(text: str) -> None:
    assert looks(POLLING, read_history(text)) == looks(POLLING, TWICE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "not JSON"),
        ("7", "not a history"),
        ('[{"id": 1}]', "event 1 is not a history event: it lacks id or type"),
        (
            '[{"id": 1, "type": "ExecutionStarted", "timestamp": "yesterday"}]',
            "event 1 has an invalid timestamp",
        ),
    ],
)
def test_invalid_histories(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_history(text)


def test_names_and_errors_of_a_history_are_text() -> None:
    nasty = "<script>alert(1)</script>"
    failed = [*CAUGHT[:3], {**CAUGHT[3], "anyEventDetails": {"error": nasty}}, *CAUGHT[4:]]
    states, _ = looks(POLLING, failed)
    assert states["Ask"] == f"caught: caught · 3.00 s · {nasty}"


# --- several rules to one state -------------------------------------------------------------------


def forked(*rules: Any, language: str = "JSONPath", **more: Any) -> dict[str, Any]:
    """A Choice whose rules all lead to "There", as its default does."""
    fork = {
        "Type": "Choice",
        "Choices": [{**rule, "Next": "There"} for rule in rules],
        "Default": "There",
        **more,
    }
    keep = {"Type": "Pass", "Assign": {"kept": 7}, "Next": "Fork"}
    return {
        "QueryLanguage": language,
        "StartAt": "Keep",
        "States": {"Keep": keep, "Fork": fork, "There": {"Type": "Succeed"}},
    }


def taken_rules(definition: dict[str, Any], given: str | None, data: Any = '{"n": 3}') -> list[str]:
    """The rules that are drawn as taken, in an execution whose Choice got `given`."""
    history = events(
        (0, "ExecutionStarted", {"input": data}),
        (0, "PassStateEntered", {"name": "Keep", "input": data}),
        (
            2,
            "PassStateExited",
            {"name": "Keep", "output": data, "assignedVariables": {"kept": "7"}},
        ),
        (3, "ChoiceStateEntered", {"name": "Fork", **({} if given is None else {"input": given})}),
        (4, "ChoiceStateExited", "Fork"),
        (5, "SucceedStateEntered", "There"),
        (6, "SucceedStateExited", "There"),
        (7, "ExecutionSucceeded", {"output": "{}"}),
    )
    drawn = Picture(Diagram(StateMachine.model_validate(definition), history).svg())
    return sorted(
        group.attrib["data-rule"]
        for group in drawn.of("rule")
        if "taken" in group.attrib["class"].split()
    )


OVER_5 = {"Variable": "$.n", "NumericGreaterThan": 5}
ALL = ["-1", "0", "1"]


def kept(number: int) -> dict[str, Any]:
    return {"Variable": "$kept", "NumericEquals": number}


@pytest.mark.parametrize(
    ("definition", "given", "taken"),
    [
        (forked(OVER_5, {"Variable": "$.n", "NumericGreaterThan": 2}), '{"n": 9}', ["0"]),
        (forked(OVER_5, {"Variable": "$.n", "NumericGreaterThan": 2}), '{"n": 3}', ["1"]),
        (forked(OVER_5, {"Variable": "$.n", "NumericGreaterThan": 2}), '{"n": 1}', ["-1"]),
        (forked(OVER_5, OVER_5, InputPath="$.in"), '{"in": {"n": 9}}', ["0"]),
        (forked(kept(8), kept(7)), "{}", ["1"]),
        (forked({"Variable": "$$.Execution.Input.n", "NumericEquals": 3}), "{}", ["0"]),
        (
            forked(
                {"Condition": "{% $states.input.n > 5 %}"},
                {"Condition": "{% $kept = 7 %}"},
                language="JSONata",
            ),
            '{"n": 1}',
            ["1"],
        ),
        # cannot be determined
        (
            forked(OVER_5, {"Variable": "$$.State.EnteredTime", "IsTimestamp": True}),
            '{"n": 1}',
            ALL,
        ),
        (forked({"Variable": "${Where}", "NumericEquals": 1}, OVER_5), '{"n": 1}', ALL),
        (forked(OVER_5, OVER_5), None, ALL),  # a history without data
    ],
)  # fmt: skip
def test_the_taken_rule_is_found_by_reevaluation(
    definition: dict[str, Any], given: str | None, taken: list[str]
) -> None:
    assert taken_rules(definition, given) == taken


# --- figures of states ----------------------------------------------------------------------------


def test_a_redrive_is_not_a_retry() -> None:
    redriven = events(
        *FIRST,
        (3, "TaskFailed", {"error": "Busy"}),
        (4, "TaskScheduled", {}),
        (5, "TaskFailed", {"error": "Busy"}),
        (6, "ExecutionFailed", {"error": "Busy"}),
        (7, "ExecutionRedriven", {"redriveCount": 1}),
        (2, "TaskScheduled", {}),
        (9, "TaskSucceeded", {"output": "{}"}),
        (10, "TaskStateExited", "Ask"),
    )
    states, _ = looks(POLLING, redriven)
    assert states["Ask"] == "succeeded: succeeded · 9.00 s · 1 retry · 1 redrive"


def test_a_state_that_most_iterations_passed_is_not_aborted() -> None:
    """38 of 47 iterations had passed it when another state failed the Map."""
    rows: list[tuple[Any, ...]] = [
        START,
        (0, "MapStateEntered", "Each"),
        (2, "MapStateStarted", {"length": 47}),
    ]
    for index in range(47):
        rows += [
            (3, "MapIterationStarted", {"name": "Each", "index": index}),
            (len(rows) + 1, "TaskStateEntered", "One"),
        ]
        if index < 38:
            rows += [
                (len(rows), "TaskStateExited", "One"),
                (len(rows) + 1, "MapIterationSucceeded", {"name": "Each", "index": index}),
            ]
    rows += [(0, "ExecutionAborted", {})]
    states, _ = looks(MAP, events(*rows))
    assert states["One"].startswith("succeeded: succeeded · p50 1.00 s · 9 aborted")
    assert states["Each"].endswith("38/47 · 9 aborted")


def test_a_map_has_the_error_of_its_fail_state() -> None:
    body = {
        "StartAt": "Bad",
        "States": {"Bad": {"Type": "Fail", "Error": "Unlucky", "Cause": "three"}},
    }
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}]
    each = {"Type": "Map", "ItemProcessor": body, "Catch": catch, "End": True}
    definition = {
        "StartAt": "Each",
        "States": {"Each": each, "Sorry": {"Type": "Pass", "End": True}},
    }
    history = events(
        START,
        (0, "MapStateEntered", "Each"),
        (2, "MapStateStarted", {"length": 1}),
        (3, "MapIterationStarted", {"name": "Each", "index": 0}),
        (4, "FailStateEntered", "Bad"),
        (5, "MapIterationFailed", {"name": "Each", "index": 0}),
        (5, "MapStateFailed", {}),
        (7, "MapStateExited", "Each"),
    )
    states, _ = looks(definition, history)
    assert states["Bad"] == "failed: failed · Unlucky"
    assert states["Each"] == "caught: caught · 5.00 s · 0/1 · 1 failed · Unlucky"


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        (
            {"Parameters": {"MessageBody": {"mine.$": "$$.Task.Token", "other": "x"}}},
            {"MessageBody": {"other": "x", "mine": "T-1"}},
        ),
        (
            {
                "QueryLanguage": "JSONata",
                "Arguments": {"Body": {"mine": "{% $states.context.Task.Token %}"}},
            },
            {"Body": {"mine": "T-1"}},
        ),
        (
            {
                "QueryLanguage": "JSONata",
                "Arguments": "{% {'Body': {'mine': $states.context.Task.Token, 'n': 1}} %}",
            },
            {"Body": {"mine": "T-1", "n": 1}},
        ),
    ],
)
def test_a_state_that_waits_for_a_callback_has_a_remark_and_the_token(
    parameters: dict[str, Any], given: dict[str, Any]
) -> None:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "End": True,
        **parameters,
    }
    definition = {"StartAt": "Ask", "States": {"Ask": task}}
    resource = {"resourceType": "sqs", "resource": "sendMessage.waitForTaskToken"}
    history = events(
        START,
        (0, "TaskStateEntered", "Ask"),
        (2, "TaskScheduled", {**resource, "parameters": json.dumps(given)}),
        (3, "TaskStarted", resource),
        (4, "TaskSubmitted", resource),
    )
    states, _ = looks(definition, history)
    assert states["Ask"] == "running: running · 3.00 s · waiting for a callback"
    overlay = Overlay(history, definition=StateMachine.model_validate(definition))
    waiting = overlay.state("Ask").waiting
    assert waiting is not None
    assert waiting.token == "T-1"


def test_counts_of_a_running_map_run_are_dropped_when_it_ends() -> None:
    arn = "arn:aws:states:us-east-1:123456789012:mapRun:m/l:1"
    entered = [
        START,
        (0, "MapStateEntered", "Each"),
        (2, "MapStateStarted", {"length": 0}),
        (3, "MapRunStarted", {"mapRunArn": arn}),
    ]
    visits = Overlay(events(*entered)).visits
    visits.count(arn, Items(4, succeeded=1, running=3))
    for event in events(
        *entered, (4, "MapRunSucceeded"), (5, "MapStateSucceeded"), (6, "MapStateExited", "Each")
    )[4:]:
        visits.feed(event)
    assert visits.tops["Each"].items is None, "until it is counted again"
