"""Nested executions: `arn:aws:states:::states:startExecution`, plain, `.sync`, `.sync:2` and
`.waitForTaskToken`.

A start that is repeated after a crash finds the execution that the first one started, by its name:
from the parameters, or derived from the task token: the first that belongs to the parent's shard.
Nothing polls.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps, loads
from stepwell.asl.resources import SYNC_2
from stepwell.engine.arns import execution_arn, split_case
from stepwell.engine.errors import ApiError, EngineError
from stepwell.engine.sharding import Shard
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations import requests
from stepwell.integrations.aws.models import upper
from stepwell.integrations.aws.peer_calls import until_answered
from stepwell.integrations.host import Executions, Host
from stepwell.integrations.tasks import messages

log: Final = logging.getLogger("stepwell.states")

Answer = Mapping[str, Any]

_SERVICE: Final = "AWSStepFunctions"
_ALREADY: Final = "ExecutionAlreadyExists"
# members of the description in the result, in this order; a failed execution has none of
# _ONLY_SUCCEEDED
_SHOWN: Final = (
    "cause",
    "error",
    "executionArn",
    "input",
    "inputDetails",
    "name",
    "output",
    "outputDetails",
)
_ONLY_SUCCEEDED: Final = (
    "output",
    "outputDetails",
    "redriveCount",
    "redriveStatus",
    "redriveStatusReason",
)
_SHOWN_LAST: Final = (
    "redriveCount",
    "redriveStatus",
    "redriveStatusReason",
    "startDate",
    "stateMachineArn",
    "status",
    "stopDate",
)
# members of the result of .sync
RESULT: Final = tuple(map(upper, (*_SHOWN, *_SHOWN_LAST)))


def actions(host: Host) -> dict[str, Handler]:
    return {"startExecution": partial(_start_execution, host)}


async def _start_execution(host: Host, request: TaskRequest) -> Json:
    executions = host.executions
    if executions is None:
        raise TaskError(asl_messages.RUNTIME, messages.NO_ENGINE, runtime=True)
    request_id = requests.request_id(request.token)
    started = await _start(host, executions, request, request_id)
    arn = started["executionArn"]
    body = dumps({"executionArn": arn, "startDate": _milliseconds(started["startDate"]) / 1000})
    headers = {
        "x-amzn-RequestId": request_id,
        "connection": "keep-alive",
        "Content-Length": str(len(body)),
    }
    headers |= {
        "Date": requests.http_date(host.clock),
        "Content-Type": "application/x-amz-json-1.0",
    }
    metadata = requests.sdk_metadata(headers, 200, request_id)
    answer = {"ExecutionArn": arn, **metadata, "StartDate": _milliseconds(started["startDate"])}
    if not request.resource.pattern.startswith(".sync"):
        return answer
    await request.submitted(answer)
    async with request.waiting():
        ended = await _ended(host, executions, arn, request_id)
    return _result(ended, request.resource.pattern == SYNC_2)


async def _start(
    host: Host, executions: Executions, request: TaskRequest, request_id: str
) -> Answer:
    """executionArn and startDate. A repeated start may find that the first one succeeded."""
    payload, shard = request.payload, Shard() if host.engine is None else host.engine.shard
    fields = requests.fields(payload, ("StateMachineArn",), ("Input", "Name", "TraceHeader"))
    machine = requests.text_field(payload, fields, "StateMachineArn")
    plain = ":".join(split_case(machine)[0].split(":")[:7])  # without a version or an alias
    own, _ = shard.draw(partial(execution_arn, plain), requests.request_ids(request.token))
    name = requests.text_field(payload, fields, "Name", own)
    data = fields.get("Input", {})
    text = data if isinstance(data, str) else dumps(data)

    async def start(again: bool) -> Answer:
        try:
            return await executions.start_nested_execution(machine, name=name, input=text)
        except ApiError as error:
            if error.code != _ALREADY or not again:
                raise _refused(error, request_id) from None
        return await executions.describe_execution(execution_arn(plain, name))

    return await until_answered(host, start, again=request.again, waiting=request.waiting)


async def _ended(host: Host, executions: Executions, arn: str, request_id: str) -> Answer:
    """The description of an ended execution. If the attempt ends first, the execution is stopped if
    possible. It is not if the engine closes or its store has failed: the next owner repeats the
    start and finds the execution.
    """
    try:
        return await until_answered(host, lambda again: executions.wait(arn))
    except ApiError as error:
        raise _refused(error, request_id) from None
    except asyncio.CancelledError:
        try:
            if host.engine is not None:
                host.engine.worker.check()
            await executions.stop_execution(arn)
        except EngineError as error:
            log.info("the nested execution %s was not stopped: %s", arn, error)
        raise


def _result(description: Answer, parsed: bool) -> Json:
    """The description in the casing of task results; raises TaskError if it did not succeed."""
    succeeded = description["status"] == "SUCCEEDED"
    result = {
        name[0].upper() + name[1:]: _shown(name, description[name])
        for name in (*_SHOWN, *_SHOWN_LAST)
        if description.get(name) is not None and (succeeded or name not in _ONLY_SUCCEEDED)
    }
    if not succeeded:
        raise TaskError(asl_messages.TASK_FAILED, dumps(result))
    if parsed:
        result["Output"] = loads(result["Output"])
    return result


def _shown(name: str, value: Any) -> Json:
    if name in ("startDate", "stopDate"):
        return _milliseconds(value)
    return (
        {key[0].upper() + key[1:]: each for key, each in value.items()}
        if isinstance(value, Mapping)
        else value
    )


def _milliseconds(seconds: float) -> int:
    """Dates in results of optimised integrations."""
    return round(seconds * 1000)


def _refused(error: ApiError, request_id: str) -> TaskError:
    """Codes get the suffix Exception; codes that the API's model does not declare become the
    client's general exception.
    """
    code = error.code
    name = (
        "AWSStepFunctionsException"
        if code == "ValidationException"
        else code
        if code.endswith("Exception")
        else f"{code}Exception"
    )
    return requests.service_error(
        f"StepFunctions.{name}", _SERVICE, 400, code, error.message, request_id
    )
