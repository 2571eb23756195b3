"""Request parameters of integrations: values that are read from a request. Pure.

    $request.header.x     $request.body.order.id     ${context.requestId}-${stageVariables.v}

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-parameter-mapping.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from stepwell.asl.evaluation import MISSING
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.json_text import JsonError, dumps, loads
from stepwell.asl.jsonpath_grammar import parse
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.requests import ApiRequest

_SLOT: Final = re.compile(r"\$\{([^{}]+)\}")

Read = Callable[[ApiRequest], str | None]


class MappingError(ValueError):
    """A text that is not a valid mapping."""


def compile_mapping(text: str) -> Read:
    """The value of a request parameter: `$request.header.x`, a text with `${request.header.x}` in
    it, or a plain text.

    A mapping that finds no value returns None: the parameter is omitted. Within a text it is empty.
    Raises MappingError.
    """
    if text.startswith("$") and not text.startswith("${"):
        return _source(text[1:])
    pieces = _SLOT.split(text)
    if len(pieces) == 1:
        return lambda request: text
    reads = [_constant(piece) if at % 2 == 0 else _source(piece) for at, piece in enumerate(pieces)]
    return lambda request: "".join(read(request) or "" for read in reads)


def _constant(text: str) -> Read:
    return lambda request: text


def _source(text: str) -> Read:
    kind, _, rest = text.partition(".")
    if kind == "request":
        kind, _, rest = rest.partition(".")
        compile_source = _REQUEST.get(kind)
    else:
        compile_source = {"context": _context, "stageVariables": _stage_variable}.get(kind)
    needs_name = kind not in ("path", "body")
    if compile_source is None or (needs_name and not rest):
        raise MappingError(messages.MAPPING.format(text=text))
    return compile_source(rest)


def _header(name: str) -> Read:
    return lambda request: request.headers.get(name.lower())


def _querystring(name: str) -> Read:
    def read(request: ApiRequest) -> str | None:
        values = [value for key, value in request.query if key == name]
        return ",".join(values) if values else None

    return read


def _path(name: str) -> Read:
    if name:
        return lambda request: request.path_parameters.get(name)
    return lambda request: unquote(request.path)


def _body(path: str) -> Read:
    if not path:
        return lambda request: request.text() if request.body else None
    try:
        query = parse(f"$.{path}")
    except ExpressionSyntaxError:
        raise MappingError(messages.MAPPING.format(text=f"request.body.{path}")) from None
    if query.tail is not None or query.call is not None:
        raise MappingError(messages.MAPPING.format(text=f"request.body.{path}"))

    def read(request: ApiRequest) -> str | None:
        try:
            document = loads(request.body)
        except JsonError:
            return None
        value = query.find(document, document)
        if value is MISSING or value is None:
            return None
        return value if isinstance(value, str) else dumps(value)

    return read


def _context(path: str) -> Read:
    names = path.split(".")

    def read(request: ApiRequest) -> str | None:
        value: Any = request.context
        for name in names:
            value = value.get(name) if isinstance(value, Mapping) else None
        return None if value is None or isinstance(value, Mapping) else str(value)

    return read


def _stage_variable(name: str) -> Read:
    return lambda request: request.stage_variables.get(name)


_REQUEST: Final[Mapping[str, Callable[[str], Read]]] = {
    "header": _header,
    "querystring": _querystring,
    "path": _path,
    "body": _body,
}
