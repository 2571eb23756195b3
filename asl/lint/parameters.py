"""Rules about the parameters of tasks that call services."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepwell.asl.inference.machine import State
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.templates import DYNAMIC


def _names(state: State) -> frozenset[str] | None:
    """The names of the parameters; None if they are not written in the definition."""
    written = state.fields.get("Arguments" if state.jsonata else "Parameters")
    if not isinstance(written, dict) or any(map(has_hole, written)):
        return None
    return frozenset(name if state.jsonata else name.removesuffix(DYNAMIC) for name in written)


def unfit(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        names = _names(state)
        if state.resource is not None and names is not None:
            field = state.at("Arguments" if state.jsonata else "Parameters")
            for message in subject.parameters(state.resource, names):
                yield field, message


RULES: Final = (
    Rule("W109", "unfit-parameters", "A service does not accept the parameters of a task.", unfit),
)
