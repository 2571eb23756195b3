"""Rules about fields that always fail with what flows in: flow.py finds them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any, Final

from stepwell.asl.explain.jsonata.chains import chains
from stepwell.asl.inference import field_shapes as fields
from stepwell.asl.inference.contexts import ERROR_OUTPUT, context
from stepwell.asl.inference.flow import Failure
from stepwell.asl.inference.machine import State, own_fields, texts
from stepwell.asl.inference.shapes import (
    ABSENT,
    ARRAY,
    MAYBE,
    Shape,
    has_hole,
    join,
    present,
    read,
    reason,
)
from stepwell.asl.jsonata import is_expression, plain_path
from stepwell.asl.lint.rule import Find, Found, Rule, Subject


def _failures(subject: Subject) -> Iterator[Failure]:
    """Without those of errors that a catcher takes: they may be intended."""
    return (each for each in subject.facts.failures if not each.handled)


def _of(code: str) -> Find:
    def find(subject: Subject) -> Iterator[Found]:
        for failure in _failures(subject):
            if failure.cause.code == code:
                yield failure.cause.location, failure.cause.message

    return find


_MEMBERS: Final = ("input", "context", "result", "errorOutput")
# what an expression may do with a value that may be absent
_COPES: Final = re.compile(r"\?|\$(?:exists|count|append|merge|not|boolean|type)\b")


def reads_nothing(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if not state.jsonata or state.name not in subject.facts.inputs:
            continue
        for _, text, where in texts(own_fields(state), state.location):
            if is_expression(text) and not has_hole(text) and not _COPES.search(text):
                source = text[2:-2].strip()
                if plain_path(source) is None:
                    yield from _dead_chains(subject, state, source, where)


def _dead_chains(subject: Subject, state: State, source: str, where: str) -> Iterator[Found]:
    for chain in chains(source):
        keys = list(takewhile(lambda key: isinstance(key, str), (link.key for link in chain.links)))
        if chain.root == "$states" and keys and keys[0] not in _MEMBERS:
            yield where, fields.unknown_member(str(keys[0]))
        root = _root(subject, state, chain.root, keys, where)
        if root is None:
            continue
        shape, names = root
        found = _mapped(shape, names)
        if found.absent and not shape.absent:
            yield (
                where,
                f"{chain.text} never has a value: {reason(shape, tuple(names))}. Correct the path "
                "or its source",
            )


def _root(
    subject: Subject, state: State, root: str, keys: list[Any], where: str
) -> tuple[Shape, list[str]] | None:
    """What a chain reads, and the names below it; None if it is not known."""
    flow = subject.facts.flows[state]
    if root == "$states" and keys:
        catching = "/Catch[" in where.removeprefix(state.location)
        result = None if catching else subject.facts.results.get(state)
        roots = {
            "input": flow.input,
            "result": result,
            "errorOutput": ERROR_OUTPUT if catching else None,
            "context": None
            if where.startswith(state.at("ItemSelector"))
            else context(state, subject.execution_input),
        }
        shape = roots.get(keys[0])
        return None if shape is None else (shape, keys[1:])
    if root[1:] in flow.variables:
        return present(flow.variables[root[1:]]), keys
    return None


def _mapped(shape: Shape, keys: list[str]) -> Shape:
    """As JSONata follows names, through arrays."""
    for key in keys:
        found = read(shape, key)
        if ARRAY in shape.kinds:
            if shape.items is None:
                return MAYBE
            found = join(found, join(_mapped(shape.items, [key]), ABSENT))
        shape = found
    return shape


def handled(subject: Subject) -> Iterator[Found]:
    for failure in subject.facts.failures:
        if failure.handled:
            yield failure.cause.location, f"{failure.cause.message} (a catcher takes the error)"


RULES: Final = (
    Rule(
        fields.NOT_FOUND,
        "path-finds-nothing",
        "A path never finds a value.",
        _of(fields.NOT_FOUND),
    ),
    Rule(
        fields.WRONG_TYPE,
        "wrong-type",
        "A field never gets a value of its type.",
        _of(fields.WRONG_TYPE),
    ),
    Rule(
        fields.RESULT_PATH,
        "result-path-mismatch",
        "The input has no place for the result.",
        _of(fields.RESULT_PATH),
    ),
    Rule(
        fields.INTRINSIC,
        "intrinsic-fails",
        "An intrinsic function never gets arguments of its types.",
        _of(fields.INTRINSIC),
    ),
    Rule(
        fields.UNDEFINED,
        "expression-undefined",
        "A JSONata path never finds a value.",
        _of(fields.UNDEFINED),
    ),
    Rule(
        "W107",
        "expression-reads-nothing",
        "A part of an expression never has a value.",
        reads_nothing,
    ),
    Rule("N106", "always-caught", "A field always fails, and a catcher takes the error.", handled),
)
