"""REST with JSON: the operation in method and path, members of its input in path, query, headers and body, as the model places them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec
from botocore.model import ServiceModel, Shape, StructureShape
from botocore.utils import parse_timestamp

from stepwell.engine.errors import ApiError
from stepwell.integrations.api.protocol import Operation, Reply, Request, operations, scope_service

_JSON: Final = (b"content-type", b"application/json")
_LABEL: Final = ""  # in the tree of paths: any segment, but an empty one
_REST: Final = "+"  # all that is left of the path


class Template(NamedTuple):
    """Where an operation lives: `labels` are the names of the path's variable parts in their order, `fixed` what the query must have."""

    operation: Operation
    labels: tuple[str, ...]
    fixed: frozenset[tuple[str, str]]


class Tree:
    """Paths, segment by segment."""

    __slots__ = ("below", "here")

    def __init__(self) -> None:
        self.below: dict[str, Tree] = {}
        self.here: dict[str, list[Template]] = {}  # by method

    def add(self, segments: list[str], method: str, template: Template) -> None:
        node = self
        for segment in segments:
            key = segment if not segment.startswith("{") else _REST if segment.endswith("+}") else _LABEL
            node = node.below.setdefault(key, Tree())
        node.here.setdefault(method, []).append(template)

    def find(self, segments: list[str], method: str, at: int = 0) -> tuple[list[Template], list[str]]:
        """The operations at a path and the values of its labels, still encoded; what is fixed goes before what is variable."""
        if at == len(segments):
            return self.here.get(method, []), []
        segment = segments[at]
        for key, value in ((segment, []), (_LABEL, [segment] if segment else None)):
            node = self.below.get(key) if value is not None and key not in (segment if value else "") else None
            if node is not None and value is not None:
                found, rest = node.find(segments, method, at + 1)
                if found:
                    return found, value + rest
        if (node := self.below.get(_REST)) is not None:
            return node.here.get(method, []), ["/".join(segments[at:])]
        return [], []


class RestWire:
    """restJson1."""

    def __init__(self, models: Iterable[ServiceModel]) -> None:
        self._paths = Tree()
        self._inputs: dict[Operation, Callable[[Request, Template, list[str]], dict[str, Any]]] = {}
        for model in models:
            for operation in operations(model, self):
                http = operation.model.http
                path, _, query = http["requestUri"].partition("?")
                segments = path.split("/")[1:]
                labels = tuple(segment.strip("{+}") for segment in segments if segment.startswith("{"))
                self._paths.add(segments, http["method"], Template(operation, labels, frozenset(parse_qsl(query, keep_blank_values=True))))
        self._decode, self._encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
