"""Mock files of the shapes that Step Functions Local documents, and machines for them."""

from itertools import pairwise
from typing import Any

LAMBDA = "arn:aws:states:::lambda:invoke"
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 3, "BackoffRate": 1}]


def machine(states: dict[str, Any], start: str = "", **more: Any) -> dict[str, Any]:
    """States in their order, one after another."""
    names = list(states)
    for name, following in pairwise(names):
        if not states[name].keys() & {"Next", "End", "Choices"}:
            states[name]["Next"] = following
    states[names[-1]].setdefault("End", True)
    return {"StartAt": start or names[0], "States": states, **more}


def invoke(function: str = "f", **fields: Any) -> dict[str, Any]:
    parameters = {"FunctionName": function, "Payload.$": "$"}
    return {"Type": "Task", "Resource": LAMBDA, "Parameters": parameters, **fields}


def lambda_and_sqs() -> dict[str, Any]:
    queue = "https://sqs.us-east-1.amazonaws.com/123456789012/myQueue"
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": queue, "MessageBody.$": "$"},
    }
    return machine({"LambdaState": invoke("HelloWorld", Retry=RETRY), "SQSState": send})


MOCKS: dict[str, Any] = {
    "StateMachines": {
        "LambdaSQSIntegration": {
            "TestCases": {
                "HappyPath": {
                    "LambdaState": "MockedLambdaSuccess",
                    "SQSState": "MockedSQSSuccess",
                },
                "RetryPath": {"LambdaState": "MockedLambdaRetry", "SQSState": "MockedSQSSuccess"},
                "HybridPath": {"LambdaState": "MockedLambdaSuccess"},
            }
        }
    },
    "MockedResponses": {
        "MockedLambdaSuccess": {
            "0": {"Return": {"StatusCode": 200, "Payload": {"body": "Hello from Lambda!"}}}
        },
        "NotReady": {
            "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "not ready"}}
        },
        "MockedSQSSuccess": {
            "0": {"Return": {"MD5OfMessageBody": "3bcb6e8e-7h85", "MessageId": "3bcb6e8e-8b51"}}
        },
        "MockedLambdaRetry": {
            "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "not ready"}},
            "1-2": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "timed out"}},
            "3": {"Return": {"StatusCode": 200, "Payload": {"body": "Hello at last!"}}},
        },
    },
}
