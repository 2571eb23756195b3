"""A message on its way into a queue, from whichever service or task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

Attributes = Mapping[
    str, Mapping[str, Any]
]  # name -> {"DataType", "StringValue" or "BinaryValue": bytes}

_NONE: Final[Attributes] = {}


class Outgoing(NamedTuple):
    """A message for a queue, which is named by its URL or ARN.

    once  of a sender here that may send a message twice: the second one of that name has no effect
    """

    queue: str
    body: str
    attributes: Attributes = _NONE
    group: str | None = None
    deduplication: str | None = None
    delay_seconds: int | None = None
    system: Attributes = _NONE
    once: str = ""
