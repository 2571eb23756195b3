"""Tasks of embedded services whose execution is on another shard than the services: the whole
attempt is sent to home, where integrations/cluster/tasks.py carries it out.

    Registry --routed()--> the handler here | sent() --"tasks", "run"--> the handler at home

Home commits what the task stores with a marker under marker_key(token), which holds the result.
The sender deletes the marker in the commit of the task's success. So an attempt that is sent again,
after a lost answer or a crash of either side, takes effect once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.json_text import encode, loads
from stepwell.asl.resources import Resource
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import EngineError
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult, Transaction, in_line
from stepwell.integrations.aws.calls import embedded
from stepwell.integrations.aws.peer_calls import until_answered
from stepwell.integrations.host import Host, Peers
from stepwell.integrations.services.common.tables import readable, unchanged

if TYPE_CHECKING:
    from stepwell.engine.runtime.records import Records

log: Final = logging.getLogger("stepwell.cluster")

HOME: Final = 0
SERVICE: Final = "tasks"
CALLERS: Final = "task_callers"
# What an attempt at home does: it works, waits for other work (TaskRequest.waiting), or for
# a scarce resource (tasks.in_line).
WORKING, WAITING, IN_LINE = "working", "waiting", "in_line"
_SDK: Final = "aws-sdk:"
_FUNCTIONS: Final = "lambda/function/"  # records of the functions that Lambda's API created
_FUNCTION_SECONDS: Final = 1.0  # for which it is remembered that a function was created
_waiting: Final[set[str]] = set()  # calls of this process that wait for home
_cancelling: Final[set[asyncio.Task[None]]] = set()


def marker_key(token: str) -> str:
    """The record that an attempt was carried out."""
    return f"task/answer/{token}"


async def marked(records: Records, token: str) -> bytes | None:
    """The JSON text of the result in an attempt's marker; None without one."""
    key = marker_key(token)
    found = await records.get(key)
    marker = None if found is None else readable(key, found, unchanged)
    return None if marker is None else marker["result"].encode()


def result_of(token: str, text: bytes, is_marked: bool) -> TaskResult:
    """The result of an attempt, from its JSON text. Success deletes the marker."""
    result: Any = Payload(loads(text), text)
    return Transaction(result, {marker_key(token): None}) if is_marked else result


# --- where an attempt is carried out --------------------------------------------------------------


def routed(host: Host, resource: Resource, handler: Handler) -> Handler:
    """The handler of a resource on another shard than home. handler: the one of this process."""
    service = resource.service
    if service == "events" or (service == "sqs" and embedded(host, "sqs")):
        return _Sender(host)
    if service == "sns":
        return _Sender(host) if embedded(host, "sns") else handler
    if service == "http":
        return _Routed(handler, _Sender(host), _has_connection)
    if service == "lambda":
        return _Routed(handler, _Sender(host), _CreatedFunctions(host))
    if service.startswith(_SDK) and _embedded_sdk(host, service, resource.action):
        return _Sender(host)
    return handler


def _embedded_sdk(host: Host, service: str, action: str) -> bool:
    from stepwell.integrations.aws.models import operation_of  # imported late: so is botocore

    operation = operation_of(service.removeprefix(_SDK), action)
    name = operation.service_model.service_name if operation is not None else ""
    return name in host.services and embedded(host, name)


class _Routed:
    """A handler that sends those attempts home that must be carried out there."""

    def __init__(self, here: Handler, at_home: Handler, needs_home: Any) -> None:
        self._here, self._at_home, self._needs_home = here, at_home, needs_home

    async def __call__(self, request: TaskRequest) -> TaskResult:
        needed = await self._needs_home(request)
        return await (self._at_home if needed else self._here)(request)


async def _has_connection(request: TaskRequest) -> bool:
    """Whether an HTTP task needs the credentials of a connection."""
    payload = request.payload
    return isinstance(payload, dict) and any(
        payload.get(name) is not None for name in ("Authentication", "InvocationConfig")
    )


class _CreatedFunctions:
    """Whether an attempt invokes a function that Lambda's API created, or sends an event: the
    others run in this process.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._until: dict[str, float] = {}  # function of this process -> when to look again

    async def __call__(self, request: TaskRequest) -> bool:
        payload: Any = request.payload
        reference: Any = request.resource.text
        qualifier: Any = ""
        if request.resource.kind == "service":  # lambda:invoke
            if not isinstance(payload, dict):
                return False
            if payload.get("InvocationType") == "Event":
                return True
            reference, qualifier = payload.get("FunctionName"), payload.get("Qualifier") or ""
            if not (isinstance(reference, str) and isinstance(qualifier, str)):
                return False
        host, now = self._host, asyncio.get_running_loop().time()
        name, _ = host.functions.parse(reference, qualifier)
        if name is None or now < self._until.get(name, 0):
            return False
        if await host.records.get(f"{_FUNCTIONS}{name}") is not None:
            return True
        if host.functions.find(reference, qualifier) or not embedded(host, "lambda"):
            self._until[name] = now + _FUNCTION_SECONDS
        return False


# --- sending --------------------------------------------------------------------------------------


class _Sender:
    """The handler that has home carry out an attempt."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def __call__(self, request: TaskRequest) -> TaskResult:
        peers, caller = self._host.peers, secrets.token_hex(8)
        assert peers is not None
        try:
            answer = await self._answer(peers, request, caller)
        except asyncio.CancelledError:
            cancelling = asyncio.create_task(_cancel(peers, request.token, caller))
            _cancelling.add(cancelling)
            cancelling.add_done_callback(_cancelling.discard)
            raise
        if "result" not in answer:
            raise TaskError(answer["error"], answer["cause"], answer["runtime"])
        return result_of(request.token, answer["result"], answer["marked"])

    async def _answer(self, peers: Peers, request: TaskRequest, caller: str) -> dict[str, Any]:
        """Send an attempt until home has answered. It holds no slot while home cannot be
        reached.
        """
        message = _message(request) | {
            "shard": peers.shard,
            "opening": peers.opening,
            "caller": caller,
            "known": WORKING,
        }
        again = request.again

        async def run(again: bool) -> dict[str, Any]:
            call = secrets.token_hex(8)
            _waiting.add(call)
            try:
                async with _as_at_home(request, message["known"]):
                    answer: dict[str, Any] = await peers.call(
                        HOME, SERVICE, "run", message | {"again": again, "call": call}
                    )
            finally:
                _waiting.discard(call)
            return answer

        while "state" in (
            answer := await until_answered(self._host, run, again=again, waiting=request.waiting)
        ):
            again, message["known"] = True, answer["state"]
        return answer


def _message(request: TaskRequest) -> dict[str, Any]:
    return {
        "token": request.token,
        "resource": request.resource.text,
        "payload": encode(request.payload),
        "timeout": request.timeout,
        "heartbeat": request.heartbeat,
        "execution_arn": request.execution_arn,
        "machine_arn": request.machine_arn,
        "state_name": request.state_name,
        "role_arn": request.role_arn,
    }


def _as_at_home(request: TaskRequest, state: str) -> AbstractAsyncContextManager[None]:
    """The attempt waits here as it does at home."""
    if state == WAITING:
        return request.waiting()
    return in_line.get()() if state == IN_LINE else nullcontext()


class TaskCallers:
    """The service "task_callers" of the other shards."""

    async def waits(self, *, call: str) -> bool:
        """Whether a call waits for home; else it has been repeated, or its attempt is over."""
        return call in _waiting


async def _cancel(peers: Peers, token: str, caller: str) -> None:
    """The attempt is over. If home does not hear of it, the work is done in vain."""
    try:
        await peers.call(HOME, SERVICE, "cancel", {"token": token, "caller": caller})
    except EngineError as error:
        log.info("%s: its end was not sent home: %s", token, error)
