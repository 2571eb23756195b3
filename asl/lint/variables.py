"""Rules about variables: which states assign and read them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from stepwell.asl.definition import DISTRIBUTED
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.expression_fields import reach
from stepwell.asl.inference.field_shapes import UNASSIGNED
from stepwell.asl.inference.machine import Block, State, own_fields, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.jsonata import compile_jsonata, is_expression
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.templates import DYNAMIC
from stepwell.asl.variables import names_read

_IGNORED: Final = ("Comment", "Result", "Type", "Next", "Default", "Retry")
_ASSIGNS: Final = (("Assign",), ("Catch", "[]", "Assign"), ("Choices", "[]", "Assign"))


def _references(state: State) -> tuple[tuple[str, str, bool], ...]:
    """(name, location, certain) of the variables that a state reads; not certain: it may be a
    function.
    """
    return tuple(_reading(state))


def _reading(state: State) -> Iterator[tuple[str, str, bool]]:
    for field, value in own_fields(state).items():
        if field in _IGNORED:
            continue
        for key, text, where in texts({field: value}, state.location):
            if "$" not in text or has_hole(text):
                continue
            variables, functions = _names(state, key, text)
            yield from ((name, where, True) for name in sorted(variables))
            yield from ((name, where, False) for name in sorted(functions))


def _names(state: State, key: str, text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Of variables, and of functions that variables may replace."""
    if not state.jsonata:
        read = key.endswith((DYNAMIC, "Path")) or key == "Variable"
        return frozenset(names_read(text)) if read else frozenset(), frozenset()
    if not is_expression(text):
        return frozenset(), frozenset()
    try:
        expression = compile_jsonata(text[2:-2])
    except ExpressionSyntaxError:
        return frozenset(), frozenset()
    return expression.variables, expression.functions


def assignments(state: State) -> dict[str, str]:
    """{name: location} of the variables that a state assigns."""
    found: dict[str, str] = {}
    for steps in _ASSIGNS:
        for assign, where in reach(state.fields, steps, state.location):
            for key in assign if isinstance(assign, dict) else ():
                found.setdefault(key if state.jsonata else key.removesuffix(DYNAMIC), where)
    return found


def _visible(block: Block) -> dict[str, str]:
    """The variables that the states of a block may read."""
    found: dict[str, str] = {}
    around: Block | None = block
    while around is not None:
        for state in around.states.values():
            found |= assignments(state)
        if around.config.get("Mode") == DISTRIBUTED:
            return found
        around = around.owner.block if around.owner else None
    return found


def unknown(subject: Subject) -> Iterator[Found]:
    elsewhere = {name: state for state in subject.machine.states for name in assignments(state)}
    reported = {each.cause.location for each in subject.facts.failures}
    for block in subject.machine.blocks:
        visible = _visible(block)
        if any(map(has_hole, visible)):
            continue
        for state in block.states.values():
            for name, where, certain in subject.once(_references, state):
                if certain and name not in visible and where not in reported:
                    yield where, _unknown(name, elsewhere.get(name), state)


def _unknown(name: str, assigned: State | None, state: State) -> str:
    if assigned is not None:
        if any(around.distributed for around in state.around()):
            return (
                f"${name} has no value here: each iteration of a distributed Map is an execution "
                "of its own, without the variables around it. Pass the value in ItemSelector"
            )
        return (
            f"${name} has no value here: '{assigned.name}' assigns it in another scope. Return it "
            "in the output of that scope, or assign it here"
        )
    what = "variable or function" if state.jsonata else "variable"
    return f"there is no {what} ${name}: no state assigns it. Assign it, or correct the name"


def not_yet(subject: Subject) -> Iterator[Found]:
    """Variables that no state before assigns, and why."""
    elsewhere = {name: state for state in subject.machine.states for name in assignments(state)}
    for failure in subject.facts.failures:
        if failure.handled or failure.cause.code != UNASSIGNED:
            continue
        state, message = failure.state, failure.cause.message
        match = re.match(r"\$(\w+) has no value here", message)
        if match and match[1] not in _visible(state.block):
            message = _unknown(match[1], elsewhere.get(match[1]), state)
        elif match and elsewhere[match[1]] is state:
            message = (
                f"{match[0]}: '{state.name}' itself assigns it, which takes effect in the next "
                "state. Read the value itself here"
            )
        yield failure.cause.location, message


def never_read(subject: Subject) -> Iterator[Found]:
    read: dict[str, bool] = {}
    for state in subject.machine.states:
        read |= {name: True for name, _, _ in subject.once(_references, state)}
    whole = _whole(subject)
    for state in subject.machine.states:
        for name, where in assignments(state).items():
            if name not in read and not has_hole(name) and not whole:
                yield where, f"no state reads ${name}. Remove it, or correct the name of a reader"


def _whole(subject: Subject) -> Mapping[str, str]:
    """Fields with a placeholder: they may read any variable."""
    return {
        where: text
        for state in subject.machine.states
        for _, text, where in texts(own_fields(state), state.location)
        if has_hole(text) and "$" in text.replace("${", "")
    }


RULES: Final = (
    Rule("W401", "unknown-variable", "No state assigns a variable that is read.", unknown),
    Rule(
        UNASSIGNED,
        "variable-not-assigned-yet",
        "A variable is read before any state assigns it.",
        not_yet,
    ),
    Rule("N403", "variable-never-read", "No state reads a variable that is assigned.", never_read),
)
