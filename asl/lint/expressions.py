"""Rules about texts that look like expressions of a query language, but are not evaluated as
such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from stepwell.asl.evaluation import Json
from stepwell.asl.explain.jsonata.chains import name_in_brackets
from stepwell.asl.explain.literals import MEANS_PATH, mistakes
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.inference.machine import Machine, State, own_fields, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.intrinsics import FUNCTIONS
from stepwell.asl.jsonata import compile_jsonata, is_expression
from stepwell.asl.jsonata_functions import uncalled
from stepwell.asl.lint.rule import Find, Found, Rule, Subject
from stepwell.asl.lint.variables import assignments
from stepwell.asl.templates import DYNAMIC

_PATH: Final = re.compile(r"\$\$?\.[A-Za-z_]\w*(?:\.\w+|\[\d+\])*")
_INTRINSIC: Final = re.compile(r"\bStates\.([A-Z]\w+)\s*\(")
_QUOTED: Final = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")


_Text: TypeAlias = tuple[State, str, str, str, str]  # state, field, key, text, location


def _written(subject: Subject) -> tuple[_Text, ...]:
    """The texts of all states."""
    found: tuple[_Text, ...] = subject.once(_texts, subject.machine)
    return found


def _texts(machine: Machine) -> tuple[_Text, ...]:
    return tuple(_reading(machine))


def _reading(machine: Machine) -> Iterator[_Text]:
    for state in machine.states:
        for field, value in own_fields(state).items():
            if field not in ("Comment", "Result"):
                for key, text, where in texts({field: value}, state.location):
                    yield state, field, key, text, where


def _expressions(subject: Subject) -> Iterator[tuple[str, str]]:
    """(source, location) of the JSONata expressions."""
    for state, _, _, text, where in _written(subject):
        if state.jsonata and is_expression(text) and not has_hole(text):
            yield text[2:-2].strip(), where


def _document(source: str) -> Json:
    try:
        return compile_jsonata(source).document
    except ExpressionSyntaxError:
        return {}


def path_in_jsonata(subject: Subject) -> Iterator[Found]:
    for source, where in _expressions(subject):
        names = _document(source)
        if isinstance(names, dict) and names and not _intrinsics(source):
            name = next(iter(names))
            yield (
                where,
                f"'{name}' is read from $, which is undefined at the top of an expression. Write "
                f"$states.input.{name}, or $states.result.{name} after a task",
            )


def _intrinsics(source: str) -> list[str]:
    names = _INTRINSIC.findall(_QUOTED.sub("", source))
    return [name for name in names if f"States.{name}" in FUNCTIONS]


def intrinsic_in_jsonata(subject: Subject) -> Iterator[Found]:
    for source, where in _expressions(subject):
        for name in _intrinsics(source)[:1]:
            yield (
                where,
                f"States.{name} is an intrinsic function of JSONPath, and fails in JSONata. Use "
                "JSONata's own functions, such as & to join texts, $merge or $uuid()",
            )


def in_brackets(subject: Subject) -> Iterator[Found]:
    for source, where in _expressions(subject):
        if found := name_in_brackets(source):
            yield (
                where,
                f"{found[0]} is a predicate that is true for every value, not a name. Write "
                f"{found[1]}",
            )


def not_called(subject: Subject) -> Iterator[Found]:
    variables = {name for state in subject.machine.states for name in assignments(state)}
    for source, where in _expressions(subject):
        try:
            functions = compile_jsonata(source).functions
        except ExpressionSyntaxError:
            continue
        for name in sorted(uncalled(source, functions) - variables)[:1]:
            yield (
                where,
                f"${name} is a function, which no state can return: the expression fails. Call it: "
                f"${name}(...)",
            )


def path_in_result(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if state.type == "Pass" and not state.jsonata:
            for key, text, where in texts(state.fields.get("Result"), state.at("Result")):
                meant = key.endswith(DYNAMIC) or MEANS_PATH.search(key)  # checks.py reports .$
                if _PATH.fullmatch(text) and not meant:
                    yield (
                        where,
                        f"the Result of a Pass state is plain JSON: {text} is a text. Use "
                        "Parameters, with .$ at the end of the name",
                    )


def _literal(code: str, jsonata: bool) -> Find:
    """The texts that explain's table of them reports under a code."""

    def find(subject: Subject) -> Iterator[Found]:
        for state in subject.machine.states:
            if state.jsonata is jsonata:
                for found, place, value, text in mistakes(own_fields(state), jsonata):
                    call = isinstance(value, str) and _INTRINSIC.match(value)
                    # of JSONPath, checks.py reports the paths
                    if found == code and not has_hole(value) and (jsonata or call):
                        yield f"{state.location}/{place}", text

    return find


RULES: Final = (
    Rule("W411", "path-in-jsonata", "An expression reads $, which is undefined.", path_in_jsonata),
    Rule(
        "W412",
        "intrinsic-in-jsonata",
        "An expression calls an intrinsic function of JSONPath.",
        intrinsic_in_jsonata,
    ),
    Rule(
        "W413",
        "expression-in-text",
        "Only a part of a text is in {% %}.",
        _literal("embedded-expression", True),
    ),
    Rule(
        "W414",
        "unmarked-expression",
        "A path in a JSONata state lacks {% %}.",
        _literal("literal-path", True),
    ),
    Rule(
        "W415",
        "unmarked-intrinsic",
        "A call in a template lacks .$.",
        _literal("literal-path", False),
    ),
    Rule(
        "W416",
        "jsonpath-key",
        "A key of a JSONata state ends in .$.",
        _literal("jsonpath-in-jsonata", True),
    ),
    Rule("W417", "path-in-result", "A path in the Result of a Pass is text.", path_in_result),
    Rule("W418", "name-in-brackets", "A text in brackets is no name in JSONata.", in_brackets),
    Rule("W419", "function-not-called", "An expression returns a function.", not_called),
)
