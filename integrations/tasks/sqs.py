"""SQS: `arn:aws:states:::sqs:sendMessage`, plain and `.waitForTaskToken`.

A queue that is served here gets the message in one transaction with the task's success: exactly
once. Every refusal is an SQS.AmazonSQSException; recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult, Transaction
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import ServiceError, embedded, exchange
from stepwell.integrations.aws.models import (
    ParameterError,
    error_status,
    operation_of,
    query_codes,
    read_input,
    to_api,
)
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.queues import Outgoing

_OPERATION: Final = "SendMessage"
_REQUIRED: Final = ("QueueUrl", "MessageBody")
# keyword of the operation -> member of a message
_MEMBERS: Final = {
    "queue_url": "queue",
    "message_body": "body",
    "delay_seconds": "delay_seconds",
    "message_attributes": "attributes",
    "message_system_attributes": "system",
    "message_deduplication_id": "deduplication",
    "message_group_id": "group",
}


def actions(host: Host) -> dict[str, Handler]:
    return {"sendMessage": partial(_send, host)}


async def _send(host: Host, request: TaskRequest) -> TaskResult:
    id, operation = requests.request_id(request.token), operation_of("sqs", _OPERATION)
    assert operation is not None
    try:
        parameters = _parameters(operation, request, id)
        arguments = read_input("sqs", _OPERATION, parameters)
        if not embedded(host, "sqs"):
            answer, exchanged = await exchange(host, "sqs", _OPERATION, parameters)
            return _result(
                answer, exchanged.get("HTTPHeaders", {}), exchanged.get("RequestId") or id
            )
        sqs = await host.services.get("sqs")
        prepared: Transaction[list[Any]] = sqs.prepare(
            [Outgoing(**{_MEMBERS[name]: value for name, value in arguments.items()})]
        )
        (answered,) = prepared.answer
        if isinstance(answered, ApiError):
            raise answered
    except ApiError as error:
        code = (
            query_codes(operation.service_model).get(error.code, error.code).partition(";")[0]
        )  # as the SDK for Java, version 1, has it
        raise _refused(
            ServiceError(code, error.message, error_status(operation.service_model, error.code), id)
        ) from None
    except ServiceError as fault:
        raise _refused(fault) from None
    return prepared.replying(_result(answered, _headers(host, answered, id), id))


def _parameters(operation: Any, request: TaskRequest, id: str) -> dict[str, Any]:
    """Raises TaskError for a missing parameter; null is left to the service to refuse."""
    payload = request.payload
    fields = payload if isinstance(payload, dict) else {}
    if any(name not in fields for name in _REQUIRED):
        requests.fields(fields, _REQUIRED, tuple(fields))
    try:
        return to_api(operation, fields, id)
    except ParameterError as error:
        raise requests.bad_parameters(payload, str(error)) from None


def _headers(host: Host, answer: Mapping[str, Any], id: str) -> dict[str, str]:
    """The headers of the service's answer."""
    length = str(len(dumps(dict(answer))))
    headers = {
        "x-amzn-RequestId": id,
        "connection": "keep-alive",
        "Content-Length": length,
        "Date": requests.http_date(host.clock),
    }
    return headers | {"Content-Type": "application/x-amz-json-1.0"}


def _result(answer: Mapping[str, Any], headers: Mapping[str, Any], id: str) -> dict[str, Json]:
    texts = {str(name): str(value) for name, value in headers.items()}
    members = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    return dict(sorted({**members, **requests.sdk_metadata(texts, 200, id)}.items()))


def _refused(error: ServiceError) -> TaskError:
    if not error.status:
        return TaskError("SQS.SdkClientException", error.message)
    return requests.service_error(
        "SQS.AmazonSQSException",
        "AmazonSQS",
        error.status,
        error.code,
        error.message,
        error.request,
    )
