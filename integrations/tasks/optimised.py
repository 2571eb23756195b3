"""What the optimised integrations with services outside share.

    actions = Service("batch", "Batch", "AWSBatch", jobs={"submitJob": Job(...)}).actions

Parameters and results have the names of AWS's SDK for Java, version 1; a result also has the
metadata of HTTP. `.sync` starts the job, stores its id, and polls its status with growing pauses; a
later process resumes polling. If the attempt ends before the job, the job is cancelled if possible.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.model import OperationModel

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import dumps
from stepwell.asl.resources import ACTIONS
from stepwell.engine.clock import sleep_until
from stepwell.engine.errors import ApiError, EngineError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult, Transaction
from stepwell.integrations import requests
from stepwell.integrations.aws.calls import ServiceError, call, exchange
from stepwell.integrations.aws.models import (
    ParameterError,
    error_code,
    error_name,
    error_status,
    from_api,
    milliseconds,
    operation_of,
    read_input,
    to_api,
    upper,
)
from stepwell.integrations.host import Host
from stepwell.integrations.services.common.tables import pack, unpack

log: Final = logging.getLogger("stepwell.jobs")

Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """How `.sync` follows what an action has started. All names are the API's.

    poll         the operation that returns the status
    parameters   (parameters of the start, its answer) -> parameters of `poll`
    status       path of members and indexes to the status in the answer of `poll`
    success      statuses of an ended job that succeeded
    failure      statuses of an ended job that failed
    result       path to the task's result in the answer of `poll`; (): all of it
    cancel       (operation, (parameters of the start, its answer) -> its parameters), or None
    deleted      error code of `poll` that means success, for actions that delete something
    is_success   whether an ended job succeeded, if its status does not tell
    inside       member of the task's result that has it all; None: it is the result itself
    """

    poll: str
    parameters: Callable[[Members, Members], Members]
    status: tuple[str | int, ...]
    success: tuple[str, ...]
    failure: tuple[str, ...] = ()
    result: tuple[str | int, ...] = ()
    cancel: tuple[str, Callable[[Members, Members], Members]] | None = None
    deleted: str | None = None
    is_success: Callable[[Any], bool] | None = None
    inside: str | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    name         in a Resource: "dynamodb"
    prefix       of error names: "DynamoDB"
    label        in causes: "AmazonDynamoDBv2"
    general      exception for codes that the model does not declare
    operations   action -> operation, if it is not the action with a capital
    runtime      action -> botocore's service, if it is not `name`
    reshape      action -> function from the task's parameters to the operation's
    text_member  structure -> member that a plain string stands for, see to_api
    """

    name: str
    prefix: str
    label: str
    general: str
    jobs: Mapping[str, Job] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    reshape: Mapping[str, Callable[[Json], Json]] = field(default_factory=dict)
    text_member: Mapping[str, str] = field(default_factory=dict)

    def actions(self, host: Host) -> dict[str, Handler]:
        return {
            action: partial(_run, host, self, action)
            for name, action in ACTIONS
            if name == self.name
        }

    def operation(self, action: str) -> OperationModel:
        operation = operation_of(
            self.runtime.get(action, self.name), self.operations.get(action, upper(action))
        )
        assert operation is not None, f"{self.name}:{action} names no operation"
        return operation


async def _run(host: Host, service: Service, action: str, request: TaskRequest) -> TaskResult:
    if not request.resource.pattern.startswith(".sync"):
        operation, id = service.operation(action), requests.request_id(request.token)
        parameters = _parameters(service, action, operation, request, id)
        answer, exchanged = await _exchange(host, service, operation, parameters, id)
        return _result(operation, answer, exchanged, id)
    key = f"jobs/{request.token}"
    try:
        result = await _follow(host, service, action, request, key)
    except TaskError:
        await host.records.write({key: None})
        raise
    return Transaction(result, {key: None})


# --- one call -------------------------------------------------------------------------------------


def _parameters(
    service: Service, action: str, operation: OperationModel, request: TaskRequest, id: str
) -> dict[str, Any]:
    shaped = service.reshape.get(action, lambda payload: payload)(request.payload)
    try:
        return to_api(operation, shaped, id, service.text_member)
    except ParameterError as error:
        raise requests.bad_parameters(request.payload, str(error)) from None


async def _exchange(
    host: Host, service: Service, operation: OperationModel, parameters: Members, id: str
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    name = operation.service_model.service_name
    try:
        read_input(name, operation.name, parameters, host.limits)
        return await exchange(host, name, operation.name, parameters)
    except ApiError as error:
        raise failed(service, operation, error, id) from None
    except ServiceError as fault:
        raise _failed(service, operation, fault) from None


def failed(service: Service, operation: OperationModel, error: ApiError, id: str) -> TaskError:
    """The failure of a task that an embedded service has refused. id: of the request."""
    model = operation.service_model
    return _failed(
        service,
        operation,
        ServiceError(
            error_code(model, error.code), error.message, error_status(model, error.code), id
        ),
    )


def _failed(service: Service, operation: OperationModel, error: ServiceError) -> TaskError:
    if not error.status:
        return TaskError(f"{service.prefix}.SdkClientException", error.message)
    name = error_name(operation.service_model, error.code) or service.general
    return requests.service_error(
        f"{service.prefix}.{name}",
        service.label,
        error.status,
        error.code,
        error.message,
        error.request,
    )


def _result(
    operation: OperationModel, answer: Members, exchanged: Members, id: str
) -> dict[str, Json]:
    headers = {str(name): str(value) for name, value in exchanged.get("HTTPHeaders", {}).items()}
    metadata = requests.sdk_metadata(
        headers, exchanged.get("HTTPStatusCode", 200), exchanged.get("RequestId") or id
    )
    shown: Any = from_api(operation.output_shape, answer, upper, milliseconds)
    return dict(sorted({**shown, **metadata}.items()))


# --- jobs -----------------------------------------------------------------------------------------


async def _follow(
    host: Host, service: Service, action: str, request: TaskRequest, key: str
) -> Json:
    """Start the job, or resume one that was started, and wait for its end."""
    job, operation, id = (
        service.jobs[action],
        service.operation(action),
        requests.request_id(request.token),
    )
    known = await host.records.get(key) if request.again else None
    if known is None:
        parameters = _parameters(service, action, operation, request, id)
        answer, exchanged = await _exchange(host, service, operation, parameters, id)
        poll_parameters, cancel_parameters = (
            job.parameters(parameters, answer),
            job.cancel and job.cancel[1](parameters, answer),
        )
        submitted = _result(operation, answer, exchanged, id)
        await host.records.write(
            {key: pack({"asked": poll_parameters, "cancel": cancel_parameters, "told": submitted})}
        )
    else:
        stored = unpack(known)
        poll_parameters, cancel_parameters, submitted = (
            stored["asked"],
            stored["cancel"],
            stored["told"],
        )
    await request.submitted(submitted)
    try:
        return await _ended(
            host, service, job, operation.service_model.service_name, poll_parameters, id, request
        )
    except asyncio.CancelledError:
        await _cancel(host, job, operation.service_model.service_name, cancel_parameters, key)
        raise


async def _ended(
    host: Host,
    service: Service,
    job: Job,
    name: str,
    poll_parameters: Members,
    id: str,
    request: TaskRequest,
) -> Json:
    operation = operation_of(name, job.poll)
    assert operation is not None
    pause = host.limits.job_pause_seconds
    while True:
        async with host.waiting(request):
            await sleep_until(host.clock, host.clock.now() + round(1000 * pause))
        pause = min(pause * 1.5, host.limits.job_pause_most_seconds)
        try:
            answer = await call(host, name, job.poll, poll_parameters)
        except ServiceError as error:
            if job.deleted is not None and error.code == job.deleted:
                return {}
            if (
                error.status
                and error.status < 500
                and error.status != 429
                and "hrottl" not in error.code
            ):
                raise _failed(service, operation, error) from None
            # the task's time limit ends this, if it has one
            log.info("%s: polled again later: %s", job.poll, error)
            continue
        status = _at(answer, job.status)
        if status in job.success or status in job.failure:
            ended = _at(answer, job.result)
            shown = _at(
                from_api(operation.output_shape, answer, upper, milliseconds),
                tuple(_shown(each) for each in job.result),
            )
            if job.inside is not None:
                shown = {job.inside: shown}
            if status in job.failure or (job.is_success is not None and not job.is_success(ended)):
                raise TaskError(messages.TASK_FAILED, dumps(shown))
            return shown


def _shown(step: str | int) -> str | int:
    return upper(step) if isinstance(step, str) else step


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


async def _cancel(host: Host, job: Job, name: str, parameters: Members | None, key: str) -> None:
    """Cancel the job of an ended attempt. When the engine closes, the job continues, and the next
    process resumes polling.
    """
    try:
        await host.records.write({key: None})  # refused while the engine closes
        if job.cancel is not None and parameters is not None:
            await call(host, name, job.cancel[0], parameters)
    except (EngineError, ServiceError) as error:
        log.info("%s: the job was not cancelled: %s", name, error)
