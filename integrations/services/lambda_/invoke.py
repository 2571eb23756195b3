"""Invoke: resolves the version of a function, prepares its code, and calls a process of it."""

from __future__ import annotations

import base64
from collections import Counter
from functools import partial
from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, encode, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.host import FunctionTarget
from stepwell.integrations.services.lambda_ import code as codes
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.async_invoke import Events
from stepwell.integrations.services.lambda_.functions import family
from stepwell.integrations.services.lambda_.store import FunctionStore, LambdaFunction
from stepwell.integrations.services.lambda_.versions import draw
from stepwell.integrations.services.runtime import messages as runtime_messages
from stepwell.integrations.services.runtime.folder import stamped
from stepwell.integrations.services.runtime.function import LATEST, Function
from stepwell.integrations.services.runtime.pool import (
    THROTTLED,
    Answer,
    Call,
    Pool,
    Target,
    UnavailableError,
)
from stepwell.integrations.services.runtime.resolver import REFERENCE


class Invoker:
    def __init__(self, store: FunctionStore, events: Events) -> None:
        self._store, self._events = store, events
        self._running: Counter[str] = Counter()  # function -> calls that run

    def target(self, reference: str, qualifier: str = "") -> Target | None:
        """The version that a name or ARN refers to; None if this service does not have it. An alias
        with weights selects one of its versions at random.
        """
        match = REFERENCE.match(reference)
        function = self._store.functions.get(match["name"]) if match else None
        home = self._store.host.home
        if (
            match is None
            or function is None
            or match["region"] not in (None, home.region)
            or match["account"] not in (None, home.account)
        ):
            return None
        qualifier = qualifier or match["qualifier"] or ""
        alias = function.aliases.get(qualifier)
        version = (
            draw(alias, int(self._store.new_uuid()[:8], 16) / (1 << 32))
            if alias
            else qualifier or LATEST
        )
        if function.version(version) is None:
            return None
        return Target(
            self._store.arn(function.name, qualifier),
            version,
            partial(self._call, function.name, version),
        )

    async def _call(self, name: str, version: str, event: Json, call: Call) -> Answer:
        """Raises UnavailableError."""
        function = self._store.functions.get(name)
        if function is None or function.version(version) is None:
            raise UnavailableError(reason=messages.FUNCTION_UNKNOWN.format(arn=call.arn))
        if function.reserved is not None and self._running[name] >= function.reserved:
            raise UnavailableError(THROTTLED, runtime_messages.FUNCTION_THROTTLED)
        self._running[name] += 1
        try:
            runnable = self._store.runnable.get((name, version)) or await self._prepare(
                function, version
            )
            pool: Pool = self._store.host.functions.sources.pool
            return await pool.invoke(runnable, encode(event), call)
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    async def _prepare(self, function: LambdaFunction, version: str) -> Function:
        """How a version runs. For a folder this is repeated for each call: its files may change.
        Raises UnavailableError.
        """
        configuration = function.version(version)
        assert configuration is not None
        variables: dict[str, str] = {
            **self._store.host.functions.sources.environment,
            **configuration.get("Environment", {}).get("Variables", {}),
        }
        runnable = Function(
            function.name,
            await self._store.codes.folder(configuration["code"]),
            configuration["Handler"],
            environment=tuple(variables.items()),
            seconds=configuration["Timeout"],
            memory_mb=configuration["MemorySize"],
            runtime=family(configuration["Runtime"]),
            version=version,
            confined=True,
            isolated=True,
            storage_mb=configuration["EphemeralStorage"]["Size"],
        )
        if configuration["code"].startswith(codes.FOLDER):
            return stamped(runnable) or runnable
        if self._store.functions.get(function.name) is function:  # it was not changed meanwhile
            self._store.runnable[function.name, version] = runnable
        return runnable

    # --- operations ---

    async def invoke(
        self,
        /,
        function_name: str,
        invocation_type: str = "RequestResponse",
        log_type: str = "None",
        client_context: str | None = None,
        payload: bytes = b"",
        qualifier: str | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """StatusCode; for RequestResponse also ExecutedVersion, Payload (bytes), FunctionError if
        it failed, and LogResult with the log type Tail. ResponseMetadata.RequestId is the request
        id of the function's context.
        """
        target = self._store.host.functions.find(function_name, qualifier or "")
        if target is None:
            self._store.parse(function_name, qualifier)
            arn = self._store.host.functions.invoked_arn(function_name, qualifier or "")
            raise ApiError("ResourceNotFoundException", messages.FUNCTION_UNKNOWN.format(arn=arn))
        event = self._event(payload, invocation_type)
        if invocation_type == "DryRun":
            return {"StatusCode": 204}
        request_id = self._store.new_uuid()
        metadata = {"ResponseMetadata": {"RequestId": request_id}}
        if invocation_type == "Event":
            await self._events.accept(target.arn, event, request_id)
            return {"StatusCode": 202, **metadata}
        client, tail = _client_context(client_context), log_type == "Tail"
        call = Call(request_id, target.arn, target.version, client=client, tail=tail)
        answer = await _answer(target, event, call)
        shown: dict[str, Any] = {
            "StatusCode": 200,
            "ExecutedVersion": target.version,
            "Payload": answer.payload,
            **metadata,
        }
        if answer.failed:
            shown["FunctionError"] = "Unhandled"
        if tail:
            shown["LogResult"] = base64.b64encode(answer.log).decode()
        return shown

    async def invoke_async(self, function_name: str, invoke_args: bytes) -> dict[str, Any]:
        """Invoke with the invocation type Event, in its deprecated form."""
        return {
            "Status": (await self.invoke(function_name, "Event", payload=invoke_args))["StatusCode"]
        }

    def _event(self, payload: bytes, invocation_type: str) -> Json:
        """Raises ApiError."""
        limits = self._store.limits
        is_event = invocation_type == "Event"
        limit = limits.function_event_bytes if is_event else limits.function_request_bytes
        if len(payload) > limit:
            raise ApiError(
                "RequestTooLargeException", messages.FUNCTION_REQUEST_SIZE.format(limit=limit)
            )
        try:
            return loads(payload or b"{}")
        except JsonError as error:
            raise ApiError(
                "InvalidRequestContentException",
                messages.FUNCTION_PAYLOAD.format(problem=error.message),
            ) from None


async def _answer(target: FunctionTarget, event: Json, call: Call) -> Answer:
    """Raises ApiError."""
    try:
        answer: Answer = await target.invoke(event, call)
    except UnavailableError as error:
        raise ApiError(error.code, error.reason) from None
    except TaskError as error:  # a callable of this process may raise it
        payload = encode({"errorType": error.error, "errorMessage": error.cause})
        return Answer(payload, None, True)
    return answer


def _client_context(text: str | None) -> Json:
    """text: base64 of a JSON object. Raises ApiError."""
    if not text:
        return None
    try:
        value = loads(base64.b64decode(text, validate=True))
    except ValueError:  # neither base64 nor JSON
        value = None
    if not isinstance(value, dict):
        raise ApiError("InvalidRequestContentException", messages.CLIENT_CONTEXT)
    return value
