"""Mocked results as people have them, against the models of services."""

from typing import Any

import pytest

from stepwell.asl.resources import parse_resource
from stepwell.integrations.mocks.cases import Return, TestCase
from stepwell.integrations.mocks.checks import Validation, against, problem

RESULTS: list[tuple[str, Any]] = [
    ("lambda:invoke", {"StatusCode": 200, "Payload": {"statusCode": 200, "body": "{}"}}),
    ("lambda:invoke", {"Payload": "text", "ExecutedVersion": "$LATEST"}),
    ("lambda:invoke.waitForTaskToken", "any JSON"),
    ("aws-sdk:comprehend:detectSentiment", {"Sentiment": "POSITIVE", "SentimentScore": {}}),
    ("dynamodb:getItem", {"Item": {"id": {"S": "1"}}, "SdkHttpMetadata": {}}),
    ("dynamodb:putItem", {"statusCode": 200}),
    ("events:putEvents", {"Entries": [{"EventId": "e"}], "FailedEntryCount": 0}),
    ("sqs:sendMessage", {"MD5OfMessageBody": "3bcb6e8e-7h85", "MessageId": "m"}),
    ("sns:publish", {"MessageId": "m"}),
    ("states:startExecution", {"ExecutionArn": "arn", "StartDate": 1638290335123}),
    ("states:startExecution.sync:2", {"Output": {"a": 1}, "StopDate": 1638290335123}),
    ("states:startExecution.sync", {"Output": '{"a": 1}', "Status": "SUCCEEDED"}),
    ("glue:startJobRun.sync", {"JobName": "j", "JobRunState": "SUCCEEDED"}),
    ("http:invoke", {"StatusCode": 200, "ResponseBody": []}),
    ("aws-sdk:s3:listBuckets", {"Buckets": [{"Name": "b", "CreationDate": "2024-01-01"}]}),
]


def fault(resource: str, result: Any, validation: Validation = Validation.PRESENT) -> str | None:
    parsed = parse_resource(f"arn:aws:states:::{resource}")
    assert parsed is not None
    return problem(parsed, result, validation)


@pytest.mark.parametrize(("resource", "result"), RESULTS)
def test_results_that_fit_have_no_fault(resource: str, result: Any) -> None:
    assert fault(resource, result) is None


def test_each_mode_checks_what_its_name_says() -> None:
    text = "Mock result schema validation error: "
    wrong, short = {"ExecutionArn": 1, "StartDate": 1}, {"StartDate": "2024"}
    assert fault("states:startExecution", wrong) == text + "Field 'ExecutionArn' must be a string"
    assert fault("states:startExecution", wrong, Validation.NONE) is None
    assert fault("states:startExecution", short) is None
    missing = text + "Required field 'ExecutionArn' is missing"
    assert fault("states:startExecution", short, Validation.STRICT) == missing
    assert fault("dynamodb:getItem", []) == "Mocked result must be a JSON object."


def test_states_that_call_nothing() -> None:
    states: dict[str, dict[str, Any]] = {"Done": {"Type": "Pass"}, "Charge": {"Type": "Task"}}
    case = TestCase({"done": Return(1), "Done": Return(1), "Charge": Return(1)}, "C")
    errors, warnings = against(case, states, Validation.PRESENT)
    assert errors == []
    assert warnings == [
        "warning: the definition has no state 'done', which test case 'C' mocks: did you mean "
        "'Done'?",
        "warning: state 'Done' is a Pass, which calls nothing: its response is not used",
    ]
