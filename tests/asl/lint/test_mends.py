"""The mends of mistakes that make a definition invalid: lint reports them with AWS's message."""

import json
from typing import Any

import pytest

from stepwell.asl.lint import lint

SERVICE = "arn:aws:states:::"
DONE = {"Type": "Succeed"}


def passes(**fields: Any) -> dict[str, Any]:
    return {"Type": "Pass", "End": True, **fields}


def task(resource: str = "lambda:invoke", **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": SERVICE + resource, "End": True, **fields}


def dynamic(text: Any) -> dict[str, Any]:
    return passes(Parameters={"x.$": text})


def choice(**test: Any) -> dict[str, Any]:
    return {"Type": "Choice", "Choices": [{**test, "Next": "B"}], "Default": "B"}


def messages(state: dict[str, Any], language: str = "JSONPath") -> list[str]:
    """Of the machine of a state A; B is a Succeed state that it may lead to."""
    states = {"A": state} if "End" in state or state["Type"] == "Fail" else {"A": state, "B": DONE}
    machine = {"QueryLanguage": language, "StartAt": "A", "States": states}
    return [each.message for each in lint(json.dumps(machine)) if each.severity == "error"]


BRANCH = {"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "A"}}}
JSONPATH: list[tuple[dict[str, Any], str]] = [
    ({"Type": "Pass", "Next": "b"}, "Did you mean `B`?"),
    ({"Type": "Pass"}, 'with the name of the state that follows, or "End": true.'),
    ({"Type": "Pass", "Next": "B", "End": True}, "It has Next and End: remove one of them."),
    ({"Type": "task", "End": True}, "Did you mean `Task`?"),
    ({"Type": "Fail", "Next": "A"}, "A Fail state is an end by itself: remove the field."),
    ({"Type": "Fail", "Cause.$": "$.c"}, '"CausePath": "$.c".'),
    ({"Type": "Parallel", "Branches": [BRANCH], "End": True}, "`A` is in another block"),
    (task("lambda:Invoke"), "Did you mean `arn:aws:states:::lambda:invoke`?"),
    (task("aws-sdk:DynamoDB:getItem"), "`arn:aws:states:::aws-sdk:dynamodb:getItem`."),
    (task("aws-sdk:dynamodb:GetItem"), "`arn:aws:states:::aws-sdk:dynamodb:getItem`."),
    (
        task("aws-sdk:SQS:SendMessage.waitForTaskToken"),
        "`arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken`.",
    ),
    (task("dynamodb:scan"), "`arn:aws:states:::aws-sdk:dynamodb:scan`."),
    (task("lambda:invoke.sync"), "waits for the function by itself: remove `.sync`."),
    (task("aws-sdk:glue:startJobRun.sync"), "`arn:aws:states:::glue:startJobRun.sync`."),
    (task("aws-sdk:ec2:runInstances.sync"), "poll in a loop with a Wait."),
    (task("dynamodb:putItem.waitForTaskToken"), "`dynamodb:putItem` has no `.waitForTaskToken`"),
    ({**task(), "Resource": "arn:aws:states::lambda:invoke"}, "There are three colons"),
    (task(Parametrs={}), "Did you mean `Parameters`?"),
    (task(Payload={}), "It is a parameter of the service: write it in Parameters"),
    (task(Retry=[{"ErrorEquals": "States.ALL"}]), 'Write it in a list: ["States.ALL"].'),
    (task(Retry=[{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]), "put it last."),
    (task(Retry=[{"ErrorEquals": ["X", "States.ALL"]}]), 'write ["States.ALL"] alone.'),
    ({"Type": "Wait", "Seconds.$": "$.s", "End": True}, '"SecondsPath": "$.s".'),
    ({"Type": "Wait", "Seconds": "10", "End": True}, "Write 10 without quotes."),
    (choice(Variable="$.x", StringEqual="a"), "Did you mean `StringEquals`"),
    (choice(Variable="$.x", StringEquals=5), 'Write "5" in quotes, or use NumericEquals.'),
    (choice(Variable="$.x", StringEquals="a", IsNull=True), "It has StringEquals and IsNull"),
    (choice(Variable="$.x", StringEquals="a", Default="B"), "Default is a field of the state"),
    (
        choice(Not={"Variable": "$.x", "IsNull": True, "Next": "B"}),
        "Only the whole rule has a Next",
    ),
    ({**choice(Variable="$.x", IsNull=True), "End": True}, "The Next of its rules and Default"),
    (dynamic("$.a - 1"), "write `States.MathAdd($.a, -1)`"),
    (dynamic("$.a || $.b"), "A path has no operators"),
    (dynamic("$.a[?(@.id = 1)]"), "A filter compares with two signs"),
    (dynamic("Format('{}', $.a)"), "Write `States.Format(...)`."),
    (dynamic("States.JsonMerge($.a, $.b)"), "`States.JsonMerge` takes 3 arguments, and has 2"),
    (dynamic("States.StringSplit($.a, ',')[0]"), "States.ArrayGetItem(States.StringSplit(...), 0)"),
    (dynamic("States.Format('it's {}', $.a)"), "is written as `\\'`."),
    (passes(InputPath="States.UUID()"), "A call has its place in Parameters"),
    (passes(InputPath="$.a."), "Remove the dot at its end."),
    (passes(InputPath="$.a[0"), "A bracket is not closed."),
    (passes(Assign={"$x": 1}), "A name has no `$` where it is set."),
]
JSONATA = [
    ("{% $states.input.a %} ", 'Remove what is behind %}: "{% $states.input.a %}".'),
    ("{% $states.input.2024 %}", "A name that begins with a digit is in backticks"),
    ("{% 'it's' %}", "write the text in double quotes"),
    ("{% if ($states.input.a) 1 else 2 %}", "A choice is `condition ? one : other`."),
    ("{% $states.input?.a %}", "write `.` for `?.`"),
]


@pytest.mark.parametrize(("state", "text"), JSONPATH)
def test_the_mend_of_an_invalid_state(state: dict[str, Any], text: str) -> None:
    found = messages(state)
    assert any(text in each for each in found), found


@pytest.mark.parametrize(("output", "text"), JSONATA)
def test_the_mend_of_an_invalid_expression(output: str, text: str) -> None:
    found = messages(passes(Output=output), "JSONata")
    assert any(text in each for each in found), found
