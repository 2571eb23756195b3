"""The wire protocols of AWS, driven by botocore's service models.

A WireProtocol finds the operation and the input of a request, and formats answers and errors, all
by the model. This file has what they share, and AWS JSON (1.0 and 1.1); rest_json.py and query.py
have the others, table.py lists all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import botocore
import msgspec
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape

from stepwell.engine.errors import ApiError
from stepwell.engine.observers.trace_context import from_traceparent
from stepwell.integrations.aws.model_bounds import bounded, bounds
from stepwell.integrations.aws.models import query_codes
from stepwell.integrations.aws.validation import compile_input, secret
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.server.protocols.own_operations import with_own

# HTTP statuses of errors that no model has; those of other errors without a status are 400
STATUSES: Final = {
    "AccessDenied": 403,
    "OptInRequired": 403,
    "RequestTimeout": 408,
    "RequestEntityTooLarge": 413,
    "InternalFailure": 500,
    "ServiceUnavailable": 503,
}
# errors of AWS's front end: their names have its prefix in answers
FRONT_END: Final = frozenset(
    {"SerializationException", "UnknownOperationException", "InternalFailure"}
)
# services that some SDKs call at the URL of a resource, such as a queue
ANY_PATH: Final = frozenset({"sqs"})
# input that may be an HTTP header instead of a member of the body; that of W3C Trace Context is
# taken too
HEADERS: Final = {"traceHeader": b"x-amzn-trace-id"}


class Request:
    """One HTTP request.

    headers     by lower-case name; of several with the same name, the last
    parameters  what a protocol has read of the path or of a form to find the operation
    read        whether the body is complete
    """

    __slots__ = (
        "body",
        "headers",
        "id",
        "method",
        "operation",
        "parameters",
        "path",
        "read",
        "scope",
    )

    def __init__(self, scope: MutableMapping[str, Any], id: str) -> None:
        self.scope, self.id, self.body, self.read = scope, id, b"", False
        self.operation: Operation | None = None
        self.parameters: dict[str, str] = {}
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])


class Reply(NamedTuple):
    """headers: a list of its own, which others may be added to; code: of an error."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    code: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation of a service.

    service   botocore's name
    method    of the service's object
    read      parsed body -> keyword arguments of the method; raises ApiError
    headers   (member of the input, header): those that may be headers
    members   of the answer; the method may answer more, for callers in Python
    statuses  HTTP status of an error of the service, by its code, where the model has one
    errors    shape of an error of the service, by its name in the model (ApiError.code)
    signing   the name of the service in signatures
    """

    service: str
    name: str
    method: str
    protocol: WireProtocol
    read: Callable[[Any], dict[str, Any]]
    headers: tuple[tuple[str, bytes], ...]
    members: frozenset[str]
    statuses: Mapping[str, int]
    errors: Mapping[str, Shape]
    signing: str
    model: OperationModel

    @property
    def sensitive(self) -> bool:
        """Whether the model marks a part of the input or the answer as sensitive."""
        return any(
            _holds_secrets(shape, set())
            for shape in (self.model.input_shape, self.model.output_shape)
            if shape
        )


class WireProtocol(Protocol):
    def find(self, request: Request) -> Operation | None:
        """The operation of a request; None if it names none by this protocol. Called before the
        body is read, and again after that.
        """

    def speaks(self, request: Request) -> bool:
        """Whether a request that names no known operation looks like one of this protocol."""

    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        """Keyword arguments of the operation's method. Raises ApiError."""

    def answer(
        self, operation: Operation, request: Request, output: Mapping[str, Any]
    ) -> Reply: ...

    def error(self, error: ApiError, status: int, request: Request) -> Reply: ...


class JsonProtocol:
    """AWS JSON 1.0 and 1.1: POST /, the operation in X-Amz-Target, JSON both ways. Timestamps are
    numbers: seconds since 1970.
    """

    def __init__(self, models: Iterable[ServiceModel]) -> None:
        self._targets: dict[bytes, Operation] = {}
        self._types: dict[str, tuple[bytes, bytes]] = {}
        # of services that spoke Query earlier: error -> its code in Query;Sender or Receiver
        self._query_codes: dict[str, dict[str, str]] = {}
        for model in models:
            version = model.metadata.get("jsonVersion", "1.0")
            kind = f"application/x-amz-json-{version}".encode()
            self._types[model.service_name] = b"content-type", kind
            if model.is_query_compatible:
                self._query_codes[model.service_name] = query_codes(model)
            for operation in operations(model, self):
                self._targets[f"{model.metadata['targetPrefix']}.{operation.name}".encode()] = (
                    operation
                )
        self._decode, self._encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    def find(self, request: Request) -> Operation | None:
        if request.method != "POST":
            return None
        operation = self._targets.get(request.headers.get(b"x-amz-target", b""))
        if operation and (request.path == "/" or operation.service in ANY_PATH):
            return operation
        return None

    def speaks(self, request: Request) -> bool:
        return b"x-amz-target" in request.headers

    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        try:
            body = self._decode(request.body or b"{}")
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise ApiError("SerializationException", "") from None  # AWS says no more
        for member, header in operation.headers:
            if type(body) is dict and (sent := request.headers.get(header) or _trace(request)):
                body.setdefault(member, sent.decode("latin-1"))
        return operation.read(body)

    def answer(self, operation: Operation, request: Request, output: Mapping[str, Any]) -> Reply:
        if not output.keys() <= operation.members:
            output = {name: value for name, value in output.items() if name in operation.members}
        return Reply(200, [self._types[operation.service]], self._encode(output))

    def error(self, error: ApiError, status: int, request: Request) -> Reply:
        prefix = "com.amazon.coral.service#" if error.code in FRONT_END else ""
        service = request.operation.service if request.operation else ""
        headers = [self._types.get(service, _JSON_1_0)]
        if service in self._query_codes:
            code = self._query_codes[service].get(
                error.code, f"{error.code};{'Sender' if status < 500 else 'Receiver'}"
            )
            headers.append((b"x-amzn-query-error", code.encode()))
            prefix = prefix or f"com.amazonaws.{service}#"
        members = {"__type": prefix + error.code, "message": error.message, "reason": error.reason}
        body = self._encode({name: value for name, value in members.items() if value})
        return Reply(status, headers, body, error.code)


_JSON_1_0: Final = (b"content-type", b"application/x-amz-json-1.0")


@cache
def _loader() -> Loader:
    """One loader for all models: it lists the folders of all services when it is made."""
    data = os.path.join(os.path.dirname(botocore.__file__), "data")
    return Loader(extra_search_paths=[data], include_default_search_paths=False)


def service_model(service: str, limits: Limits = DEFAULT_LIMITS) -> ServiceModel:
    """botocore's own model, not one that the user has under ~/.aws, with our operations."""
    description = with_own(_loader().load_service_model(service, "service-2"), service)
    return ServiceModel(bounded(description, bounds(service, limits)), service)


def operations(model: ServiceModel, protocol: WireProtocol) -> Iterable[Operation]:
    """Every operation of a service, compiled."""
    statuses = {
        name: shape.metadata["error"]["httpStatusCode"]
        for shape in model.error_shapes
        if "httpStatusCode" in shape.metadata.get("error", {})
        for name in (shape.metadata["error"].get("code"), shape.name)
        if name
    }
    errors = {shape.name: shape for shape in model.error_shapes}
    for name in model.operation_names:
        described = model.operation_model(name)
        shape = described.input_shape
        members = shape.members if shape else {}
        yield Operation(
            model.service_name,
            name,
            xform_name(name),
            protocol,
            _compiled_late(shape, model.service_name),
            tuple((member, header) for member, header in HEADERS.items() if member in members),
            frozenset(described.output_shape.members if described.output_shape else ()),
            statuses,
            errors,
            model.signing_name,
            described,
        )


def _trace(request: Request) -> bytes:
    """The W3C trace context of a request as X-Ray's header; empty: there is none."""
    sent = request.headers.get(b"traceparent")
    context = from_traceparent(sent.decode("latin-1")) if sent else None
    return context.xray.encode() if context else b""


def _compiled_late(shape: StructureShape | None, service: str) -> Callable[[Any], dict[str, Any]]:
    """compile_input at the first call: most operations of a model are never called."""
    compiled: list[Callable[[Any], dict[str, Any]]] = []

    def read(body: Any) -> dict[str, Any]:
        if not compiled:
            compiled.append(compile_input(shape, service))
        return compiled[0](body)

    return read


def scope_service(request: Request) -> str:
    """The service in the scope of a request's signature, which is not checked here; "" without a
    signature.
    """
    match = _CREDENTIAL.search(request.headers.get(b"authorization", b"")) or _CREDENTIAL.search(
        request.scope["query_string"]
    )
    return match[1].decode() if match else ""


# Credential=KEY/20260101/us-east-1/sqs/aws4_request, in the query of a presigned URL with %2F
_CREDENTIAL: Final = re.compile(
    rb"Credential=[^/,&%]*(?:/|%2F)\d*(?:/|%2F)[a-z0-9-]*(?:/|%2F)([a-z0-9-]*)(?:/|%2F)aws4_request"
)


def _holds_secrets(shape: Shape, seen: set[str]) -> bool:
    if secret(shape):
        return True
    if shape.name in seen:
        return False
    seen.add(shape.name)
    inner = (
        shape.members.values()
        if shape.type_name == "structure"
        else [getattr(shape, part) for part in ("member", "key", "value") if hasattr(shape, part)]
    )
    return any(_holds_secrets(each, seen) for each in inner)


def status_of(error: ApiError, request: Request) -> int:
    """The HTTP status of an error."""
    at_root = (request.method, request.path) == ("POST", "/")
    if error.code == "UnknownOperationException" and not at_root:
        return 404
    statuses = request.operation.statuses if request.operation else STATUSES
    return statuses.get(error.code) or STATUSES.get(error.code, 400)
