"""AWS Lambda: a function's ARN as Resource, and `arn:aws:states:::lambda:invoke`.

By ARN, input and result are the plain payloads, and the cause of an error is the function's own
text; `invoke` wraps the result in the answer of Lambda's Invoke operation, and re-encodes the cause
compactly. Both recorded.
"""

import base64
from functools import partial
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, dumps, encode, loads
from stepwell.engine.observers.trace_context import current_trace
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult, Transaction
from stepwell.integrations import messages as integrations_messages
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.host import FunctionTarget, Host
from stepwell.integrations.services.lambda_ import messages as lambda_messages
from stepwell.integrations.services.runtime.function import LATEST
from stepwell.integrations.services.runtime.pool import (
    BROKEN,
    INVALID_ZIP,
    THROTTLED,
    Answer,
    Call,
    Target,
    UnavailableError,
    answer_of,
    trace_id,
)
from stepwell.integrations.tasks import messages

UNKNOWN_ERROR: Final = "Lambda.Unknown"
_OPTIONAL: Final = ("Payload", "Qualifier", "InvocationType", "ClientContext", "LogType")
_STATUS: Final = {"RequestResponse": 200, "Event": 202, "DryRun": 204}
_REFUSED: Final = {THROTTLED: 429, BROKEN: 500, INVALID_ZIP: 502}
_LOG_TYPES: Final = ("None", "Tail")


def actions(host: Host) -> dict[str, Handler]:
    """ "": a function's ARN as Resource, or the name of a callable of this process."""
    return {"": partial(_run, host), "invoke": partial(_invoke, host)}


async def _run(host: Host, request: TaskRequest) -> Json:
    request_id = requests.request_id(request.token)
    target = _find(host, request.resource.text, "", request_id)
    answer = await _call(target, request.payload, _as_call(host, target, request, request_id))
    if answer.failed:
        raise TaskError(*_error(answer, answer.text))
    return answer.value


async def _invoke(host: Host, request: TaskRequest) -> TaskResult:
    """Lambda's Invoke. Result: {ExecutedVersion, (LogResult), Payload, SdkHttpMetadata,
    SdkResponseMetadata, StatusCode}.

    An event (InvocationType Event) is committed with the success of the task: exactly once.
    """
    fields = requests.fields(request.payload, ("FunctionName",), _OPTIONAL)
    text = partial(requests.text_field, request.payload, fields)
    kind, log_type = text("InvocationType", "RequestResponse"), text("LogType", "None")
    for field, value, allowed in (
        ("InvocationType", kind, _STATUS),
        ("LogType", log_type, _LOG_TYPES),
    ):
        if value not in allowed:
            raise requests.bad_parameters(
                request.payload, integrations_messages.INVALID_FORMAT.format(field=field)
            )
    client = _client_context(request.payload, text("ClientContext"))
    request_id = requests.request_id(request.token)
    target = _find(host, text("FunctionName"), text("Qualifier"), request_id)
    call = _as_call(host, target, request, request_id, client, log_type == "Tail")
    event = _event(fields.get("Payload", {}), request_id)  # recorded: a null arrives as {}
    if kind == "RequestResponse":
        answer = await _call(target, event, call)
        if answer.failed:
            raise TaskError(*_error(answer, dumps(answer.value)))
        return _wrapped(host, call, answer)
    headers = {
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": request_id,
        "Content-Length": "0",
    }
    headers |= {"Date": requests.http_date(host.clock), "X-Amzn-Trace-Id": call.trace}
    result = {
        "Payload": "",
        **requests.sdk_metadata(headers, _STATUS[kind], request_id),
        "StatusCode": _STATUS[kind],
    }  # unconfirmed
    if kind == "DryRun":
        return result
    functions = await host.services.get("lambda")
    prepared: Transaction[None] = functions.events.prepare(target.arn, event, request_id)
    return prepared.replying(result)


def _event(payload: Json, request_id: str) -> Json:
    """The function's input: a string in Payload is the JSON text itself, so "0.0" arrives as a
    number. Recorded.
    """
    if not isinstance(payload, str):
        return payload
    try:
        return loads(payload or "{}")
    except JsonError as error:  # unconfirmed: as Invoke refuses it
        text = lambda_messages.FUNCTION_PAYLOAD.format(problem=error.message)
        raise _lambda_error("InvalidRequestContentException", 400, text, request_id) from None


def _wrapped(host: Host, call: Call, answer: Answer) -> dict[str, Json]:
    """The answer of Invoke to a successful call."""
    log_result = base64.b64encode(answer.log).decode() if call.tail else ""
    headers = {"X-Amz-Log-Result": log_result} if call.tail else {}
    headers |= {
        "X-Amz-Executed-Version": call.version,
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": call.request_id,
        "Content-Length": str(len(answer.payload)),
        "Date": requests.http_date(host.clock),
        "X-Amzn-Trace-Id": call.trace,
        "Content-Type": "application/json",
    }
    result: dict[str, Json] = {"ExecutedVersion": call.version}
    if call.tail:
        result["LogResult"] = log_result
    return {
        **result,
        "Payload": answer.value,
        **requests.sdk_metadata(headers, 200, call.request_id),
        "StatusCode": 200,
    }


def _find(host: Host, reference: str, qualifier: str, request_id: str) -> FunctionTarget:
    target = host.functions.find(reference, qualifier) or _elsewhere(host, reference, qualifier)
    if target is None:
        host.functions.report_missing(reference)
        message = lambda_messages.FUNCTION_UNKNOWN.format(
            arn=host.functions.invoked_arn(reference, qualifier)
        )
        raise _lambda_error("ResourceNotFoundException", 404, message, request_id)
    return target


def _elsewhere(host: Host, reference: str, qualifier: str) -> Target | None:
    """A function outside, at the endpoint for Lambda or at AWS; None if neither may be called."""
    if not (host.outside.endpoints.keys() & {"lambda", ""} or host.outside.allow_aws):
        return None
    return Target(
        host.functions.arn(reference, qualifier),
        qualifier or LATEST,
        partial(_invoke_elsewhere, host, reference, qualifier),
    )


async def _invoke_elsewhere(
    host: Host, reference: str, qualifier: str, event: Json, call: Call
) -> Answer:
    """Raises TaskError."""
    parameters: dict[str, Any] = {
        "FunctionName": reference,
        "Payload": encode(event),
        "LogType": "Tail" if call.tail else "None",
    }
    if qualifier:
        parameters["Qualifier"] = qualifier
    if call.client is not None:
        parameters["ClientContext"] = base64.b64encode(encode(call.client)).decode()
    try:
        answer, _ = await host.outside.aws.call("lambda", "Invoke", parameters, host.home.region)
        return answer_of(
            answer["Payload"],
            "FunctionError" in answer,
            base64.b64decode(answer.get("LogResult", "")),
        )
    except ServiceError as fault:
        raise _lambda_error(
            fault.code or "SdkClientException",
            fault.status,
            fault.message,
            fault.request or call.request_id,
        ) from None
    except ValueError as error:  # nested too deep
        raise _lambda_error("AWSLambdaException", 502, str(error), call.request_id) from None


def _as_call(
    host: Host,
    target: FunctionTarget,
    request: TaskRequest,
    request_id: str,
    client: Json = None,
    tail: bool = False,
) -> Call:
    context = current_trace.get()
    trace = context.xray if context else trace_id(request_id, host.clock.now())
    return Call(
        request_id, target.arn, target.version, request.timeout, request.token, client, tail, trace
    )


async def _call(target: FunctionTarget, event: Json, call: Call) -> Answer:
    try:
        answer: Answer = await target.invoke(event, call)
        return answer
    except UnavailableError as error:
        raise _refused(error, call.request_id) from None


def _refused(error: UnavailableError, request_id: str) -> TaskError:
    return _lambda_error(error.code, _REFUSED[error.code], error.reason, request_id)


def _lambda_error(code: str, status: int, message: str, request_id: str) -> TaskError:
    return requests.service_error(f"Lambda.{code}", "AWSLambda", status, code, message, request_id)


def _error(answer: Answer, cause: str) -> tuple[str, str]:
    """Name and cause of the error in a function's payload."""
    name = answer.value.get("errorType") if isinstance(answer.value, dict) else None
    if isinstance(name, str) and name:
        return name, cause
    return UNKNOWN_ERROR, messages.FUNCTION_NO_ERROR_TYPE.format(payload=answer.text)


def _client_context(payload: Json, text: str) -> Json:
    """The object in a ClientContext: base64 of a JSON text."""
    if not text:
        return None
    try:
        value = loads(base64.b64decode(text, validate=True))
    except ValueError:  # neither base64 nor JSON
        value = None
    if not isinstance(value, dict):
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="ClientContext")
        )
    return value
