"""Definition text -> StateMachine or all its diagnostics, with AWS's messages where they are known.

    text --json_text.py--> value --definition.py--> models: types and ranges
                           value --checks.py--> rules between fields and between states

These functions never raise: the answer to every input is a Validation.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stepwell.asl import json_text, messages
from stepwell.asl.checks import ERROR, STANDARD, TYPES, WARNING, Diagnostic, Rules, successors
from stepwell.asl.definition import StateMachine
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.json_text import JsonDepthError, JsonError, item, member
from stepwell.asl.limits import DEFAULT_LIMITS, Limits

__all__ = [
    "ERROR",
    "WARNING",
    "Diagnostic",
    "Validation",
    "invalid_definition_text",
    "shape_errors",
    "validate",
    "validate_state",
]


class Validation(NamedTuple):
    """definition: None if any diagnostic is an ERROR. diagnostics: in the order of the text."""

    definition: StateMachine | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(each for each in self.diagnostics if each.severity == ERROR)


def validate(
    text: str | bytes | Json,
    type: str = STANDARD,
    limits: Limits = DEFAULT_LIMITS,
    known_resource: Callable[[str], str | None] | None = None,
) -> Validation:
    """Check a definition: JSON text, its UTF-8 bytes, or its JSON value.

    type            STANDARD or EXPRESS
    known_resource  called for a Resource that AWS does not have: what runs it here, or None
    """
    value, faults = _read(text, limits)
    return (
        Validation(None, faults)
        if value is MISSING
        else _check(value, faults, type, limits, known_resource)
    )


def validate_state(
    text: str | bytes | Json,
    name: str = "StateName",
    limits: Limits = DEFAULT_LIMITS,
    known_resource: Callable[[str], str | None] | None = None,
) -> Validation:
    """Check a single state, for TestState. The definition is a machine of this state, with a
    Succeed state for each of its targets.
    """
    value, faults = _read(text, limits)
    if value is MISSING:
        return Validation(None, faults)
    states = {target: {"Type": "Succeed"} for target in sorted(successors(value))}
    machine = {
        "StartAt": name,
        "States": {
            name: value,
            **{target: state for target, state in states.items() if target != name},
        },
    }
    return _check(
        machine, faults, STANDARD, limits, known_resource, ignore=messages.MISSING_END_STATE
    )


def invalid_definition_text(
    diagnostics: Iterable[Diagnostic], limits: Limits = DEFAULT_LIMITS
) -> str:
    """The message of CreateStateMachine for an invalid definition."""
    errors = [each for each in diagnostics if each.severity == ERROR][: limits.diagnostics]
    return messages.INVALID_DEFINITION.format(text=", ".join(map(_line, errors)))


def _line(diagnostic: Diagnostic) -> str:
    code, message, location, _ = diagnostic
    if location is None or code == messages.INVALID_JSON:  # its message contains the place
        return f"{code}: {message}"
    return f"{code}: {message} at {location}"


def shape_errors(value: Json, limits: Limits = DEFAULT_LIMITS) -> list[Diagnostic]:
    """The errors of a definition's JSON value in types, ranges and names of fields only."""
    if not isinstance(value, dict):
        return [Diagnostic(messages.SCHEMA, messages.NOT_AN_OBJECT)]
    _, incomplete, wrong = _shape(value, limits)
    return [*incomplete, *wrong]


# --- text -> value --------------------------------------------------------------------------------


def _read(source: str | bytes | Json, limits: Limits) -> tuple[Json, tuple[Diagnostic, ...]]:
    """(the definition's JSON object, diagnostics of the text); MISSING if it is not an object."""
    try:
        text = source if isinstance(source, str | bytes) else json_text.encode(source)
        if not text.strip():
            return MISSING, (Diagnostic(messages.SCHEMA, messages.NOT_AN_OBJECT),)
        if json_text.size(text) > limits.definition_bytes:
            return MISSING, (
                Diagnostic(
                    messages.SCHEMA, messages.DEFINITION_SIZE.format(limit=limits.definition_bytes)
                ),
            )
        value = json_text.loads(text, limits.definition_depth)
    except JsonDepthError:
        return MISSING, (
            Diagnostic(
                messages.TOO_DEEPLY_NESTED,
                messages.DEFINITION_DEPTH.format(limit=limits.definition_depth),
            ),
        )
    except JsonError as fault:
        message = (
            messages.JSON_AT.format(message=fault.message, source=fault.place)
            if fault.place
            else fault.message
        )
        return MISSING, (Diagnostic(messages.INVALID_JSON, message, fault.place or None),)
    if not isinstance(value, dict):
        return MISSING, (Diagnostic(messages.SCHEMA, messages.NOT_AN_OBJECT),)
    if isinstance(text, bytes):
        text = text.decode()
    return value, tuple(_duplicates(text)) if json_text.has_duplicates(text) else ()


def _duplicates(text: str) -> Iterable[Diagnostic]:
    for location, first, second in json_text.duplicates(text):
        parent, _, key = location.rpartition("/")
        code = messages.DUPLICATE_STATE_NAME if parent.endswith("/States") else messages.SCHEMA
        yield Diagnostic(
            code, messages.DUPLICATE_KEY.format(key=key, first=first, second=second), location
        )


# --- value -> models and rules --------------------------------------------------------------------


def _check(
    value: dict[str, Json],
    faults: tuple[Diagnostic, ...],
    type: str,
    limits: Limits,
    known_resource: Callable[[str], str | None] | None,
    ignore: str | None = None,
) -> Validation:
    definition, incomplete, wrong = _shape(value, limits)
    rules = Rules(limits, known_resource)
    rules.machine(value, type)
    known = {each.location for each in wrong}  # a field of a wrong type has one diagnostic only
    found = [*faults, *incomplete, *wrong]
    found += [
        each
        for each in dict.fromkeys(rules.found)
        if each.code != ignore and each.location not in known
    ]
    if len(found) > 1:
        order = {location: index for index, location in enumerate(_locations(value))}
        found.sort(key=lambda each: json_text.nearest(order, each.location or "/"))
    return Validation(
        None if any(each.severity == ERROR for each in found) else definition, tuple(found)
    )


def _locations(value: Json) -> Iterable[str]:
    """Every location of a value, in the order of its text."""
    waiting = [("/", value)]
    while waiting:
        location, each = waiting.pop()
        yield location
        if isinstance(each, dict):
            waiting += [(member(location, key), inner) for key, inner in reversed(each.items())]
        elif isinstance(each, list):
            waiting += [
                (item(location, index), each[index]) for index in reversed(range(len(each)))
            ]


def _quoted(expected: str) -> str:
    return ", ".join(re.findall(r"'([^']*)'", expected))


# type in AWS's messages -> pydantic's error types
_TYPES: Final = {
    "Object": "dict_type model_type model_attributes_type",
    "Array": "tuple_type list_type",
    "String": "string_type",
    "Integer": "int_type int_from_float int_parsing_size",
    "Number": "float_type finite_number",
    "Boolean": "bool_type",
}
# pydantic's error type -> message; {field} is the last name of the place, other placeholders come
# from pydantic's context
_MESSAGES: Final = {
    "extra_forbidden": messages.FIELD_NOT_SUPPORTED,
    "literal_error": messages.ONE_OF,
    "too_short": messages.EMPTY_VALUE,
    "string_too_short": messages.EMPTY_VALUE,
    "string_too_long": messages.TOO_LONG,
    "greater_than_equal": messages.AT_LEAST,
    "less_than_equal": messages.AT_MOST,
    **{
        name: messages.EXPECTED_TYPE.format(type=kind)
        for kind, names in _TYPES.items()
        for name in names.split()
    },
}


def _shape(
    value: dict[str, Json], limits: Limits
) -> tuple[StateMachine | None, list[Diagnostic], list[Diagnostic]]:
    """(models, diagnostics of objects that lack fields, diagnostics of fields with a wrong type,
    range or name).
    """
    try:
        return StateMachine.model_validate(value, context=limits), [], []
    except ValidationError as errors:
        details = errors.errors(include_url=False, include_input=False)
    required: defaultdict[str, list[str]] = defaultdict(list)
    wrong = []
    for detail in details:
        location, field = _place(detail["loc"])
        if detail["type"] == "missing":
            required[location.removesuffix("/" + field) or "/"].append(field)
        elif detail["type"] == "union_tag_not_found":
            required[location].append("Type")
        else:
            wrong.append(_diagnostic(detail, location, field))
    lists = (
        (messages.REQUIRED_FIELDS.format(fields=", ".join(fields)), location)
        for location, fields in required.items()
    )
    return (
        None,
        [Diagnostic(messages.SCHEMA, message, location) for message, location in lists],
        wrong,
    )


def _diagnostic(detail: ErrorDetails, location: str, field: str) -> Diagnostic:
    context = detail.get("ctx", {})
    if detail["type"] == "union_tag_invalid":
        return Diagnostic(
            messages.SCHEMA,
            messages.ONE_OF.format(field="Type", values=", ".join(TYPES)),
            member(location, "Type"),
        )
    values = _quoted(str(context.get("expected", "")))
    template = _MESSAGES.get(detail["type"])
    message = (
        template.format(**{**context, "field": field, "values": values})
        if template
        else detail["msg"]
    )
    return Diagnostic(messages.SCHEMA, message, location)


def _place(steps: tuple[int | str, ...]) -> tuple[str, str]:
    """(location, its last name) of pydantic's place of an error. pydantic adds the Type of a state
    after its name; that is left out.
    """
    location, field, since_states = "/", "", 0
    for step in steps:
        if isinstance(step, int):
            location = item(location, step)
            continue
        since_states = since_states + 1 if since_states else 0
        if since_states == 3:  # States, its name, its type
            since_states = 0
            continue
        if step == "States" and not since_states:
            since_states = 1
        location, field = member(location, step), step
    return location, field
