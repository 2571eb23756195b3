"""REST with JSON: the operation is in method and path; each member of its input is in the path, the
query, a header or the body, as the model says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, parse_qsl, unquote

import msgspec
from botocore.model import ServiceModel, Shape
from botocore.utils import parse_timestamp

from stepwell.asl.timestamps import iso_seconds
from stepwell.engine.errors import ApiError
from stepwell.integrations.server.protocols.aws_json import (
    Operation,
    Reply,
    Request,
    operations,
    scope_service,
)

_JSON: Final = (b"content-type", b"application/json")


class Place(NamedTuple):
    """An operation at a path.

    labels  members of its input in the variable parts of the path
    fixed   (name, value): what the query must have
    """

    operation: Operation
    labels: tuple[str, ...]
    fixed: frozenset[tuple[str, str]]


class Paths:
    """A tree of path segments; a fixed segment takes precedence over a variable one."""

    __slots__ = ("fixed", "label", "places", "rest")

    def __init__(self) -> None:
        self.fixed: dict[str, Paths] = {}
        self.label: Paths | None = None  # any segment but an empty one
        self.rest: Paths | None = None  # the rest of the path
        self.places: dict[str, list[Place]] = {}  # by method

    def add(self, segments: list[str], method: str, place: Place) -> None:
        node = self
        for segment in segments:
            if not segment.startswith("{"):
                node = node.fixed.setdefault(segment, Paths())
            elif segment.endswith("+}"):
                node.rest = node.rest or Paths()
                node = node.rest
            else:
                node.label = node.label or Paths()
                node = node.label
        node.places.setdefault(method, []).append(place)

    def find(self, segments: list[str], method: str) -> tuple[list[Place], list[str]]:
        """The operations at a path, and the values of its labels, still encoded."""
        if not segments:
            return self.places.get(method, []), []
        segment, *left = segments
        for node, value in (
            (self.fixed.get(segment), []),
            (self.label if segment else None, [segment]),
        ):
            if node is not None:
                found, values = node.find(left, method)
                if found:
                    return found, value + values
        return (self.rest.places.get(method, []), ["/".join(segments)]) if self.rest else ([], [])


class RestProtocol:
    """restJson1. Timestamps in bodies are numbers (seconds since 1970) unless the model has another
    format.
    """

    def __init__(self, models: Iterable[ServiceModel]) -> None:
        self._paths = Paths()
        for model in models:
            for operation in operations(model, self):
                path, _, query = operation.model.http["requestUri"].partition("?")
                segments = path.split("/")[1:]
                names = {
                    wire: name for name, wire, _ in _placed(operation.model.input_shape, "uri")
                }
                labels = tuple(
                    names[segment.strip("{+}")] for segment in segments if segment.startswith("{")
                )
                place = Place(
                    operation, labels, frozenset(parse_qsl(query, keep_blank_values=True))
                )
                self._paths.add(segments, operation.model.http["method"], place)
        self._decode, self._encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode

    def find(self, request: Request) -> Operation | None:
        path = request.scope["raw_path"].decode("latin-1")
        places, values = (
            self._paths.find(path.split("/")[1:], request.method)
            if path.count("/") < _SEGMENTS
            else ([], [])
        )
        if not places:
            return None
        query = (
            set(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
            if len(places) > 1
            else set()
        )
        fitting = [place for place in places if place.fixed <= query] or places
        signed = scope_service(request) if len(fitting) > 1 else ""
        place = max(
            fitting, key=lambda place: (place.operation.signing == signed, len(place.fixed))
        )
        request.parameters = dict(zip(place.labels, map(unquote, values)))
        return place.operation

    def speaks(self, request: Request) -> bool:
        return request.path != "/"

    def arguments(self, operation: Operation, request: Request) -> dict[str, Any]:
        shape = operation.model.input_shape
        if shape is None:
            return operation.read({})
        payload = shape.serialization.get("payload")
        if payload is None:
            body = _from_wire(shape)(self._parse(request.body or b"{}"))
            body = (
                {name: value for name, value in body.items() if name not in _elsewhere(shape)}
                if type(body) is dict
                else body
            )
        else:
            member = shape.members[payload]
            body = (
                {payload: _from_wire(member)(self._payload(member, request.body))}
                if request.body
                else {}
            )
        if type(body) is not dict:
            return operation.read(body)  # raises the error
        query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        for name, _, member in _placed(shape, "uri"):
            body[name] = from_text(member, request.parameters.get(name, ""))
        for name, wire, member in _placed(shape, "querystring"):
            if wire in query:
                body[name] = _from_texts(member, query[wire])
        for name, wire, member in _placed(shape, "header"):
            if (header := wire.lower().encode()) in request.headers:
                body[name] = from_text(member, request.headers[header].decode("latin-1"))
        return operation.read(body)

    def _parse(self, body: bytes) -> Any:
        try:
            return self._decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            raise ApiError("SerializationException", "") from None

    def _payload(self, shape: Shape, body: bytes) -> Any:
        if shape.type_name == "blob":
            return body
        return body.decode("utf-8", "replace") if shape.type_name == "string" else self._parse(body)

    def answer(self, operation: Operation, request: Request, output: Mapping[str, Any]) -> Reply:
        shape, status = operation.model.output_shape, operation.model.http.get("responseCode", 200)
        if shape is None:
            return Reply(status, [], b"")
        headers = [_JSON]
        for name, wire, member in _placed(shape, "header"):
            if name in output:
                headers.append((wire.lower().encode(), _as_text(member, output[name]).encode()))
        for name, _, _ in _placed(shape, "statusCode"):
            status = output.get(name, status)
        payload = shape.serialization.get("payload")
        if payload is None:
            elsewhere = _elsewhere(shape)
            shown = {
                name: value
                for name, value in output.items()
                if name in operation.members and name not in elsewhere
            }
            return Reply(
                status, headers, b"" if status == 204 else self._encode(_to_wire(shape)(shown))
            )
        value = output.get(payload, b"")
        return Reply(
            status,
            headers,
            value
            if type(value) is bytes
            else value.encode()
            if type(value) is str
            else self._encode(value),
        )

    def error(self, error: ApiError, status: int, request: Request) -> Reply:
        shape = request.operation.errors.get(error.code) if request.operation else None
        members = shape.members if shape is not None else {}
        shown = {"Message" if "Message" in members else "message": error.message}
        if "Type" in members:
            shown["Type"] = "User" if status < 500 else "Service"
        return Reply(
            status,
            [_JSON, (b"x-amzn-errortype", error.code.encode())],
            self._encode(shown),
            error.code,
        )


_SEGMENTS: Final = 32  # more than any path of the models has


@cache
def _placed(shape: Shape | None, location: str) -> list[tuple[str, str, Shape]]:
    """(name, name on the wire, shape) of the members of a structure at a location other than the
    body: "uri", "querystring", "header", "statusCode".
    """
    members = shape.members.items() if shape is not None else ()
    return [
        (name, member.serialization.get("name", name), member)
        for name, member in members
        if member.serialization.get("location") == location
    ]


@cache
def _elsewhere(shape: Shape) -> set[str]:
    return {name for name, member in shape.members.items() if "location" in member.serialization}


# --- names of members that are others on the wire, and times as text ------------------------------

_Convert = Callable[[Any], Any]


@cache
def _from_wire(shape: Shape) -> _Convert:
    """A JSON value of a client -> the same with the model's names. A value of the wrong type is
    kept.
    """
    return _converter(shape, lambda name, wire: (wire, name), lambda value: value, {})


@cache
def _to_wire(shape: Shape) -> _Convert:
    return _converter(shape, lambda name, wire: (name, wire), _iso, {})


def _converter(
    shape: Shape,
    sides: Callable[[str, str], tuple[str, str]],
    time: _Convert,
    memo: dict[str, _Convert],
) -> _Convert:
    """sides: (name in the model, name on the wire) -> (from, to)"""
    if shape.name in memo:
        return lambda value: memo[shape.name](value)  # noqa: PLW0108 - of a shape that contains itself, and has its own by then
    kind = shape.type_name
    if kind == "structure":
        memo[shape.name] = lambda value: value
        members = {}
        for name, member in shape.members.items():
            before, after = sides(name, member.serialization.get("name", name))
            members[before] = (after, _converter(member, sides, time, memo))

        def structure(value: Any) -> Any:
            if type(value) is not dict:
                return value
            return {
                after: convert(value[before])
                for before, (after, convert) in members.items()
                if before in value
            }

        memo[shape.name] = structure
        return structure
    if kind == "list":
        each = _converter(shape.member, sides, time, memo)
        return lambda value: [each(item) for item in value] if type(value) is list else value
    if kind == "map":
        each = _converter(shape.value, sides, time, memo)
        return lambda value: (
            {key: each(item) for key, item in value.items()} if type(value) is dict else value
        )
    return (
        time
        if kind == "timestamp" and shape.serialization.get("timestampFormat") == "iso8601"
        else lambda value: value
    )


def _iso(seconds: Any) -> Any:
    return iso_seconds(seconds) if type(seconds) in (int, float) else seconds


def _from_texts(shape: Shape, texts: list[str]) -> Any:
    return (
        [from_text(shape.member, text) for text in texts]
        if shape.type_name == "list"
        else from_text(shape, texts[-1])
    )


def from_text(shape: Shape, text: str) -> Any:
    """What JSON would have for a member that came as text; the text itself if it is none of its
    type.
    """
    try:
        return FROM_TEXT.get(shape.type_name, str)(text)
    except (ValueError, KeyError, OverflowError):
        return text


def whole(text: str) -> int:
    if len(text) > 20:
        raise ValueError("no integer of 64 bits is as long")
    return int(text)


FROM_TEXT: Final[dict[str, Callable[[str], Any]]] = {
    "integer": whole,
    "long": whole,
    "float": float,
    "double": float,
    "boolean": {"true": True, "false": False}.__getitem__,
    "timestamp": lambda text: parse_timestamp(text).timestamp(),
}


def _as_text(shape: Shape, value: Any) -> str:
    if shape.type_name == "timestamp":
        return formatdate(value, usegmt=True)
    return ("true" if value else "false") if shape.type_name == "boolean" else str(value)
