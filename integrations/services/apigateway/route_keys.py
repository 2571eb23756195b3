"""Route keys of HTTP APIs, and which route serves a request. Pure.

    POST /orders     GET /orders/{id}     ANY /files/{path+}     $default

If several routes match, the one with the most specific path serves the request: segment by segment,
text precedes a variable, and a variable precedes a greedy one. If the paths are equal, a method
precedes ANY. `$default` serves requests that no other route matches. Source:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple
from urllib.parse import unquote

from stepwell.integrations.services.apigateway import messages

DEFAULT: Final = "$default"
METHODS: Final = ("ANY", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_VARIABLE: Final = re.compile(r"\{([A-Za-z0-9._:-]+)(\+?)\}\Z")
_TEXT: Final = re.compile(r"[^{}?#\s]*\Z")


class RouteKeyError(ValueError):
    """A text that is not a valid route key."""


class Segment(IntEnum):
    """The kinds of segments of a path, the most specific first."""

    TEXT = 0
    VARIABLE = 1
    GREEDY = 2


class RouteKey(NamedTuple):
    """segments: (kind, the text or the variable's name)"""

    method: str
    segments: tuple[tuple[Segment, str], ...]

    def match(self, method: str, segments: Sequence[str]) -> dict[str, str] | None:
        """The path parameters of a request; None if it does not match. segments: of its path,
        percent-encoded.
        """
        if self.method not in (method, "ANY"):
            return None
        greedy = bool(self.segments) and self.segments[-1][0] == Segment.GREEDY
        if len(segments) < len(self.segments) or (
            len(segments) > len(self.segments) and not greedy
        ):
            return None
        parameters = {}
        for at, (kind, name) in enumerate(self.segments):
            value = "/".join(segments[at:]) if kind == Segment.GREEDY else segments[at]
            if kind == Segment.TEXT:
                if unquote(value) != name:
                    return None
            elif not value:
                return None
            else:
                parameters[name] = unquote(value)
        return parameters

    def order(self) -> tuple[list[Segment], bool]:
        """Of the keys that match a request, the smallest serves it."""
        return [kind for kind, _ in self.segments], self.method == "ANY"


def parse_key(text: str) -> RouteKey | None:
    """None for `$default`. Raises RouteKeyError."""
    if text == DEFAULT:
        return None
    method, blank, path = text.partition(" ")
    if not blank or method not in METHODS or not path.startswith("/"):
        raise RouteKeyError(messages.ROUTE_KEY)
    segments = path.split("/")[1:]
    parsed: list[tuple[Segment, str]] = []
    for at, segment in enumerate(segments):
        variable = _VARIABLE.match(segment)
        if variable is None and not _TEXT.match(segment):
            raise RouteKeyError(messages.ROUTE_KEY)
        if variable is not None and variable[2] and at < len(segments) - 1:
            raise RouteKeyError(messages.ROUTE_GREEDY)
        if variable is None:
            parsed.append((Segment.TEXT, segment))
        else:
            parsed.append((Segment.GREEDY if variable[2] else Segment.VARIABLE, variable[1]))
    names = [name for kind, name in parsed if kind != Segment.TEXT]
    if len(set(names)) < len(names):
        raise RouteKeyError(messages.ROUTE_KEY)
    return RouteKey(method, tuple(parsed))


class RouteTable:
    """routes: (id, route key). Raises RouteKeyError."""

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        keyed = [(parse_key(key), id) for id, key in routes]
        self._default = next((id for key, id in keyed if key is None), None)
        self._keys = sorted(
            ((key, id) for key, id in keyed if key is not None), key=lambda each: each[0].order()
        )

    def find(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        """The route that serves a request: (id, path parameters), or None. path: percent-encoded,
        beginning with a slash.
        """
        segments = path.split("/")[1:]
        for key, id in self._keys:
            parameters = key.match(method, segments)
            if parameters is not None:
                return id, parameters
        return None if self._default is None else (self._default, {})
