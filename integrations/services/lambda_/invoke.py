"""Invoke, and what a call of a function needs: its version, its code, its place among the calls of
that function.
"""

from __future__ import annotations

import base64
from collections import Counter
from functools import partial
from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import JsonError, encode, loads
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import TaskError
from stepwell.integrations.services.lambda_ import code as codes
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.async_invoke import Events
from stepwell.integrations.services.lambda_.functions import family
from stepwell.integrations.services.lambda_.store import FunctionStore, Stored
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
    Unavailable,
)
from stepwell.integrations.services.runtime.resolver import REFERENCE


class Invoker:
    def __init__(self, store: FunctionStore) -> None:
        self._store, self.events = store, Events(store)
        self._running: Counter[str] = Counter()

    def target(self, reference: str, qualifier: str = "") -> Target | None:
        """What a reference means, if it is a function of ours; of an alias with weights one of its
        versions, by chance.
        """
        match = REFERENCE.match(reference)
        stored = self._store.functions.get(match["name"]) if match else None
        home = self._store.host.home
        if (
            match is None
            or stored is None
            or match["region"] not in (None, home.region)
            or match["account"] not in (None, home.account)
        ):
            return None
        qualifier = qualifier or match["qualifier"] or ""
        alias = stored.aliases.get(qualifier)
        version = (
            draw(alias, int(self._store.new_uuid()[:8], 16) / (1 << 32))
            if alias
            else qualifier or LATEST
        )
        if stored.version(version) is None:
            return None
        return Target(
            self._store.arn(stored.name, qualifier),
            version,
            partial(self._call, stored.name, version),
        )

    async def _call(self, name: str, version: str, event: Json, call: Call) -> Answer:
        """Raises Unavailable."""
        stored = self._store.functions.get(name)
        if stored is None or stored.version(version) is None:
            raise Unavailable(reason=messages.FUNCTION_UNKNOWN.format(arn=call.arn))
        if stored.reserved is not None and self._running[name] >= stored.reserved:
            raise Unavailable(THROTTLED, runtime_messages.FUNCTION_THROTTLED)
        self._running[name] += 1
        try:
            function = self._store.runnable.get((name, version)) or await self._prepare(
                stored, version
            )
            pool: Pool = self._store.host.functions.sources.pool
            return await pool.invoke(function, encode(event), call)
        finally:
            self._running[name] -= 1
            if not self._running[name]:
                del self._running[name]

    async def _prepare(self, stored: Stored, version: str) -> Function:
        """How a version runs. That of a folder is looked at anew for each call: its files may
        change.
        """
        found = stored.version(version)
        assert found is not None
        variables: dict[str, str] = {
            **self._store.host.functions.sources.environment,
            **found.get("Environment", {}).get("Variables", {}),
        }
        function = Function(
            stored.name,
            await self._store.codes.folder(found["code"]),
            found["Handler"],
            environment=tuple(variables.items()),
            seconds=found["Timeout"],
            memory_mb=found["MemorySize"],
            runtime=family(found["Runtime"]),
            version=version,
            confined=True,
            isolated=True,
            storage_mb=found["EphemeralStorage"]["Size"],
        )
        if found["code"].startswith(codes.FOLDER):
            return stamped(function) or function
        if self._store.functions.get(stored.name) is stored:
            self._store.runnable[stored.name, version] = function
        return function

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
        it failed, LogResult if asked for.

        ResponseMetadata.RequestId is what the function sees as its request id, as in boto3's
        answers.
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
        about = {"ResponseMetadata": {"RequestId": request_id}}
        if invocation_type == "Event":
            await self.events.accept(target.arn, event, request_id)
            return {"StatusCode": 202, **about}
        call = Call(
            request_id,
            target.arn,
            target.version,
            client=_client(client_context),
            tail=log_type == "Tail",
        )
        try:
            answer = await target.invoke(event, call)
        except Unavailable as unavailable:
            raise ApiError(unavailable.code, unavailable.reason) from None
        except TaskError as error:  # a callable of this process may raise it
            answer = Answer(
                encode({"errorType": error.error, "errorMessage": error.cause}), None, True
            )
        shown: dict[str, Any] = {
            "StatusCode": 200,
            "ExecutedVersion": target.version,
            "Payload": answer.payload,
            **about,
        }
        if answer.failed:
            shown["FunctionError"] = "Unhandled"
        if call.tail:
            shown["LogResult"] = base64.b64encode(answer.log).decode()
        return shown

    async def invoke_async(self, function_name: str, invoke_args: bytes) -> dict[str, Any]:
        """The old form of an Event."""
        return {
            "Status": (await self.invoke(function_name, "Event", payload=invoke_args))["StatusCode"]
        }

    def _event(self, payload: bytes, kind: str) -> Json:
        most = (
            self._store.limits.function_event_bytes
            if kind == "Event"
            else self._store.limits.function_request_bytes
        )
        if len(payload) > most:
            raise ApiError(
                "RequestTooLargeException", messages.FUNCTION_REQUEST_SIZE.format(limit=most)
            )
        try:
            return loads(payload or b"{}")
        except JsonError as fault:
            raise ApiError(
                "InvalidRequestContentException",
                messages.FUNCTION_PAYLOAD.format(problem=fault.message),
            ) from None


def _client(text: str | None) -> Json:
    """The object in a ClientContext, which is the base64 of a JSON text."""
    if not text:
        return None
    try:
        value = loads(base64.b64decode(text, validate=True))
    except ValueError:  # neither base64 nor JSON
        value = None
    if not isinstance(value, dict):
        raise ApiError("InvalidRequestContentException", messages.CLIENT_CONTEXT)
    return value
