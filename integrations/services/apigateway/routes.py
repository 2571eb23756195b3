"""Which route of an HTTP API a request takes, and what the parameters of an integration are made
from. Pure.

    POST /orders     GET /orders/{id}     ANY /files/{path+}     $default

Of several routes that fit, the one with the more exact path goes first, segment by segment (a text
before a variable, a variable before a greedy one), and then the one with a method of its own before
ANY; `$default` takes what is left.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from stepwell.asl.evaluation import MISSING
from stepwell.asl.expression_errors import SyntaxFault
from stepwell.asl.json_text import JsonFault, dumps, loads
from stepwell.asl.jsonpath_grammar import parse
from stepwell.integrations.services.apigateway import messages

DEFAULT: Final = "$default"
METHODS: Final = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_VARIABLE: Final = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}\Z")
_TEXT: Final = re.compile(r"[^{}?#\s]*\Z")


class RouteFault(ValueError):
    """Why a route key or a mapping is not one, in our words."""


class Key(NamedTuple):
    """A route key that was read. segments: (kind: 0 text, 1 variable, 2 greedy variable; the text
    or the variable's name)
    """

    method: str
    segments: tuple[tuple[int, str], ...]

    def match(self, method: str, segments: Sequence[str]) -> dict[str, str] | None:
        """The path parameters of a request that fits; its segments are still encoded."""
        if self.method not in (method, "ANY"):
            return None
        greedy = bool(self.segments) and self.segments[-1][0] == 2
        if len(segments) < len(self.segments) or (
            len(segments) > len(self.segments) and not greedy
        ):
            return None
        found = {}
        for at, (kind, name) in enumerate(self.segments):
            value = "/".join(segments[at:]) if kind == 2 else segments[at]
            if kind and not value:
                return None
            if kind:
                found[name] = unquote(value)
            elif unquote(value) != name:
                return None
        return found

    def order(self) -> tuple[list[int], bool]:
        """Which of two keys that fit goes first: the smaller."""
        return [kind for kind, _ in self.segments], self.method == "ANY"


def parse_key(text: str) -> Key | None:
    """None for `$default`. Raises RouteFault."""
    if text == DEFAULT:
        return None
    method, blank, path = text.partition(" ")
    if not blank or method not in METHODS or not path.startswith("/"):
        raise RouteFault(messages.ROUTE_KEY)
    segments = path.split("/")[1:]
    read = []
    for at, segment in enumerate(segments):
        variable = _VARIABLE.match(segment)
        if variable is None and not _TEXT.match(segment):
            raise RouteFault(messages.ROUTE_KEY)
        if variable is not None and variable[2] and at < len(segments) - 1:
            raise RouteFault(messages.ROUTE_GREEDY)
        read.append((0, segment) if variable is None else (2 if variable[2] else 1, variable[1]))
    names = [name for kind, name in read if kind]
    if len(set(names)) < len(names):
        raise RouteFault(messages.ROUTE_KEY)
    return Key(method, tuple(read))


class Routes:
    """The routes of an API: (id, route key)."""

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        keyed = [(parse_key(key), id) for id, key in routes]
        self._default = next((id for key, id in keyed if key is None), None)
        self._keys = sorted(
            ((key, id) for key, id in keyed if key is not None), key=lambda each: each[0].order()
        )

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """(id, path parameters); None if nothing takes it. path: still encoded, beginning with a
        slash.
        """
        segments = path.split("/")[1:]
        for key, id in self._keys:
            parameters = key.match(method, segments)
            if parameters is not None:
                return id, parameters
        return None if self._default is None else (self._default, {})


# --- requests, and what is read of them -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to an API. path: within the stage, still encoded; headers: by lower-case names,
    several of one name joined by commas.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the path
    context: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)  # of the stage

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


Read = Callable[[Asked], str | None]


def compile_mapping(text: str) -> Read:
    """The value of a request parameter: `$request.header.x`, a text with `${request.header.x}` in
    it, or a plain text.

    What reads nothing is None: the parameter is left out. In a text it is empty. Raises RouteFault.
    """
    if text.startswith("$") and not text.startswith("${"):
        return _source(text[1:])
    pieces = _SLOT.split(text)
    if len(pieces) == 1:
        return lambda asked: text
    reads = [_constant(piece) if at % 2 == 0 else _source(piece) for at, piece in enumerate(pieces)]
    return lambda asked: "".join(read(asked) or "" for read in reads)


_SLOT: Final = re.compile(r"\$\{([^{}]+)\}")


def _constant(text: str) -> Read:
    return lambda asked: text


def _source(text: str) -> Read:
    kind, _, rest = text.partition(".")
    if kind == "request":
        kind, _, rest = rest.partition(".")
        make = _REQUEST.get(kind)
    else:
        make = {"context": _context, "stageVariables": _variable}.get(kind)
    whole = kind in ("path", "body")
    if make is None or not (rest or whole):
        raise RouteFault(messages.MAPPING.format(text=text))
    return make(rest)


def _header(name: str) -> Read:
    return lambda asked: asked.headers.get(name.lower())


def _querystring(name: str) -> Read:
    def read(asked: Asked) -> str | None:
        values = [value for key, value in asked.query if key == name]
        return ",".join(values) if values else None

    return read


def _path(name: str) -> Read:
    return (lambda asked: asked.parameters.get(name)) if name else lambda asked: unquote(asked.path)


def _body(path: str) -> Read:
    if not path:
        return lambda asked: asked.text() if asked.body else None
    try:
        query = parse(f"$.{path}")
    except SyntaxFault:
        raise RouteFault(messages.MAPPING.format(text=f"request.body.{path}")) from None
    if query.tail is not None or query.call is not None:
        raise RouteFault(messages.MAPPING.format(text=f"request.body.{path}"))

    def read(asked: Asked) -> str | None:
        try:
            document = loads(asked.body)
        except JsonFault:
            return None
        found = query.find(document, document)
        if found is MISSING or found is None:
            return None
        return found if isinstance(found, str) else dumps(found)

    return read


def _context(path: str) -> Read:
    names = path.split(".")

    def read(asked: Asked) -> str | None:
        value: Any = asked.context
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return None if value is None or isinstance(value, Mapping) else str(value)

    return read


def _variable(name: str) -> Read:
    return lambda asked: asked.variables.get(name)


_REQUEST: Final[Mapping[str, Callable[[str], Read]]] = {
    "header": _header,
    "querystring": _querystring,
    "path": _path,
    "body": _body,
}
