"""The targets of rules and schedules: a table from the service in a target's ARN to the call that
sends the payload.

A call has the delivery's id wherever the target uses it to recognise a repetition: as the name of
an execution, or as a deduplication id. A refusal becomes DeliveryError, with the code for
dead-letter queues.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import JsonError, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import SHARD_SECONDS, ServiceError, call, embedded
from stepwell.integrations.aws.peer_calls import until_answered
from stepwell.integrations.host import LostAnswerError, UnreachableError
from stepwell.integrations.services.common import messages
from stepwell.integrations.services.common.deliveries import DeliveryError
from stepwell.integrations.services.common.queues import send_to_queue
from stepwell.integrations.services.common.tables import Document

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

log: Final = logging.getLogger("stepwell.deliveries")

Target = Mapping[str, Any]  # members of EventBridge's Target
# (host, ARN, target, payload: JSON text, id of the delivery) -> what a target in the same database
# stores
Send = Callable[["Host", str, Target, str, str], Awaitable[Transaction[Any] | None]]

# error code of a service -> (code for dead-letter queues, whether a retry may succeed)
_CODES: Final = {
    "AccessDenied": ("NO_PERMISSIONS", False),
    "AccessDeniedException": ("NO_PERMISSIONS", False),
    "AuthorizationError": ("NO_PERMISSIONS", False),
    "AuthorizationErrorException": ("NO_PERMISSIONS", False),
    "ThrottlingException": ("THROTTLING", True),
    "TooManyRequestsException": ("THROTTLING", True),
    "Throttled": ("THROTTLING", True),
    "RequestThrottled": ("THROTTLING", True),
}
_MISSING: Final = ("DoesNotExist", "NotFound", "NonExistentQueue", "NotFoundException")
_REFUSED: Final = (
    "ValidationException",
    "InvalidArn",
    "InvalidExecutionInput",
    "InvalidName",
    "InvalidParameterValue",
    "InvalidParameter",
    "InvalidParameterException",
    "InvalidRequestContentException",
    "RequestTooLargeException",
    "InvalidMessageContents",
    "MissingParameter",
    "UnsupportedOperation",
)


async def deliver(host: Host, target: Target, payload: str, id: str) -> Transaction[Any] | None:
    """Send a payload to a target. The caller commits the transaction with the end of the delivery.
    Raises DeliveryError.
    """
    arn: str = target["Arn"]
    parts = arn.split(":", 5)
    send = TARGETS.get(parts[2] if len(parts) == 6 else "")
    if send is None:
        raise DeliveryError("NO_RESOURCE", messages.TARGET_UNKNOWN.format(arn=arn), False)
    try:
        return await send(host, arn, target, payload, id)
    except (ApiError, ServiceError) as error:
        raise delivery_error(error) from None


def delivery_error(error: ApiError | ServiceError) -> DeliveryError:
    """The DeliveryError for a refusal."""
    code = error.code
    if code in _CODES:
        name, again = _CODES[code]
    elif any(code.endswith(each) for each in _MISSING):
        name, again = "NO_RESOURCE", False
    else:
        name, again = "SDK_CLIENT_ERROR", code not in _REFUSED
    return DeliveryError(name, error.message, again)


async def _states(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    executions = host.executions
    assert executions is not None
    name = target.get("ExecutionNamePrefix", "") + requests.request_id(id)
    try:
        await until_answered(
            host,
            lambda again: executions.start_execution(arn, name=name, input=payload),
            seconds=SHARD_SECONDS,
        )
    except (UnreachableError, LostAnswerError) as error:
        raise DeliveryError("SDK_CLIENT_ERROR", str(error)) from None
    except ApiError as error:
        if error.code != "ExecutionAlreadyExists":  # else an earlier attempt started it
            raise


async def _lambda(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    await call(
        host,
        "lambda",
        "Invoke",
        {"FunctionName": arn, "InvocationType": "Event", "Payload": payload.encode()},
    )


async def _sqs(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    await send_to_queue(
        host, arn, payload, group=(target.get("SqsParameters") or {}).get("MessageGroupId"), id=id
    )


async def to_dead_letters(
    host: Host, arn: str, body: str, attributes: Mapping[str, str], id: str
) -> None:
    """Send a failed delivery to a dead-letter queue. A failure of this is only logged."""
    try:
        await send_to_queue(host, arn, body, attributes, id=id)
    except (ApiError, ServiceError) as error:
        log.error("%s: the dead-letter queue %s did not take it: %s", id, arn, error)


async def _sns(
    host: Host, arn: str, target: Target, payload: str, id: str
) -> Transaction[Any] | None:
    message: dict[str, Any] = {"TopicArn": arn, "Message": payload}
    if target.get("MessageStructure"):
        message["MessageStructure"] = target["MessageStructure"]
    if arn.endswith(".fifo"):
        message |= {"MessageGroupId": "default", "MessageDeduplicationId": requests.request_id(id)}
    from stepwell.integrations.aws.models import read_input  # imported late: so is botocore

    if not embedded(host, "sns"):
        await call(host, "sns", "Publish", message)
        return None
    sns = await host.services.get("sns")
    prepared: Transaction[Any] = sns.prepare(
        read_input("sns", "Publish", message), requests.request_id(id)
    )
    return prepared


async def _events(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    """An API destination, or a bus."""
    events = await host.services.get("events")
    if ":api-destination/" in arn:
        await events.invoke_destination(arn, target, payload)
    else:  # of a schedule; rules send to buses in events/publishing.py
        about = target.get("EventBridgeParameters") or {"Source": "", "DetailType": ""}
        entry = {
            "Source": about["Source"],
            "DetailType": about["DetailType"],
            "Detail": payload,
            "EventBusName": arn,
        }
        (answered,) = (await events.put_events(entries=[entry]))["Entries"]
        if "ErrorCode" in answered:
            raise DeliveryError("SDK_CLIENT_ERROR", answered["ErrorMessage"], False)


def _name(arn: str) -> str:
    return arn.rpartition("/")[2]


async def _kinesis(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    about = target.get("KinesisParameters") or {}
    key = about.get("PartitionKey") or hashlib.md5(id.encode()).hexdigest()
    await call(
        host,
        "kinesis",
        "PutRecord",
        {"StreamName": _name(arn), "Data": payload.encode(), "PartitionKey": key},
    )


async def _firehose(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    await call(
        host,
        "firehose",
        "PutRecord",
        {"DeliveryStreamName": _name(arn), "Record": {"Data": payload.encode()}},
    )


async def _batch(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    about = target.get("BatchParameters") or {}
    job = {
        "jobName": about.get("JobName"),
        "jobQueue": arn,
        "jobDefinition": about.get("JobDefinition"),
    }
    await call(host, "batch", "SubmitJob", {name: value for name, value in job.items() if value})


async def _ecs(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    about = target.get("EcsParameters") or {}
    lowered = {
        name[0].lower() + name[1:]: value
        for name, value in about.items()
        if name in ("LaunchType", "PlatformVersion", "Group")
    }
    task = {
        "cluster": arn,
        "taskDefinition": about.get("TaskDefinitionArn"),
        "count": about.get("TaskCount", 1),
        **lowered,
    }
    given = _object(payload)
    await call(
        host,
        "ecs",
        "RunTask",
        task | ({"overrides": given} if "containerOverrides" in given else {}),
    )


async def _codebuild(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    await call(host, "codebuild", "StartBuild", {"projectName": _name(arn), **_object(payload)})


async def _codepipeline(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    await call(host, "codepipeline", "StartPipelineExecution", {"name": arn.rpartition(":")[2]})


async def _universal(host: Host, arn: str, target: Target, payload: str, id: str) -> None:
    """arn:aws:scheduler:::aws-sdk:SERVICE:ACTION, whose parameters are the payload."""
    from stepwell.integrations.tasks import aws_sdk

    _, _, name, action = arn.rsplit(":", 3)
    await aws_sdk.call_by_java_names(host, name, action, _object(payload), requests.request_id(id))


def _object(payload: str) -> dict[str, Any]:
    try:
        value = loads(payload)
    except JsonError:
        value = None
    return value if isinstance(value, dict) else {}


TARGETS: Final[Mapping[str, Send]] = {
    "batch": _batch,
    "codebuild": _codebuild,
    "codepipeline": _codepipeline,
    "ecs": _ecs,
    "events": _events,
    "firehose": _firehose,
    "kinesis": _kinesis,
    "lambda": _lambda,
    "scheduler": _universal,
    "sns": _sns,
    "sqs": _sqs,
    "states": _states,
}


async def dead_letter(
    host: Host, document: Document, error: DeliveryError, limit: str, about: Mapping[str, str]
) -> None:
    """Send a failed delivery to the dead-letter queue of its target, if it has one."""
    arn = (document["target"].get("DeadLetterConfig") or {}).get("Arn")
    if arn is None:
        return
    attributes = {
        **about,
        "ERROR_CODE": error.code,
        "ERROR_MESSAGE": error.message[:1024],
        "EXHAUSTED_RETRY_CONDITION": limit,
    }
    attributes["RETRY_ATTEMPTS"] = str(document["attempts"] - 1)
    await to_dead_letters(host, arn, document["payload"], attributes, document["id"])
