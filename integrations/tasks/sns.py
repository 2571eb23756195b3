"""SNS: `arn:aws:states:::sns:publish`, plain and `.waitForTaskToken`.

With embedded topics, the message and its deliveries are committed with the task's success: exactly
once. Parameters and results have the names of AWS's SDK for Java, version 1. Recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Handler, TaskRequest, TaskResult, Transaction
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import embedded
from stepwell.integrations.aws.models import ParameterError, operation_of, read_input, to_api
from stepwell.integrations.host import Host
from stepwell.integrations.tasks.optimised import Service, failed

SERVICE: Final = Service("sns", "SNS", "AmazonSNS", "AmazonSNSException")
_LENGTH: Final = "294"  # of AWS's answer, which is XML
_LENGTH_FIFO: Final = "352"  # ours: with <SequenceNumber>


def actions(host: Host) -> dict[str, Handler]:
    elsewhere = SERVICE.actions(host)
    return {action: partial(_publish, host, handler) for action, handler in elsewhere.items()}


async def _publish(host: Host, elsewhere: Handler, request: TaskRequest) -> TaskResult:
    if not embedded(host, "sns"):
        return await elsewhere(request)
    operation, id = operation_of("sns", "Publish"), requests.request_id(request.token)
    assert operation is not None
    try:
        parameters = to_api(operation, request.payload, id)
    except ParameterError as fault:
        raise requests.bad_parameters(request.payload, str(fault)) from None
    sns = await host.services.get("sns")
    try:
        prepared: Transaction[Any] = sns.prepare(
            read_input("sns", "Publish", parameters),
            requests.request_id(f"{request.token}/message"),
        )
    except ApiError as error:
        raise failed(SERVICE, operation, error, id) from None
    return prepared.replying(_result(host, prepared.answer, id))


def _result(host: Host, answer: Mapping[str, Any], id: str) -> dict[str, Json]:
    length = _LENGTH_FIFO if "SequenceNumber" in answer else _LENGTH
    headers = {"x-amzn-RequestId": id, "connection": "keep-alive", "Content-Length": length}
    headers |= {"Date": requests.http_date(host.clock), "Content-Type": "text/xml"}
    return dict(sorted({**answer, **requests.sdk_metadata(headers, 200, id)}.items()))
