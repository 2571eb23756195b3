"""EventBridge: `arn:aws:states:::events:putEvents`, plain and `.waitForTaskToken`.

The events and their deliveries are committed with the task's success: exactly once. If some entries
are refused, the task fails, and the accepted ones are still published. Recorded.
"""

from functools import partial
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult, Transaction
from stepwell.integrations import messages as integrations_messages
from stepwell.integrations import requests
from stepwell.integrations.aws import messages
from stepwell.integrations.host import Host

_TEXTS: Final = ("Source", "DetailType", "Detail", "EventBusName", "TraceHeader")
_MEMBERS: Final = (*_TEXTS, "Time", "Resources")


def actions(host: Host) -> dict[str, Handler]:
    return {"putEvents": partial(_put_events, host)}


async def _put_events(host: Host, request: TaskRequest) -> TaskResult:
    payload = request.payload
    entries = requests.fields(payload, ("Entries",), ())["Entries"]
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="Entries")
        )
    request_id = requests.request_id(request.token)
    if not 1 <= len(entries) <= host.limits.event_entries:
        raise _refused(ApiError("ValidationException", _count(entries, host)), request_id)
    api_entries = [_entry(payload, each, request) for each in entries]
    events = await host.services.get("events")
    try:
        prepared: Transaction[Any] = events.prepare(
            api_entries,
            [requests.request_id(f"{request.token}/{n}") for n in range(len(api_entries))],
        )
    except ApiError as error:
        raise _refused(error, request_id) from None
    answer = prepared.answer
    result = {"Entries": answer["Entries"], "FailedEntryCount": answer["FailedEntryCount"]}
    if answer["FailedEntryCount"]:
        await host.records.commit(prepared)
        raise TaskError("EventBridge.FailedEntry", dumps(result))
    return prepared.replying(result)


def _count(entries: list[Any], host: Host) -> str:
    rule = (
        messages.RULE_LONGEST.format(limit=host.limits.event_entries)
        if entries
        else messages.RULE_SHORTEST.format(limit=1)
    )
    return engine_messages.VALIDATION.format(
        errors=messages.CONSTRAINT.format(value=dumps(entries), at="entries", rule=rule)
    )


def _entry(payload: Json, fields: dict[str, Any], request: TaskRequest) -> dict[str, Any]:
    """An entry of PutEvents: values other than strings become JSON; the ARNs of state machine and
    execution are added to the resources.
    """
    for name in fields:
        if name not in _MEMBERS:
            raise requests.bad_parameters(
                payload, integrations_messages.UNSUPPORTED_FIELD.format(field=name)
            )
    entry = {name: value for name, value in fields.items() if value is not None}
    for name in _TEXTS:
        if name in entry and not isinstance(entry[name], str):
            entry[name] = dumps(entry[name])
    resources = entry.get("Resources", [])
    if not isinstance(resources, list) or not all(isinstance(each, str) for each in resources):
        raise requests.bad_parameters(
            payload, integrations_messages.INVALID_FORMAT.format(field="Resources")
        )
    entry["Resources"] = [*resources, request.machine_arn, request.execution_arn]
    if "Time" in entry:
        entry["Time"] = _seconds(payload, entry["Time"])
    return entry


def _seconds(payload: Json, time: Json) -> float:
    from botocore.utils import parse_timestamp

    try:
        if isinstance(time, str | int | float):
            return float(parse_timestamp(time).timestamp())
    except (ValueError, RuntimeError, OverflowError):
        pass
    raise requests.bad_parameters(
        payload, integrations_messages.INVALID_FORMAT.format(field="Time")
    )


def _refused(error: ApiError, request_id: str) -> TaskError:
    return requests.service_error(
        "EventBridge.AmazonEventBridgeException",
        "AmazonEventBridge",
        400,
        error.code,
        error.message,
        request_id,
    )
