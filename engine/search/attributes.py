"""The search attributes of an execution, as they are stored with its start and its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from stepwell.asl import search_attributes
from stepwell.asl.search_attributes import ERROR, Attribute
from stepwell.engine.core.model import RUNNING, Execution, Payload
from stepwell.engine.search.values import encode


class Stored(NamedTuple):
    """closing: it belongs to the end of the execution, which a redrive takes back."""

    name: str
    value: bytes
    closing: bool


NONE: Final[Sequence[Stored]] = ()


def attributes(x: Execution, named: Sequence[Attribute], created: bool) -> Sequence[Stored]:
    """What a unit stores that starts or ends an execution.

    named    by the definition that it runs
    created  the unit starts it
    """
    if x.express or x.parent is not None:  # they are not listed by themselves
        return NONE
    tagged = x.extras.get("search")
    if tagged is not None:
        named = (*named, *search_attributes.read(tagged))
    if not named and x.error is None:
        return NONE
    found: dict[tuple[str, bytes], bool] = {}
    for closing, payload in ((False, x.input if created else None), (True, x.output)):
        if payload is not None:
            found |= _of(payload, [each for each in named if each.output == closing], closing)
    if x.status != RUNNING and x.error is not None:
        found[ERROR, encode(x.error)] = True
    return [Stored(name, value, closing) for (name, value), closing in found.items()]


def _of(
    payload: Payload, named: Sequence[Attribute], closing: bool
) -> dict[tuple[str, bytes], bool]:
    if not named:
        return {}
    data = payload.value
    return {
        (each.name, encode(value)): closing
        for each in named
        for value in search_attributes.values(each, data)
    }
