"""stepwell explain: one state of a file, by the function that the command calls."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepwell.integrations.cli.commands.explain import explain

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
RETRY = [
    {"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 2, "BackoffRate": 3},
    {"ErrorEquals": ["States.Timeout"], "JitterStrategy": "FULL"},
]
CATCH = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Done"}]
MACHINE = {
    "StartAt": "Charge",
    "States": {
        "Charge": {
            "Type": "Task",
            "Resource": "${Function}",
            "Parameters": {"id.$": "$.id"},
            "ResultPath": "$.charge",
            "Retry": RETRY,
            "Catch": CATCH,
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"sku.$": "$$.Map.Item.Value.sku", "of.$": "$.id"},
            "ItemProcessor": {
                "StartAt": "One",
                "States": {
                    "One": {
                        "Type": "Pass",
                        "Parameters": {"n.$": "$limit", "at.$": "$$.Map.Item.Index"},
                        "End": True,
                    }
                },
            },
            "Next": "Done",
        },
        "Done": {"Type": "Succeed"},
    },
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "order.asl.json"
    path.write_text(json.dumps(MACHINE))
    return path


def options(**given: Any) -> dict[str, Any]:
    every = {
        "state": None,
        "params": None,
        "input": "{}",
        "context": None,
        "variables": None,
        "result": None,
        "errors": [],
        "cause": None,
        "param": [],
        "json": True,
    }
    return every | given


@pytest.fixture
def explained(file: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def call(**given: Any) -> dict[str, Any]:
        assert explain(file, **options(**given)) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return call


def notes(flow: dict[str, Any]) -> list[tuple[str, str]]:
    return [(stage["name"], stage["note"]) for stage in flow["stages"] if "note" in stage]


def test_a_task_with_a_result(explained: Any) -> None:
    flow = explained(input='{"id": 1}', result='{"ok": true}')
    assert (flow["state"], flow["status"], flow["hints"]) == ("Charge", "succeeded", [])
    assert flow["stages"][-1]["value"] == {"id": 1, "charge": {"ok": True}}


def test_a_task_without_an_outcome_stops_there(explained: Any) -> None:
    flow = explained(input='{"id": 1}')
    assert notes(flow) == [("Task result", "not given: use --result or --error")]


def test_retries_their_delays_and_the_catcher(explained: Any) -> None:
    flow = explained(input='{"id": 1}', errors=["Busy"], cause="later")
    assert notes(flow) == [
        ("Retry[0]", "Busy: attempt 1 failed; waits 2 s, retry 1 of 2"),
        ("Retry[0]", "Busy: attempt 2 failed; waits 6 s, retry 2 of 2"),
        ("Task result", "Busy: later"),
        ("Catch[0] ResultPath", "→ Done"),
    ]
    assert flow["stages"][-1]["value"]["error"] == {"Error": "Busy", "Cause": "later"}


def test_an_attempt_after_errors_succeeds(explained: Any) -> None:
    flow = explained(input='{"id": 1}', errors=["Busy", "States.Timeout"], result="5")
    assert [note for _, note in notes(flow)] == [
        "Busy: attempt 1 failed; waits 2 s, retry 1 of 2",
        "States.Timeout: attempt 2 failed; waits up to 1 s, retry 1 of 3",
    ]
    assert flow["stages"][-1]["value"] == {"id": 1, "charge": 5}


def test_a_missing_value_is_explained(explained: Any) -> None:
    flow = explained(input='{"ID": 1}')
    assert flow["status"] == "failed"
    first = flow["hints"][0]
    assert (first["level"], first["field"]) == ("cause", "Parameters/id.$")
    assert "Did you mean `$.ID`" in first["text"]


def test_the_inputs_of_iterations(explained: Any) -> None:
    flow = explained(
        state="Each", input='{"id": 7, "items": [{"sku": "a"}, {"sku": "b"}]}', result="[1, 2]"
    )
    values = {stage["name"]: stage.get("value") for stage in flow["stages"]}
    assert values["ItemSelector"] == [{"sku": "a", "of": 7}, {"sku": "b", "of": 7}]
    assert values["Iteration results"] == [1, 2]


def test_variables_and_context(explained: Any) -> None:
    flow = explained(
        state="One",
        variables='{"limit": 9}',
        context='{"Map": {"Item": {"Index": 3, "Value": {}}}}',
    )
    assert flow["stages"][-1]["value"] == {"n": 9, "at": 3}
    flow = explained(state="One", context='{"Map": {"Item": {"Index": 3, "Value": {}}}}')
    assert "No state assigns `$limit`" in flow["hints"][0]["text"]


def test_a_state_before_may_have_lost_the_value(file: Path, explained: Any) -> None:
    machine = json.loads(json.dumps(MACHINE))
    del machine["States"]["Charge"]["ResultPath"]
    file.write_text(json.dumps(machine))
    text = explained(state="Each", input='{"ok": true}')["hints"][0]["text"]
    assert "`Charge` runs before this state" in text and "ResultPath" in text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"state": "Nope"}, "there is no state 'Nope'; it has Charge, Each, One, Done"),
        ({"state": "Done", "result": "1"}, "'Done' is a Succeed state and calls nothing"),
        ({"variables": "[1]"}, "--variables: not a JSON object"),
        ({"input": "{oops"}, "--input: not JSON"),
    ],
)
def test_wrong_options(
    file: Path, capsys: pytest.CaptureFixture[str], given: dict[str, Any], message: str
) -> None:
    assert explain(file, **options(**given)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("state", "mend"),
    [
        ({"Parameters": {"id.$": "abc"}}, '`id.$` takes a path: write the text "abc" under `id`.'),
        ({"Parameters": {"id.$": "Hi $.name"}}, "`States.Format('... {}', $.x)`"),
        ({"Parameters": {"id.$": 'States.Format("{}", $.x)'}}, "in single quotes"),
        ({"Parameters": {"id.$": "{% $states.input.x %}"}}, '"QueryLanguage": "JSONata"'),
        ({"Output": {}}, "In JSONPath, Output is ResultSelector, ResultPath and OutputPath"),
        ({"QueryLanguage": "JSONata", "ResultPath": "$.x"}, "In JSONata, ResultPath is Output."),
        ({"QueryLanguage": "JSONata", "Output": "{% 1 == 1 %}"}, "one `=`"),
        ({"QueryLanguage": "JSONata", "Output": "{% $states.result %}"}, "read `$states.input`"),
        ({"InputPath": "order"}, "write `$.order`"),
    ],
)
def test_the_mend_of_an_invalid_definition(
    file: Path, capsys: pytest.CaptureFixture[str], state: dict[str, Any], mend: str
) -> None:
    file.write_text(
        json.dumps({"StartAt": "S", "States": {"S": {"Type": "Pass", "End": True, **state}}})
    )
    assert explain(file, **options()) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{file}:1:") and ": ERROR " in lines[0]
    assert any(": mend: " in line and mend in line for line in lines)


def test_a_file_that_is_not_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text('{"StartAt": }')
    assert explain(file, **options()) == 2
    assert "internal" not in capsys.readouterr().err


def test_the_tree_ends_with_the_reason(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explain(file, **options(input='{"ID": 1}', json=False))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Charge  failed"
    assert lines[-2].startswith("why       Parameters/id.$: `$.id` finds nothing")
    assert lines[-1].startswith("note      Retry[0]: States.Runtime is never retried")


def test_a_failed_run_names_the_likely_cause(command: Callable[..., Any], tmp_path: Path) -> None:
    machine = {
        "StartAt": "Fetch",
        "States": {
            "Fetch": {"Type": "Pass", "Result": {"stock": 5}, "Next": "Reserve"},
            "Reserve": {"Type": "Pass", "Parameters": {"id.$": "$.order.id"}, "End": True},
        },
    }
    file = tmp_path / "lost.asl.json"
    file.write_text(json.dumps(machine))
    ran = command("run", file, "--name", "lost", "--input", '{"order": {"id": 1}}')
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    assert lines[-2].startswith("  why: `$.order.id` finds nothing")
    assert "`Fetch` had `$.order.id` in its input and dropped it" in lines[-2]
    assert lines[-1].startswith("  next: stepwell inspect lost Reserve")


def test_a_choice_before_a_fail_state_is_named(command: Callable[..., Any], tmp_path: Path) -> None:
    rule = {"Variable": "$.status", "StringEquals": "PAID", "Next": "Ok"}
    states = {
        "Kind": {"Type": "Choice", "Choices": [rule], "Default": "Reject"},
        "Ok": {"Type": "Succeed"},
        "Reject": {"Type": "Fail", "Error": "NotPaid"},
    }
    file = tmp_path / "pay.asl.json"
    file.write_text(json.dumps({"StartAt": "Kind", "States": states}))
    ran = command("run", file, "--input", '{"status": "paid"}')
    assert '  why: Kind: StringEquals is false: `$.status` is the string "paid"' in ran.stderr


def hints(capsys: pytest.CaptureFixture[str], path: Path, states: Any, **given: Any) -> list[str]:
    """The causes and checks of the state S, or of `state`."""
    path.write_text(json.dumps({"StartAt": next(iter(states)), "States": states}))
    explain(path, **options(state=given.pop("state", "S"), **given))
    found = json.loads(capsys.readouterr().out)["hints"]
    return [each["text"] for each in found if each["level"] != "note"]


END = {"Type": "Pass", "End": True}
SQS = "arn:aws:states:::sqs:sendMessage"
ITERATION = {"StartAt": "S", "States": {"S": {**END, "InputPath": "$.price"}}}
BEFORE = [
    ({"Type": "Pass", "Result": {"a": 1}}, "{}", "`A` runs before this state", "Result replaced"),
    ({"Type": "Wait", "Seconds": 0, "OutputPath": "$.a"}, "{}", "its OutputPath is `$.a`", ""),
    ({"Type": "Task", "Resource": SQS}, "{}", "the result replaced the whole input", ""),
    ({"Type": "Task", "Resource": SQS, "ResultPath": None}, "{}", "which discards it", ""),
    (
        {"Type": "Task", "Resource": SQS, "ResultPath": "$.x", "ResultSelector": {"b": 1}},
        '{"x": {"b": 1}}',
        "`A` puts its result there",
        "its ResultSelector leaves it out",
    ),
    (
        {"Type": "Task", "Resource": SQS, "ResultPath": "$.x"},
        '{"x": {"MessageId": "1"}}',
        "leaves out what it has no value for",
        "`$.x.Y` with IsPresent",
    ),
]


@pytest.mark.parametrize(("before", "input", "one", "other"), BEFORE)
def test_the_definition_says_which_state_before_may_have_lost_a_value(
    before: dict[str, Any],
    input: str,
    one: str,
    other: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    states = {"A": {**before, "Next": "S"}, "S": {**END, "InputPath": "$.x.Y"}}
    found = hints(capsys, tmp_path / "a.json", states, input=input)
    assert one in found[0] and other in found[0], found


def test_an_error_output_that_replaced_the_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "S"}]
    states = {
        "A": {"Type": "Task", "Resource": SQS, "Catch": catch, "End": True},
        "S": {**END, "InputPath": "$.id"},
    }
    given = '{"Error": "E", "Cause": "C"}'
    (text,) = hints(capsys, tmp_path / "a.json", states, input=given)
    assert "If `A` was caught: its Catch has no ResultPath" in text


def test_what_an_iteration_gets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    selector = {"of.$": "$.of"}
    states = {"M": {"Type": "Map", "ItemProcessor": ITERATION, "End": True}}
    (text,) = hints(capsys, tmp_path / "a.json", states, input="{}")
    assert "`S` runs in the Map `M`: its input is one item" in text
    states["M"]["ItemSelector"] = selector
    text = hints(capsys, tmp_path / "a.json", states, input='{"of": 1}')[0]
    assert "ItemSelector makes `of`" in text
    assert 'add "price.$": "$$.Map.Item.Value.price"' in text


def test_fields_that_read_a_result_that_is_not_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    state |= {"Parameters": {"FunctionName": "f"}, "ResultSelector": {"id.$": "$.order.id"}}
    given = '{"order": {"id": 1}}'
    (text,) = hints(capsys, tmp_path / "a.json", {"S": state}, input=given)
    assert "`$` is the result of the Task here, and `$.order.id` is in the state input" in text
    output = {"QueryLanguage": "JSONata", "Output": "{% $states.result.order.id %}"}
    state = {name: each for name, each in state.items() if name in ("Type", "Resource", "End")}
    (text,) = hints(capsys, tmp_path / "a.json", {"S": {**state, **output}}, input=given)
    assert "write `$states.input.order.id`" in text


def test_explain_reports_what_the_linter_finds_in_the_state(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicARN": "t", "Message": "m"},
        "ResultSelector": {"id.$": "$.MessageID"},
        "End": True,
    }
    one, other = hints(capsys, tmp_path / "a.json", {"S": state})
    assert "sns:publish has no parameter TopicARN. Did you mean TopicArn?" in one
    assert "$.MessageID always fails: the result of sns:publish" in other
