"""Each error of the model is raised by some request; those that are not are listed with the
reason.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.asgi import MODEL, call, check

from stepwell.engine import Engine
from stepwell.integrations.limits import Limits
from stepwell.integrations.server.app import App

HOME = "arn:aws:states:us-east-1:123456789012:"
ROLE = "arn:aws:iam::123456789012:role/any"
HANDS, ABSENT = f"{HOME}activity:hands", f"{HOME}activity:absent"
PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
FAIL = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail"}}})
LONG = json.dumps(
    {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9_999, "End": True}}}
)
WORK = json.dumps(
    {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": HANDS, "End": True}}}
)
OWN_KEY = {"encryptionConfiguration": {"type": "AWS_OWNED_KEY", "kmsKeyId": "k"}}
OTHER_KEY = {"encryptionConfiguration": {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}}
MACHINE = {"name": "pass", "definition": PASS, "roleArn": ROLE}
SETUP: list[tuple[str, dict[str, Any]]] = [
    ("CreateActivity", {"name": "hands"}),
    ("CreateStateMachine", MACHINE | {"publish": True}),
    ("CreateStateMachine", MACHINE | {"name": "long", "definition": LONG}),
    ("CreateStateMachine", MACHINE | {"name": "work", "definition": WORK}),
    ("CreateStateMachine", MACHINE | {"name": "express", "type": "EXPRESS"}),
    ("StartExecution", {"stateMachineArn": f"{HOME}stateMachine:long", "name": "e"}),
    ("StartExecution", {"stateMachineArn": f"{HOME}stateMachine:work", "name": "e"}),
    (
        "CreateStateMachineAlias",
        {
            "name": "live",
            "routingConfiguration": [
                {"stateMachineVersionArn": f"{HOME}stateMachine:pass:1", "weight": 100}
            ],
        },
    ),
]

# code -> requests one after the other, the last of which is refused with it
CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ActivityAlreadyExists": [("CreateActivity", {"name": "hands"} | OTHER_KEY)],
    "ActivityDoesNotExist": [("DescribeActivity", {"activityArn": ABSENT})],
    "ActivityLimitExceeded": [("CreateActivity", {"name": "second"})],
    "ActivityWorkerLimitExceeded": [("GetActivityTask", {"activityArn": HANDS})],
    "ConflictException": [
        ("DeleteStateMachineVersion", {"stateMachineVersionArn": f"{HOME}stateMachine:pass:1"})
    ],
    "ExecutionAlreadyExists": [
        (
            "StartExecution",
            {"stateMachineArn": f"{HOME}stateMachine:long", "name": "e", "input": "[]"},
        )
    ],
    "ExecutionDoesNotExist": [
        ("DescribeExecution", {"executionArn": f"{HOME}execution:pass:absent"})
    ],
    "ExecutionNotRedrivable": [("RedriveExecution", {"executionArn": f"{HOME}execution:long:e"})],
    "InvalidArn": [("DescribeStateMachine", {"stateMachineArn": "no arn"})],
    "InvalidDefinition": [("CreateStateMachine", MACHINE | {"name": "odd", "definition": "{}"})],
    "InvalidEncryptionConfiguration": [("CreateStateMachine", MACHINE | OWN_KEY | {"name": "odd"})],
    "InvalidExecutionInput": [
        ("StartExecution", {"stateMachineArn": f"{HOME}stateMachine:pass", "input": "{"})
    ],
    "InvalidLoggingConfiguration": [
        ("CreateStateMachine", MACHINE | {"name": "odd", "loggingConfiguration": {"level": "ALL"}})
    ],
    "InvalidName": [("CreateActivity", {"name": "a b"})],
    "InvalidOutput": [("SendTaskSuccess", {"taskToken": "@token", "output": "{"})],
    "InvalidToken": [("SendTaskHeartbeat", {"taskToken": "not one"})],
    "MissingRequiredParameter": [
        ("UpdateStateMachine", {"stateMachineArn": f"{HOME}stateMachine:pass"})
    ],
    "ResourceNotFound": [("ListTagsForResource", {"resourceArn": f"{HOME}stateMachine:absent"})],
    "ServiceQuotaExceededException": [
        (
            "UpdateStateMachine",
            {"stateMachineArn": f"{HOME}stateMachine:pass", "definition": FAIL, "publish": True},
        ),
        (
            "UpdateStateMachine",
            {"stateMachineArn": f"{HOME}stateMachine:pass", "definition": LONG, "publish": True},
        ),
    ],
    "StateMachineAlreadyExists": [("CreateStateMachine", MACHINE | {"definition": FAIL})],
    "StateMachineDeleting": [
        ("DeleteStateMachine", {"stateMachineArn": f"{HOME}stateMachine:long"}),
        ("StartExecution", {"stateMachineArn": f"{HOME}stateMachine:long"}),
    ],
    "StateMachineDoesNotExist": [
        ("DescribeStateMachine", {"stateMachineArn": f"{HOME}stateMachine:absent"})
    ],
    "StateMachineLimitExceeded": [("CreateStateMachine", MACHINE | {"name": "fifth"})],
    "StateMachineTypeNotSupported": [
        ("StartSyncExecution", {"stateMachineArn": f"{HOME}stateMachine:pass"})
    ],
    "TaskTimedOut": [
        ("SendTaskSuccess", {"taskToken": "@token", "output": "{}"}),
        ("SendTaskSuccess", {"taskToken": "@token", "output": "{}"}),
    ],
    "TooManyTags": [
        (
            "TagResource",
            {"resourceArn": HANDS, "tags": [{"key": f"{number}"} for number in range(51)]},
        )
    ],
    "ValidationException": [("ListExecutions", {"maxResults": 1001})],
}
UNREACHABLE = {
    "ExecutionLimitExceeded": (
        "as many executions as the disk holds may be open; what is too much for the moment is "
        "throttled"
    ),
    "InvalidTracingConfiguration": "the one member that a tracing configuration has is a boolean",
    "KmsAccessDeniedException": "keys are stored and returned, and not used",
    "KmsInvalidStateException": "keys are stored and returned, and not used",
    "KmsThrottlingException": "keys are stored and returned, and not used",
    "TaskDoesNotExist": "of a token whose execution is no longer kept: tests of retention",
}


def test_no_error_is_forgotten() -> None:
    assert {shape.name for shape in MODEL.error_shapes} == CASES.keys() | UNREACHABLE.keys()


@pytest.mark.parametrize("code", CASES)
async def test_an_error(code: str, tmp_path: Path) -> None:
    limits = Limits(machines=4, activities=1, versions=2, pollers=0)
    async with Engine(tmp_path / "stepwell.db", limits=limits) as engine:
        app = App({"stepfunctions": engine})
        for operation, body in SETUP:
            assert (made := await call(app, operation, body)).status == 200, made
        token = (await call(app, "GetActivityTask", {"activityArn": HANDS})).json["taskToken"]
        *before, (operation, body) = CASES[code]
        for each, given in before:
            await call(app, each, json.dumps(given).replace("@token", token).encode())
        refused = await call(app, operation, json.dumps(body).replace("@token", token).encode())
        assert (refused.status, refused.code) == (400, code), refused
        check(operation, refused)
        declared = {shape.name for shape in MODEL.operation_model(operation).error_shapes} | {
            "ValidationException"
        }
        assert code in declared
