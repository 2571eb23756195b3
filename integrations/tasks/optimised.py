"""Optimised integrations with services that are not embedded here: what their files share.

    actions = Service("batch", "Batch", "AWSBatch", jobs={"submitJob": Job(...)}).actions

Parameters and results have the names of AWS's SDK for Java, version 1, a result also what is known
of the exchange. `.sync` starts the job, stores its id, and asks how it stands after pauses that
grow; a later process finds the id and goes on asking. If the attempt is over before the job is, the
job is cancelled as well as that can be done.
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
    """How `.sync` follows what an action started. All names are the API's own.

    watch     the operation that tells how it stands
    about     (parameters of the start, its answer) -> parameters of `watch`
    status    where its answer has the status: a path of members and indexes
    good, bad the states in which it is over
    result    where the answer has what becomes the task's result; () is all of it
    cancel    (operation, (parameters of the start, its answer) -> its parameters), if it can be
              cancelled
    gone      code of the refusal that says the thing is there no more: good, if what was started
              deletes it succeeded judges an ended job where the status alone does not tell
    """

    watch: str
    about: Callable[[Members, Members], Members]
    status: tuple[str | int, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...] = ()
    result: tuple[str | int, ...] = ()
    cancel: tuple[str, Callable[[Members, Members], Members]] | None = None
    gone: str | None = None
    succeeded: Callable[[Any], bool] | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One service.

    name        in a Resource                    prefix  of its errors: "DynamoDB"
    label       as causes call it: "AmazonDynamoDBv2"
    general     its exception for codes that its model does not declare
    operations  action -> operation, where it is not the action with a capital
    runtime     action -> botocore's service, where it is another than `name`
    """

    name: str
    prefix: str
    label: str
    general: str
    jobs: Mapping[str, Job] = field(default_factory=dict)
    operations: Mapping[str, str] = field(default_factory=dict)
    runtime: Mapping[str, str] = field(default_factory=dict)
    shape: Mapping[str, Callable[[Json], Json]] = field(
        default_factory=dict
    )  # action -> its parameters as the operation has them
    of_text: Mapping[str, str] = field(
        default_factory=dict
    )  # structures that a plain string may stand for, see to_api

    def actions(self, host: Host) -> dict[str, Handler]:
        return {
            action: partial(_run, host, self, action)
            for name, action in ACTIONS
            if name == self.name
        }

    def operation(self, action: str) -> OperationModel:
        found = operation_of(
            self.runtime.get(action, self.name), self.operations.get(action, upper(action))
        )
        assert found is not None, f"{self.name}:{action} names no operation"
        return found


async def _run(host: Host, about: Service, action: str, request: TaskRequest) -> TaskResult:
    if not request.resource.pattern.startswith(".sync"):
        operation, id = about.operation(action), requests.request_id(request.token)
        parameters = _parameters(about, action, operation, request, id)
        answer, exchanged = await _exchange(host, about, operation, parameters, id)
        return _result(operation, answer, exchanged, id)
    key = f"jobs/{request.token}"
    try:
        result = await _follow(host, about, action, request, key)
    except TaskError:
        await host.records.write({key: None})
        raise
    return Transaction(result, {key: None})


# --- one call -------------------------------------------------------------------------------------


def _parameters(
    about: Service, action: str, operation: OperationModel, request: TaskRequest, id: str
) -> dict[str, Any]:
    shaped = about.shape.get(action, lambda payload: payload)(request.payload)
    try:
        return to_api(operation, shaped, id, about.of_text)
    except ParameterError as fault:
        raise requests.bad_parameters(request.payload, str(fault)) from None


async def _exchange(
    host: Host, about: Service, operation: OperationModel, parameters: Members, id: str
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    name = operation.service_model.service_name
    try:
        read_input(name, operation.name, parameters)
        return await exchange(host, name, operation.name, parameters)
    except ApiError as error:
        raise failed(about, operation, error, id) from None
    except ServiceError as fault:
        raise _failed(about, operation, fault) from None


def failed(about: Service, operation: OperationModel, error: ApiError, id: str) -> TaskError:
    """A refusal of an embedded service. `id` is that of the request."""
    model = operation.service_model
    return _failed(
        about,
        operation,
        ServiceError(
            error_code(model, error.code), error.message, error_status(model, error.code), id
        ),
    )


def _failed(about: Service, operation: OperationModel, fault: ServiceError) -> TaskError:
    if not fault.status:
        return TaskError(f"{about.prefix}.SdkClientException", fault.message)
    name = error_name(operation.service_model, fault.code) or about.general
    return requests.service_error(
        f"{about.prefix}.{name}",
        about.label,
        fault.status,
        fault.code,
        fault.message,
        fault.request,
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


async def _follow(host: Host, about: Service, action: str, request: TaskRequest, key: str) -> Json:
    """Start the job, or find it started, and wait for its end."""
    job, operation, id = (
        about.jobs[action],
        about.operation(action),
        requests.request_id(request.token),
    )
    known = await host.records.get(key) if request.again else None
    if known is None:
        parameters = _parameters(about, action, operation, request, id)
        answer, exchanged = await _exchange(host, about, operation, parameters, id)
        asked, cancelled = (
            job.about(parameters, answer),
            job.cancel and job.cancel[1](parameters, answer),
        )
        told = _result(operation, answer, exchanged, id)
        await host.records.write({key: pack({"asked": asked, "cancel": cancelled, "told": told})})
    else:
        stored = unpack(known)
        asked, cancelled, told = stored["asked"], stored["cancel"], stored["told"]
    await request.submitted(told)
    try:
        return await _ended(
            host, about, job, operation.service_model.service_name, asked, id, request
        )
    except asyncio.CancelledError:
        await _cancel(host, job, operation.service_model.service_name, cancelled, key)
        raise


async def _ended(
    host: Host, about: Service, job: Job, name: str, asked: Members, id: str, request: TaskRequest
) -> Json:
    watch = operation_of(name, job.watch)
    assert watch is not None
    pause = host.limits.job_pause_seconds
    while True:
        async with request.waiting():
            await sleep_until(host.clock, host.clock.now() + round(1000 * pause))
        pause = min(pause * 1.5, host.limits.job_pause_most_seconds)
        try:
            answer = await call(host, name, job.watch, asked)
        except ServiceError as fault:
            if job.gone is not None and fault.code == job.gone:
                return {}
            if (
                fault.status
                and fault.status < 500
                and fault.status != 429
                and "hrottl" not in fault.code
            ):
                raise _failed(about, watch, fault) from None
            log.info(
                "%s: asked again later: %s", job.watch, fault
            )  # the task's time limit ends this, if it has one
            continue
        status = _at(answer, job.status)
        if status in job.good or status in job.bad:
            ended = _at(answer, job.result)
            shown = _at(
                from_api(watch.output_shape, answer, upper, milliseconds),
                tuple(_shown(each) for each in job.result),
            )
            if status in job.bad or (job.succeeded is not None and not job.succeeded(ended)):
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
    """The attempt is over. If it is the engine that closes the job goes on, and the next process
    finds it.
    """
    try:
        await host.records.write({key: None})  # refused while the engine closes
        if job.cancel is not None and parameters is not None:
            await call(host, name, job.cancel[0], parameters)
    except (EngineError, ServiceError) as error:
        log.info("%s: the job was not cancelled: %s", name, error)
