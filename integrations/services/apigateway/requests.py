"""A request to an HTTP API, and its response."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stepwell.asl.json_text import dumps

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """path: within the stage, percent-encoded; headers: by lower-case names, values of one name
    joined by commas; path_parameters, stage_variables: of the route and stage that serve it.
    """

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    stage_variables: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class ApiResponse(NamedTuple):
    """headers: by lower-case names."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def message_response(status: int, text: str) -> ApiResponse:
    """{"message": text}"""
    return ApiResponse(status, [("content-type", JSON)], dumps({"message": text}).encode())
