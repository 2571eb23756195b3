"""The search attributes of an execution, as they are stored with its start and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from stepwell.asl import search_attributes
from stepwell.asl.search_attributes import ERROR, Attribute
from stepwell.engine.core.model import RUNNING, Execution, Payload
from stepwell.engine.search.values import Scalar, decode, encode


class Stored(NamedTuple):
    """closing: it belongs to the end of the execution, which a redrive takes back."""

    name: str
    value: bytes
    closing: bool


class Indexed(NamedTuple):
    """An execution as it was read, and what is to be stored of it: (stopped, events) tell whether
    it has ended, or was redriven, since.
    """

    id: int
    stopped: int | None
    events: int
    attributes: Sequence[Stored]


NONE: Final[Sequence[Stored]] = ()


def attributes(
    x: Execution,
    named: Sequence[Attribute],
    created: bool,
    renamed: Mapping[str, Sequence[Attribute]],
) -> Sequence[Stored]:
    """What a unit stores that starts or ends an execution.

    named    by the definition that it runs
    created  the unit starts it
    renamed  ARN of a state machine -> what it names now, if that has changed (machines/naming.py)
    """
    if x.express or x.parent is not None:  # they are not listed by themselves
        return NONE
    now = renamed.get(x.machine_arn) if renamed else None
    if now is not None:
        named = now
    elif (tagged := x.extras.get("search")) is not None:
        named = (*named, *search_attributes.read(tagged))
    if not named and x.error is None:
        return NONE
    error = x.error if x.status != RUNNING else None
    return stored(named, x.input if created else None, x.output, error)


def stored(
    named: Sequence[Attribute], input: Payload | None, output: Payload | None, error: str | None
) -> Sequence[Stored]:
    """What is stored of an execution, or of what is new of it."""
    found: dict[tuple[str, bytes], bool] = {}
    for closing, payload in ((False, input), (True, output)):
        if payload is not None:
            found |= _of(payload, [each for each in named if each.output == closing], closing)
    if error is not None:
        found[ERROR, encode(error)] = True
    return [Stored(name, value, closing) for (name, value), closing in found.items()]


def shown(rows: Sequence[tuple[str, bytes]]) -> dict[str, list[Scalar]]:
    """Rows (name, value) of an execution, as clients see them."""
    found: dict[str, list[Scalar]] = {}
    for name, value in rows:
        found.setdefault(name, []).append(decode(value))
    return found


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
