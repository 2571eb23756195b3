"""The table of the fields that may contain expressions: their query language and their checks.

A field is checked by compiling it, with the functions that program.py uses; the errors that they
raise are the diagnostics. Values of a wrong JSON type are skipped: the models report them.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from stepwell.asl import messages
from stepwell.asl.choice import compile_rule
from stepwell.asl.definition import JSONATA, JSONPATH
from stepwell.asl.evaluation import Json
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError, Fault
from stepwell.asl.intrinsics import TEXT_FUNCTIONS
from stepwell.asl.json_text import item, member
from stepwell.asl.jsonata import is_expression
from stepwell.asl.jsonata_values import compile_typed, compile_value
from stepwell.asl.limits import Limits
from stepwell.asl.paths import compile_path, compile_reference, compile_result_path
from stepwell.asl.templates import compile_template, compile_value_path
from stepwell.asl.timestamps import parse_timestamp

# (value, field name, limits); raises ExpressionSyntaxError or ExpressionError
Check: TypeAlias = Callable[[Json, str, Limits], object]


def _text(compiler: Callable[[str, Limits], object]) -> Check:
    return lambda value, field, limits: compiler(value, limits) if isinstance(value, str) else None


def _typed(*types: str) -> Check:
    """A plain string, or an expression."""
    return lambda value, field, limits: (
        compile_typed(value, field, types, limits) if isinstance(value, str) else None
    )


def _evaluated(*types: str) -> Check:
    """A value that is not a string, or an expression."""

    def check(value: Json, field: str, limits: Limits) -> None:
        if isinstance(value, str) and not is_expression(value):
            raise ExpressionSyntaxError(messages.NOT_EXPRESSION)
        compile_typed(value, field, types, limits)

    return check


def _literal(type: str) -> Check:
    """A value that is not a string: in JSONPath states the field has no expressions."""

    def check(value: Json, field: str, limits: Limits) -> None:
        if isinstance(value, str):
            raise ExpressionSyntaxError(messages.EXPECTED_TYPE.format(type=type))

    return check


def _template(value: Json, field: str, limits: Limits) -> object:
    return compile_template(value, field, limits)


def _fail_text(value: Json, field: str, limits: Limits) -> object:
    if not isinstance(value, str):
        return None
    return compile_value_path(value, field, TEXT_FUNCTIONS, limits)


def _timestamp(value: Json, field: str, limits: Limits) -> None:
    if isinstance(value, str) and parse_timestamp(value) is None:
        raise ExpressionSyntaxError(messages.NOT_RFC3339)


def _timestamp_or_expression(value: Json, field: str, limits: Limits) -> None:
    if isinstance(value, str) and is_expression(value):
        compile_typed(value, field, ("string",), limits)
    else:
        _timestamp(value, field, limits)


def _rule(value: Json, field: str, limits: Limits) -> object:
    """A rule of a JSONPath Choice, without the fields that have rows of their own here."""
    if not isinstance(value, dict):
        return None
    return compile_rule(
        {key: each for key, each in value.items() if key not in ("Condition", "Output")}, limits
    )


def _condition_rule(value: Json, field: str, limits: Limits) -> None:
    """A rule of a JSONata Choice, which has a Condition and no operators."""
    if not isinstance(value, dict):
        return
    foreign = [
        key for key in value if key not in ("Condition", "Next", "Output", "Assign", "Comment")
    ]
    faults = [
        Fault(f"/{key}", messages.FIELD_OF_OTHER_LANGUAGE.format(language=JSONATA))
        for key in foreign
    ]
    if "Condition" not in value:
        faults.append(Fault("", messages.REQUIRED_FIELDS.format(fields="Condition")))
    if faults:
        raise ExpressionError(faults)


def _foreign(language: str) -> Check:
    """The field is not allowed in states of the language."""

    def check(value: Json, field: str, limits: Limits) -> None:
        raise ExpressionSyntaxError(messages.FIELD_OF_OTHER_LANGUAGE.format(language=language))

    return check


_NO_PATHS: Final = _foreign(JSONATA)
_NO_EXPRESSIONS: Final = _foreign(JSONPATH)


def _anything(value: Json, field: str, limits: Limits) -> None:
    return None


class Field(NamedTuple):
    """One field. steps: from the state to the field; "[]" is every item of an array."""

    steps: tuple[str, ...]
    checks: Mapping[str, Check]  # by query language


# (fields, check in JSONPath states, check in JSONata states)
# A/B[]/C: the member C of every item of the member B of the member A
_ROWS: Final[tuple[tuple[str, Check, Check], ...]] = (
    ("InputPath OutputPath", _text(compile_path), _NO_PATHS),
    ("ResultPath Catch[]/ResultPath", _text(compile_result_path), _NO_PATHS),
    (
        "ItemsPath SecondsPath TimestampPath TimeoutSecondsPath HeartbeatSecondsPath",
        _text(compile_reference),
        _NO_PATHS,
    ),
    (
        "MaxConcurrencyPath ToleratedFailureCountPath ToleratedFailurePercentagePath",
        _text(compile_reference),
        _NO_PATHS,
    ),
    ("ItemReader/ReaderConfig/MaxItemsPath", _text(compile_reference), _NO_PATHS),
    (
        "ItemBatcher/MaxItemsPerBatchPath ItemBatcher/MaxInputBytesPerBatchPath",
        _text(compile_reference),
        _NO_PATHS,
    ),
    ("ErrorPath CausePath", _fail_text, _NO_PATHS),
    (
        "Parameters ResultSelector ItemReader/Parameters ResultWriter/Parameters",
        _template,
        _NO_PATHS,
    ),
    ("Result", _anything, _NO_PATHS),
    (
        "Assign Catch[]/Assign Choices[]/Assign ItemSelector ItemBatcher/BatchInput Credentials",
        _template,
        compile_value,
    ),
    ("Output Catch[]/Output Choices[]/Output", _NO_EXPRESSIONS, compile_value),
    ("Arguments ItemReader/Arguments ResultWriter/Arguments", _NO_EXPRESSIONS, compile_value),
    ("Items", _NO_EXPRESSIONS, _evaluated("array", "object")),
    ("Choices[]", _rule, _condition_rule),
    ("Choices[]/Condition", _NO_EXPRESSIONS, _evaluated("boolean")),
    (
        "Seconds TimeoutSeconds HeartbeatSeconds MaxConcurrency ToleratedFailureCount",
        _literal("Integer"),
        _evaluated("number"),
    ),
    ("ItemReader/ReaderConfig/MaxItems", _literal("Integer"), _evaluated("number")),
    (
        "ItemBatcher/MaxItemsPerBatch ItemBatcher/MaxInputBytesPerBatch",
        _literal("Integer"),
        _evaluated("number"),
    ),
    ("ToleratedFailurePercentage", _literal("Number"), _evaluated("number")),
    ("Timestamp", _timestamp, _timestamp_or_expression),
    ("Error Cause", _anything, _typed("string")),
)
_FIELDS: Final = tuple(
    Field(tuple(name.replace("[]", "/[]").split("/")), {JSONPATH: paths, JSONATA: expressions})
    for names, paths, expressions in _ROWS
    for name in names.split()
)
_HOLDERS: Final = {"Catch": "Catcher", "Choices": "ChoiceRule"}  # field -> model of its entries


def foreign(language: str) -> dict[str, set[str]]:
    """Model -> its fields that states of a query language do not have; "": of all states."""
    found: dict[str, set[str]] = {}
    for field in _FIELDS:
        if field.checks[language] in (_NO_PATHS, _NO_EXPRESSIONS):
            *holders, name = (step for step in field.steps if step != "[]")
            holder = _HOLDERS.get(holders[-1], holders[-1]) if holders else ""
            found.setdefault(holder, set()).add(name)
    return found


BY_MEMBER: Final[dict[str, tuple[Field, ...]]] = {
    first: tuple(field for field in _FIELDS if field.steps[0] == first)
    for first in {field.steps[0] for field in _FIELDS}
}


def fields_of(state: Mapping[str, Json], location: str) -> Iterator[tuple[Field, Json, str]]:
    """(field, value, location) of every field of a state that is in the table."""
    for name, value in state.items():
        for field in BY_MEMBER.get(name, ()):
            for found, where in reach(value, field.steps[1:], member(location, name)):
                yield field, found, where


def reach(value: Json, steps: tuple[str, ...], location: str) -> Iterator[tuple[Json, str]]:
    """(value, location) of every value that the steps lead to."""
    if not steps:
        yield value, location
    elif steps[0] == "[]":
        for index, each in enumerate(value if isinstance(value, list) else ()):
            yield from reach(each, steps[1:], item(location, index))
    elif isinstance(value, dict) and steps[0] in value:
        yield from reach(value[steps[0]], steps[1:], member(location, steps[0]))


def faults_of(field: Field, language: str, value: Json, limits: Limits) -> tuple[Fault, ...]:
    """The mistakes in the value of a field; locations are below the field."""
    try:
        field.checks[language](value, "/".join(field.steps), limits)
    except ExpressionSyntaxError as fault:
        return (Fault("", fault.message),)
    except ExpressionError as found:
        return found.faults
    return ()
