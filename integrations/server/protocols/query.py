"""The Query protocol: a form with Action and parameters such as Tags.member.1.Key, answered with
XML.

A form with Action in the query of a GET is the same. GET serves only the links that topics send to
their subscribers, because any page can make a browser send a GET, without an Origin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from stepwell.asl.timestamps import iso_milliseconds
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws.models import query_codes
from stepwell.integrations.server import messages
from stepwell.integrations.server.host_check import REFUSED
from stepwell.integrations.server.protocols.aws_json import (
    Operation,
    Reply,
    Request,
    operations,
    scope_service,
)
from stepwell.integrations.server.protocols.rest_json import from_text

Node = dict[str, Any]  # the part of a parameter's name before a dot -> text, or a Node of the rest

FORM: Final = b"application/x-www-form-urlencoded"
# (service, operation) of links; a secret in them authorizes the request
LINKS: Final = frozenset({("sns", "ConfirmSubscription"), ("sns", "Unsubscribe")})
MOST_PARAMETERS: Final = 10_000
DEEPEST_NAME: Final = 16
# errors of AWS's front end -> their codes in this protocol
CODES: Final = {
    "AccessDeniedException": "AccessDenied",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationToken": "MissingAuthenticationToken",
    "SerializationException": "MalformedInput",
    "ThrottlingException": "Throttling",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}
# characters that XML cannot contain, not even escaped
_NO_XML: Final = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd"
)


class QueryProtocol:
    """awsQuery."""

    def __init__(self, models: Iterable[ServiceModel]) -> None:
        self._actions: dict[str, list[Operation]] = {}
        self._spaces: dict[str, str] = {}
        self._codes: dict[str, dict[str, str]] = {}
        for model in models:
            self._spaces[model.service_name] = model.metadata["xmlNamespace"]
            self._codes[model.service_name] = query_codes(model)
            for operation in operations(model, self):
                self._actions.setdefault(operation.name, []).append(operation)

    def find(self, request: Request) -> Operation | None:
        if (
            request.path != "/"
            or not self.speaks(request)
            or (request.method == "POST" and not request.read)
        ):
            return None
        form = request.body if request.method == "POST" else request.scope["query_string"]
        request.parameters = _form(form)
        candidates = self._actions.get(request.parameters.get("Action", ""), [])
        if request.method == "GET" and any(
            (each.service, each.name) not in LINKS for each in candidates
        ):
            raise ApiError(REFUSED, messages.NOT_BY_GET.format(action=candidates[0].name))
        version = request.parameters.get("Version")
        signed = scope_service(request) if len(candidates) > 1 else ""
        return max(
            candidates,
            key=lambda each: (
                each.model.service_model.api_version == version,
                each.signing == signed,
            ),
            default=None,
        )

    def speaks(self, request: Request) -> bool:
        if request.method == "POST":
            return request.headers.get(b"content-type", b"").startswith(FORM)
        return request.method == "GET" and b"Action=" in request.scope["query_string"]

    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        shape = operation.model.input_shape
        return operation.read(_read(shape, _tree(request.parameters)) if shape is not None else {})

    def answer(self, operation: Operation, request: Request, output: Mapping[str, Any]) -> Reply:
        name, shape, pieces = operation.name, operation.model.output_shape, list[str]()
        if shape is not None:
            _write(shape, shape.serialization.get("resultWrapper", f"{name}Result"), output, pieces)
        body = f'<{name}Response xmlns="{self._spaces[operation.service]}">{"".join(pieces)}'
        return _xml(
            200,
            f"{body}<ResponseMetadata><RequestId>{request.id}</RequestId></ResponseMetadata></{name}Response>",
        )

    def error(self, error: ApiError, status: int, request: Request) -> Reply:
        service = request.operation.service if request.operation else next(iter(self._spaces))
        code, fault = self._codes[service].get(error.code, "").partition(";")[::2]
        code = CODES.get(error.code) or code or error.code
        fault = fault or ("Sender" if status < 500 else "Receiver")
        if code == "InvalidAction" and not error.message:
            action = request.parameters.get("Action", "")[:255]
            version = request.parameters.get("Version", "")[:255]
            error = ApiError(code, messages.INVALID_ACTION.format(action=action, version=version))
        message = _text(error.message)
        text = (
            f"<Error><Type>{fault}</Type><Code>{_text(code)}</Code>"
            f"<Message>{message}</Message></Error>"
        )
        body = (
            "<ErrorResponse "
            f'xmlns="{self._spaces[service]}">{text}<RequestId>{request.id}</RequestId></ErrorResponse>'
        )
        return _xml(status, body, code)


def _xml(status: int, body: str, code: str | None = None) -> Reply:
    return Reply(status, [(b"content-type", b"text/xml")], body.encode(), code)


# --- reading --------------------------------------------------------------------------------------


def _form(text: bytes) -> dict[str, str]:
    try:
        return dict(
            parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
        )
    except ValueError:  # too many parameters, or not UTF-8
        raise ApiError("SerializationException", "") from None


def _tree(parameters: Mapping[str, str]) -> Node:
    """Tags.member.1.Key=a -> {"Tags": {"member": {"1": {"Key": "a"}}}}"""
    root: Node = {}
    for name, value in parameters.items():
        *path, last = name.split(".", DEEPEST_NAME)
        node = root
        for step in path:
            below = node.setdefault(step, {})
            if type(below) is not dict:
                below = node[step] = {}
            node = below
        node.setdefault(last, value)
    return root


def _read(shape: Shape, value: Any) -> Any:
    """The value of a parameter as JSON would have it. A value of the wrong type is kept:
    Operation.read reports all problems together.
    """
    if isinstance(shape, StructureShape):
        if type(value) is not dict:
            return value
        named = [(name, _name(member, name), member) for name, member in shape.members.items()]
        return {name: _read(member, value[wire]) for name, wire, member in named if wire in value}
    if isinstance(shape, ListShape):
        return [
            _read(shape.member, item)
            for item in _items(shape, value, _name(shape.member, "member"))
        ]
    if isinstance(shape, MapShape):
        key, inner = _name(shape.key, "key"), _name(shape.value, "value")
        entries = [
            item
            for item in _items(shape, value, "entry")
            if type(item) is dict and type(item.get(key)) is str
        ]
        return {item[key]: _read(shape.value, item.get(inner)) for item in entries}
    return from_text(shape, value) if type(value) is str else value


def _items(shape: Shape, value: Any, name: str) -> list[Any]:
    """The numbered items of a list or map, in the order of their numbers. (An empty one is sent as
    an empty text.)
    """
    if type(value) is dict and not shape.serialization.get("flattened"):
        value = value.get(name)
    if type(value) is not dict:
        return []
    return [
        value[number]
        for number in sorted(
            (number for number in value if number.isdecimal() and len(number) < 9), key=int
        )
    ]


def _name(shape: Shape, otherwise: str) -> str:
    name: str = shape.serialization.get("name", otherwise)
    return name


# --- writing --------------------------------------------------------------------------------------


def _write(shape: Shape, name: str, value: Any, pieces: list[str]) -> None:
    pieces.append(f"<{name}>")
    if isinstance(shape, StructureShape):
        for member, inner in shape.members.items():
            if value.get(member) is not None:
                _write(inner, _name(inner, member), value[member], pieces)
    elif isinstance(shape, ListShape):
        for item in value:
            _write(shape.member, _name(shape.member, "member"), item, pieces)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            pieces.append(
                f"<entry><{_name(shape.key, 'key')}>{_text(key)}</{_name(shape.key, 'key')}>"
            )
            _write(shape.value, _name(shape.value, "value"), item, pieces)
            pieces.append("</entry>")
    else:
        pieces.append(_TEXTS.get(shape.type_name, _text)(value))
    pieces.append(f"</{name}>")


def _text(value: Any) -> str:
    return escape(str(value).translate(_NO_XML), {"\r": "&#xD;"})


_TEXTS: Final[dict[str, Callable[[Any], str]]] = {
    "boolean": lambda value: "true" if value else "false",
    "timestamp": iso_milliseconds,
}
