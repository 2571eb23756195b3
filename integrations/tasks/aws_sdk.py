"""`arn:aws:states:::aws-sdk:SERVICE:ACTION`: any operation of any service that botocore knows,
plain or `.waitForTaskToken`.

Parameters, results and errors have the names of AWS's SDK for Java, version 2; a result has no
metadata of HTTP. Recorded.
"""

from __future__ import annotations

import base64
import hashlib
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any, Final

from botocore.model import OperationModel

from stepwell.asl.evaluation import Json
from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import ServiceError, exchange
from stepwell.integrations.aws.models import (
    ParameterError,
    error_name,
    error_status,
    from_api,
    instant,
    java_name,
    operation_of,
    read_input,
    to_api,
)
from stepwell.integrations.host import Host
from stepwell.integrations.tasks import messages

_COUNTED: Final = ("Sfn",)  # services whose causes end with the number of attempts; recorded
# calls that wait for what is outside
_WAITING: Final = frozenset(
    {
        ("stepfunctions", "GetActivityTask"),
        ("sqs", "ReceiveMessage"),
    }
)


def _waiting(
    host: Host, request: TaskRequest, name: str, action: str
) -> AbstractAsyncContextManager[None]:
    """Around the call of an operation: what waits holds no slot."""
    if (name, action) == ("stepfunctions", "StartSyncExecution"):
        return request.waiting()
    return host.waiting(request) if (name, action) in _WAITING else nullcontext()


class _Actions(dict[str, Handler]):
    """ "sfn:startExecution" -> its handler, made at the first use."""

    def __init__(self, host: Host) -> None:
        super().__init__()
        self._host = host

    def get(self, key: str, default: Any = None) -> Any:
        if key not in self:
            name, _, action = key.partition(":")
            operation = operation_of(name, action)
            if operation is None:
                return default
            self[key] = partial(
                _call, self._host, operation.service_model.service_name, operation.name
            )
        return self[key]


def actions(host: Host) -> dict[str, Handler]:
    return _Actions(host)


async def _call(host: Host, name: str, action: str, request: TaskRequest) -> Json:
    operation = operation_of(name, action)
    assert operation is not None
    id = requests.request_id(request.token)
    try:
        parameters = to_api(operation, request.payload, id)
    except ParameterError as fault:
        raise requests.bad_parameters(request.payload, str(fault)) from None
    try:
        read_input(name, action, parameters, host.limits)
        async with _waiting(host, request, name, action):
            answer, _ = await exchange(host, name, action, parameters)
    except ApiError as error:
        raise _failed(
            operation,
            ServiceError(
                error.code, error.message, error_status(operation.service_model, error.code), id
            ),
        ) from None
    except ServiceError as fault:
        raise _failed(operation, fault) from None
    return from_api(operation.output_shape, answer, java_name, instant)


async def call_by_java_names(host: Host, name: str, action: str, payload: Json, id: str) -> None:
    """The same for schedules, without a result. Raises ApiError, ServiceError."""
    operation = operation_of(name, action)
    if operation is None:
        raise ApiError(
            "ResourceNotFoundException",
            engine_messages.NO_SERVICE.format(resource=f"aws-sdk:{name}:{action}"),
        )
    try:
        parameters = to_api(operation, payload, id)
    except ParameterError as error:
        raise ApiError("ValidationException", str(error)) from None
    service = operation.service_model.service_name
    read_input(service, operation.name, parameters, host.limits)
    await exchange(host, service, operation.name, parameters)


def _failed(operation: OperationModel, error: ServiceError) -> TaskError:
    model = operation.service_model
    prefix = java_name(str(model.service_id))
    if not error.status:
        return TaskError(f"{prefix}.SdkClientException", error.message)
    host_id = error.extended or (_host_id(error.request) if prefix == "S3" else "")
    extended = f", Extended Request ID: {host_id}" if host_id else ""
    cause = messages.SDK_FAULT.format(
        message=error.message,
        service=prefix,
        status=error.status,
        request=error.request,
        extended=extended,
    )
    name = error_name(model, error.code) or f"{prefix}Exception"
    return TaskError(
        f"{prefix}.{name}", cause + (messages.SDK_ATTEMPTS if prefix in _COUNTED else "")
    )


def _host_id(request: str) -> str:
    """S3's second request id, for endpoints that do not send one."""
    return base64.b64encode(hashlib.blake2b(request.encode(), digest_size=56).digest()).decode()
